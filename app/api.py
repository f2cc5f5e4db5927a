"""The JSON API: /api/v1/predictions, its contract, and a page that explains it."""

from typing import Any

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from app import openapi
from app.refusals import KINDS, Refused
from app.service import Service, current
from app.uploads import judge_photo, sent_photos
from lens.verdict import Verdict

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/v1/predictions")
def predict() -> ResponseReturnValue:
    service = current()
    photos = sent_photos()
    if len(photos) > 1:
        raise Refused("several_files", f"Expected one file in 'photo', got {len(photos)}.")
    _, verdict = judge_photo(service, photos[0])
    return jsonify(_prediction(service, verdict))


def _prediction(service: Service, verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "status": verdict.status,
        "reasons": [str(reason) for reason in verdict.reasons],
        "probability": verdict.probability,
        "threshold": verdict.threshold,
        "model": {
            "name": service.card.name,
            "sha256": service.sha256,
            "calibrated": service.card.calibrated,
        },
    }


@api.get("/openapi.json")
def contract() -> ResponseReturnValue:
    return jsonify(openapi.document(request.host_url.rstrip("/")))


@api.get("/docs")
def docs() -> ResponseReturnValue:
    document = openapi.document(request.host_url.rstrip("/"))
    return render_template("api_docs.html", document=document, kinds=KINDS)
