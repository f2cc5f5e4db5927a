"""JSON schemas and examples of the API's responses."""

from typing import Any

from app.refusals import REFUSALS


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that has exactly these properties."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*properties],
        "properties": properties,
    }


def _probability(json_type: str | list[str], description: str) -> dict[str, Any]:
    return {"type": json_type, "minimum": 0, "maximum": 1, "description": description}


PREDICTION = _object(
    verdict={
        "type": ["string", "null"],
        "enum": ["benign", "malignant", None],
        "description": "null when the photo cannot be judged. benign is never an all-clear.",
    },
    status={
        "type": "string",
        "enum": ["ok", "cannot_judge"],
        "description": "cannot_judge is a result, not an error; reasons say why.",
    },
    reasons={
        "type": "array",
        "items": {"type": "string"},
        "description": "Stable codes, such as blurred or not_a_lesion; empty if status is ok.",
    },
    probability=_probability(
        ["number", "null"], "p(malignant); null when the photo cannot be judged."
    ),
    threshold=_probability("number", "The verdict is malignant at and above this probability."),
    kind={
        "type": ["string", "null"],
        "enum": ["clinical", "dermoscopic", None],
        "description": "The kind of photo that the model recognised; it decides the threshold.",
    },
    model=_object(
        name={"type": "string"},
        sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
        calibrated={
            "type": "boolean",
            "description": "false: the probability is a score, not a frequency.",
        },
    ),
)

NOTICE = (
    "Any visible change is a reason to see a doctor, whatever the two verdicts say. "
    "A benign verdict on one photo never outweighs a malignant one on the other."
)

_COMPARED_PHOTO = _object(
    taken={
        "type": ["string", "null"],
        "format": "date",
        "description": "The day on which it was taken: as sent, or from its EXIF data.",
    },
    prediction={"$ref": "#/components/schemas/Prediction"},
)

COMPARISON = _object(
    earlier=_COMPARED_PHOTO,
    later=_COMPARED_PHOTO,
    notice={
        "type": "string",
        "description": "Show it with the verdicts. The API does not measure change.",
    },
)

PROBLEM = {
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
            "enum": sorted(REFUSALS),
        },
        "request_id": {"type": "string", "description": "The id of the request in our log."},
    },
}

PREDICTION_EXAMPLE = {
    "verdict": "malignant",
    "status": "ok",
    "reasons": [],
    "probability": 0.62,
    "threshold": 0.31,
    "kind": "clinical",
    "model": {"name": "cnn7", "sha256": "0" * 64, "calibrated": True},
}

COMPARISON_EXAMPLE = {
    "earlier": {
        "taken": "2026-01-12",
        "prediction": {**PREDICTION_EXAMPLE, "verdict": "benign", "probability": 0.04},
    },
    "later": {"taken": "2026-04-15", "prediction": PREDICTION_EXAMPLE},
    "notice": NOTICE,
}
