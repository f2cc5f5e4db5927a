"""The OpenAPI 3.1 document of the API, served as JSON and shown at /api/docs."""

from typing import Any

from app.openapi_schemas import (
    COMPARISON,
    COMPARISON_EXAMPLE,
    PREDICTION,
    PREDICTION_EXAMPLE,
    PROBLEM,
)
from lens.pixels import MAX_PIXELS

_PROBLEM_DESCRIPTIONS = {
    400: "A photo is missing, there are too many, a date is invalid, or the form cannot be read.",
    413: "The request is larger than the limit.",
    415: "The file is not a JPEG, PNG, WebP, AVIF or HEIC image.",
    422: "The image is empty, damaged, too large in pixels, or too small.",
    429: "Too many photos from this client; wait as Retry-After says.",
    503: "Busy; wait as Retry-After says. Nothing was judged.",
}
_STATUSES_WITH_RETRY_AFTER = (429, 503)

_CURL = "curl -F photo=@lesion.jpg {base}/api/v1/predictions"
_CURL_COMPARE = """curl -F earlier=@january.jpg -F later=@april.jpg -F earlier_taken=2026-01-12 \\
  {base}/api/v1/comparisons"""
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


def document(base: str) -> dict[str, Any]:
    """The OpenAPI document for the service at ``base`` (a URL without a trailing slash)."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MoleLens",
            "version": "1",
            "summary": "A benign or malignant verdict on a photo of a skin lesion.",
            "description": (
                "A research demonstration: not a medical device, not a diagnosis. "
                "A photo sent to the API is judged in memory and not kept."
            ),
        },
        "servers": [{"url": base}],
        "paths": {
            "/api/v1/predictions": {"post": _predict(base)},
            "/api/v1/comparisons": {"post": _compare(base)},
            "/api/openapi.json": {"get": _get("openapi", "This document.", "application/json")},
            "/healthz": {"get": _get("healthz", "The process is alive.", "application/json")},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _get("metrics", "Metrics for Prometheus.", "text/plain")},
        },
        "components": {
            "schemas": {"Prediction": PREDICTION, "Comparison": COMPARISON, "Problem": PROBLEM}
        },
    }


def _predict(base: str) -> dict[str, Any]:
    description = "The verdict, or why the photo cannot be judged."
    return {
        "operationId": "predict",
        "summary": "Judge one photo of a skin lesion.",
        "requestBody": _form({"photo": _photo("One")}, ["photo"]),
        "responses": _responses("Prediction", description, PREDICTION_EXAMPLE),
        "x-codeSamples": [
            {"lang": "curl", "source": _CURL.format(base=base)},
            {"lang": "Python", "source": _PYTHON.format(base=base)},
        ],
    }


def _compare(base: str) -> dict[str, Any]:
    description = "Both verdicts. Two known days determine which photo is the earlier one."
    fields = {
        "earlier": _photo("The earlier photo, one"),
        "later": _photo("The later photo of the same lesion, one"),
        "earlier_taken": _day("earlier"),
        "later_taken": _day("later"),
    }
    return {
        "operationId": "compare",
        "summary": "Judge two photos of one skin lesion separately.",
        "requestBody": _form(fields, ["earlier", "later"]),
        "responses": _responses("Comparison", description, COMPARISON_EXAMPLE),
        "x-codeSamples": [{"lang": "curl", "source": _CURL_COMPARE.format(base=base)}],
    }


def _photo(which: str) -> dict[str, Any]:
    return {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "description": f"{which} JPEG, PNG, WebP, AVIF or HEIC file, at most "
        f"{MAX_PIXELS // 1_000_000} megapixels; fewer for HEIC, WebP, AVIF and CMYK JPEG.",
    }


def _day(field: str) -> dict[str, Any]:
    return {
        "type": "string",
        "format": "date",
        "description": f"The day on which {field} was taken; by default the day in its EXIF data.",
    }


def _form(fields: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": fields}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _responses(schema: str, description: str, example: dict[str, Any]) -> dict[str, Any]:
    body = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {
        "200": {"description": description, "content": {"application/json": body}},
        **{str(status): _refusal(status) for status in _PROBLEM_DESCRIPTIONS},
    }


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    response: dict[str, Any] = {
        "description": _PROBLEM_DESCRIPTIONS[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in _STATUSES_WITH_RETRY_AFTER:
        response["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        }
    return response


def _get(name: str, description: str, media_type: str) -> dict[str, Any]:
    schema = {"type": "string"} if media_type == "text/plain" else {"type": "object"}
    response = {"description": description, "content": {media_type: {"schema": schema}}}
    return {"operationId": name, "summary": description, "responses": {"200": response}}


def _ready() -> dict[str, Any]:
    description = "The golden image gives the expected answer, and results can be kept."
    operation = _get("readyz", description, "application/json")
    operation["responses"]["503"] = {
        "description": "Not ready: send no traffic here.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    return operation
