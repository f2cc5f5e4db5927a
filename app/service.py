"""What a process needs to serve requests, created once: the model, the store, the queue."""

from dataclasses import dataclass

from flask import current_app

from app import metrics
from app.admission import Admission
from app.readiness import Readiness
from app.results import Results, Store
from app.settings import Settings, StartError
from app.stores import open_store
from lens import artifact
from lens.card import Card
from lens.engine import Engine, EngineError, open_engine


@dataclass(frozen=True)
class Service:
    """The model, the store, the queue and the readiness check of a process."""

    settings: Settings
    engine: Engine
    card: Card
    sha256: str
    store: Store
    admission: Admission
    readiness: Readiness

    @property
    def results(self) -> Results:
        return self.store.results


def start(settings: Settings) -> Service:
    """Load the model, test it with the golden image and open the store.

    Raises:
        StartError: one of these failed.
    """
    try:
        card = artifact.read_card(settings.model)
        sha256 = artifact.sha256(settings.model)
        if settings.model_sha256 not in ("", sha256):
            raise StartError(
                f"{settings.model}: its SHA-256 is {sha256}, "
                f"MOLELENS_MODEL_SHA256 expects {settings.model_sha256}."
            )
        engine = open_engine(
            settings.model, settings.engine, settings.cache, output=settings.output
        )
        if artifact.sha256(settings.model) != sha256:
            raise StartError(f"{settings.model}: was replaced while it was loaded; start again.")
    except (artifact.InvalidModel, EngineError, OSError) as error:
        raise StartError(str(error)) from error
    store = open_store(settings)
    readiness = Readiness(engine, store.results)
    admission = Admission(settings.at_once, settings.waiting)
    # Set last: a worker that cannot open its store does not serve the model.
    metrics.MODEL.labels(card.name, sha256, engine.name).set(1)
    return Service(settings, engine, card, sha256, store, admission, readiness)


def current_service() -> Service:
    """The service of the app that handles this request."""
    service: Service = current_app.extensions["molelens"]
    return service
