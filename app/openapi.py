"""The API's contract, OpenAPI 3.1: served as JSON, rendered at /api/docs, tested on the routes."""

from typing import Any

from app.refusals import KINDS

_PROBLEM_WORDS = {
    400: "No photo, more than one, or a form that cannot be read.",
    413: "The request is larger than the limit.",
    415: "The file is not a JPEG, PNG, WebP, AVIF or HEIC image.",
    422: "The image is empty, damaged, too large in pixels, or too small.",
    429: "Too many photos from this client; wait as Retry-After says.",
    503: "Busy; wait as Retry-After says. Nothing was judged.",
}
_WAITS = (429, 503)

_CURL = "curl -F photo=@lesion.jpg {base}/api/v1/predictions"
_PYTHON = """import requests

URL = "{base}/api/v1/predictions"
with open("lesion.jpg", "rb") as photo:
    answer = requests.post(URL, files={{"photo": photo}}, timeout=30)
answer.raise_for_status()
prediction = answer.json()
if prediction["status"] == "cannot_judge":
    print("cannot judge:", ", ".join(prediction["reasons"]))
else:
    print(prediction["verdict"], prediction["probability"])"""

_PREDICTION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["verdict", "status", "reasons", "probability", "threshold", "model"],
    "properties": {
        "verdict": {
            "type": ["string", "null"],
            "enum": ["benign", "malignant", None],
            "description": "null when the photo cannot be judged. benign is never an all-clear.",
        },
        "status": {
            "type": "string",
            "enum": ["ok", "cannot_judge"],
            "description": "cannot_judge is an answer, not an error: reasons say why.",
        },
        "reasons": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Stable codes, such as blurred or not_a_lesion; empty if status is ok.",
        },
        "probability": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "p(malignant); null when the photo cannot be judged.",
        },
        "threshold": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "The verdict is malignant at and above it.",
        },
        "model": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "sha256", "calibrated"],
            "properties": {
                "name": {"type": "string"},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "calibrated": {
                    "type": "boolean",
                    "description": "false: probability is a score, not a chance.",
                },
            },
        },
    },
}

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One English sentence."},
        "code": {
            "type": "string",
            "description": "Stable code of the refusal.",
            "enum": sorted(KINDS),
        },
        "request_id": {"type": "string", "description": "The id of the request in our log."},
    },
}

_EXAMPLE = {
    "verdict": "malignant",
    "status": "ok",
    "reasons": [],
    "probability": 0.62,
    "threshold": 0.31,
    "model": {"name": "cnn7", "sha256": "0" * 64, "calibrated": True},
}


def document(base: str) -> dict[str, Any]:
    """The OpenAPI document of the service at ``base`` (scheme and host, no slash at the end)."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MoleLens",
            "version": "1",
            "summary": "A benign or malignant verdict on a photo of a skin lesion.",
            "description": (
                "A research demonstration: not a medical device, not a diagnosis. "
                "A photo sent to the API is judged in memory and kept nowhere."
            ),
        },
        "servers": [{"url": base}],
        "paths": {
            "/api/v1/predictions": {"post": _predict(base)},
            "/api/openapi.json": {"get": _plain("openapi", "This document.", "application/json")},
            "/healthz": {"get": _plain("healthz", "The process is alive.", "application/json")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _plain("metrics", "Metrics for Prometheus.", "text/plain")},
        },
        "components": {"schemas": {"Prediction": _PREDICTION, "Problem": _PROBLEM}},
    }


def _predict(base: str) -> dict[str, Any]:
    photo = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "description": "One JPEG, PNG, WebP, AVIF or HEIC file, at most 40 megapixels.",
    }
    form = {"type": "object", "required": ["photo"], "properties": {"photo": photo}}
    success = {
        "description": "The verdict, or that the photo cannot be judged and why.",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Prediction"},
                "example": _EXAMPLE,
            }
        },
    }
    return {
        "operationId": "predict",
        "summary": "Judge one photo of a skin lesion.",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {
            "200": success,
            **{str(status): _refusal(status) for status in _PROBLEM_WORDS},
        },
        "x-codeSamples": [
            {"lang": "curl", "source": _CURL.format(base=base)},
            {"lang": "Python", "source": _PYTHON.format(base=base)},
        ],
    }


def _refusal(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _PROBLEM_WORDS[status],
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    if status in _WAITS:
        answer["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        }
    return answer


def _plain(name: str, words: str, media: str) -> dict[str, Any]:
    schema = {"type": "string"} if media == "text/plain" else {"type": "object"}
    content = {media: {"schema": schema}}
    return {
        "operationId": name,
        "summary": words,
        "responses": {"200": {"description": words, "content": content}},
    }


def _ready() -> dict[str, Any]:
    operation = _plain(
        "readyz",
        "A golden image gets its known answer, and results can be kept.",
        "application/json",
    )
    operation["responses"]["503"] = {
        "description": "Not ready: send no traffic here.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    return operation
