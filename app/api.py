"""The JSON API: /api/v1/predictions, its contract, and a page that explains it."""

from datetime import date
from typing import Any

from flask import Blueprint, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from app import openapi
from app.openapi_schemas import NOTICE
from app.photo_days import FIELDS, in_order, sent_day
from app.refusals import KINDS, concerning
from app.service import Service, current
from app.uploads import judge_photo, sent_photo
from lens.verdict import Verdict

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/v1/predictions")
def predict() -> ResponseReturnValue:
    service = current()
    _, verdict = judge_photo(service, sent_photo())
    return jsonify(_prediction(service, verdict))


@api.post("/v1/comparisons")
def compare() -> ResponseReturnValue:
    service = current()
    photos = {field: sent_photo(field) for field in FIELDS}
    days = {field: sent_day(field, photo) for field, photo in photos.items()}
    verdicts = {}
    for field, photo in photos.items():
        with concerning(field):
            verdicts[field] = judge_photo(service, photo)[1]
    answer = {
        name: {
            "taken": _iso(days[field]),
            "prediction": _prediction(service, verdicts[field]),
        }
        for name, field in zip(FIELDS, in_order(days), strict=True)
    }
    return jsonify({**answer, "notice": NOTICE})


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


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
    return jsonify(openapi.document(request.root_url.rstrip("/")))


@api.get("/docs")
def docs() -> ResponseReturnValue:
    document = openapi.document(request.root_url.rstrip("/"))
    return render_template("api_docs.html", document=document, kinds=KINDS)
