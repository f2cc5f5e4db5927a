"""A server as peer projects build it: decoding at full scale, model.predict in the web worker."""

import os

import keras
import numpy as np
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from PIL import Image

app = Flask(__name__)
model = keras.models.load_model(os.environ["MOLELENS_MODEL"], compile=False)


@app.get("/readyz")
def ready() -> ResponseReturnValue:
    return jsonify(status="ready")


@app.post("/api/v1/predictions")
def predict() -> ResponseReturnValue:
    image = Image.open(request.files["photo"].stream).convert("RGB").resize((500, 500))
    outputs = model.predict(np.asarray(image, dtype=np.float32)[np.newaxis], verbose=0)
    probability = float(outputs["malignant"][0, 0])
    return jsonify(verdict="malignant" if probability >= 0.5 else "benign", probability=probability)
