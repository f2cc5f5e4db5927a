"""Endpoints for monitoring: liveness, readiness, metrics."""

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from app import metrics
from app.logs import logger
from app.readiness import NotReady
from app.results import StoreUnavailable
from app.service import current_service

ops = Blueprint("ops", __name__)


@ops.get("/healthz")
def alive() -> ResponseReturnValue:
    """Show that the process answers. It checks only what a restart can fix."""
    return jsonify(status="alive")


@ops.get("/readyz")
def ready() -> ResponseReturnValue:
    service = current_service()
    try:
        answer = service.readiness.check()
    except (NotReady, StoreUnavailable) as error:
        logger.error("not ready", extra={"fields": {"why": str(error)}})
        return jsonify(status="not ready", why=str(error)), 503
    return jsonify(
        status="ready",
        golden={"expected": service.readiness.expected, "answer": answer},
        model={"name": service.card.name, "sha256": service.sha256},
        engine=service.engine.name,
    )


@ops.get("/metrics")
def prometheus() -> ResponseReturnValue:
    return Response(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
