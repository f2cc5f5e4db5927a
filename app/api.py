"""The JSON API: predictions, comparisons, the OpenAPI document, and a page that explains them."""

from typing import Any

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from app import openapi
from app.openapi_schemas import NOTICE
from app.photo_days import FIELDS, chronological, day_of_photo
from app.refusals import REFUSALS, tag_refusals
from app.service import Service, current_service
from app.uploads import judge_photo, single_photo
from lens.verdict import Verdict

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/v1/predictions")
def predict() -> ResponseReturnValue:
    service = current_service()
    _, verdict = judge_photo(service, single_photo())
    return jsonify(_prediction(service, verdict))


@api.post("/v1/comparisons")
def compare() -> ResponseReturnValue:
    service = current_service()
    photos = {field: single_photo(field) for field in FIELDS}
    days = {field: day_of_photo(field, photo) for field, photo in photos.items()}
    verdicts = {}
    for field, photo in photos.items():
        with tag_refusals(field):
            verdicts[field] = judge_photo(service, photo)[1]
    body: dict[str, Any] = {}
    for name, field in zip(FIELDS, chronological(days), strict=True):
        day = days[field]
        taken = day.isoformat() if day else None
        body[name] = {"taken": taken, "prediction": _prediction(service, verdicts[field])}
    return jsonify({**body, "notice": NOTICE})


def _prediction(service: Service, verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "status": verdict.status,
        "reasons": [str(reason) for reason in verdict.reasons],
        "probability": verdict.probability,
        "threshold": verdict.threshold,
        "kind": verdict.kind,
        "model": {
            "name": service.card.name,
            "sha256": service.sha256,
            "calibrated": service.card.calibrated,
        },
    }


@api.get("/openapi.json")
def contract() -> ResponseReturnValue:
    return jsonify(_document())


@api.get("/docs")
def docs() -> ResponseReturnValue:
    return render_template("api_docs.html", document=_document(), refusals=REFUSALS)


def _document() -> dict[str, Any]:
    return openapi.document(request.root_url.rstrip("/"))
