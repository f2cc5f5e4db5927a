"""The pages people see: the form, a result, about the model, privacy."""

import time
from io import BytesIO

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    redirect,
    render_template,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app import figures, overlay, report
from app.judging import judge_photo, sent_photo, stage
from app.results import Result
from app.service import current
from app.words import advice

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> ResponseReturnValue:
    return render_template("index.html")


@pages.get("/upload")
def upload_address() -> ResponseReturnValue:
    """Errors are shown at this address; whoever opens it again gets the form."""
    return redirect(url_for("pages.index"), 303)


@pages.post("/upload")
def upload() -> ResponseReturnValue:
    service = current()
    pixels, verdict = judge_photo(service, sent_photo())
    with stage("store"):
        heat_map = verdict.heat_map
        result = Result(
            status=verdict.status,
            verdict=verdict.verdict,
            probability=verdict.probability,
            threshold=verdict.threshold,
            reasons=tuple(str(reason) for reason in verdict.reasons),
            photo=overlay.photo_jpeg(pixels),
            heat_map=None if heat_map is None else overlay.heat_png(heat_map),
            created=time.time(),
        )
        key = service.results.put(result)
    return redirect(url_for("pages.result", key=key), 303)


def _kept(key: str) -> Result:
    found = current().results.get(key)
    if found is None:
        abort(404)
    return found


@pages.get("/result/<key>")
def result(key: str) -> ResponseReturnValue:
    service, found = current(), _kept(key)
    return render_template(
        "result.html",
        key=key,
        result=found,
        card=service.card,
        advice=[advice(reason) for reason in found.reasons],
        seconds_left=round(service.results.seconds_left(found)),
    )


@pages.get("/result/<key>/photo.jpg")
def photo(key: str) -> ResponseReturnValue:
    return Response(_kept(key).photo, content_type="image/jpeg")


@pages.get("/result/<key>/heatmap.png")
def heat_map(key: str) -> ResponseReturnValue:
    found = _kept(key).heat_map
    if found is None:
        abort(404)
    return Response(found, content_type="image/png")


@pages.get("/result/<key>/report.pdf")
def report_pdf(key: str) -> ResponseReturnValue:
    service = current()
    pdf = report.pdf(_kept(key), service.card, service.sha256)
    return send_file(BytesIO(pdf), "application/pdf", True, _("molelens-result") + ".pdf")


@pages.post("/result/<key>/delete")
def delete(key: str) -> ResponseReturnValue:
    current().results.delete(key)
    flash(_("Your photo and its result are deleted."))
    return redirect(url_for("pages.index"), 303)


@pages.get("/about")
def about() -> ResponseReturnValue:
    service = current()
    card = service.card
    return render_template(
        "about.html",
        card=card,
        sha256=service.sha256,
        sources=figures.by_source(card.metrics),
        images=figures.images(card.training_data),
    )


@pages.get("/privacy")
def privacy() -> ResponseReturnValue:
    minutes = max(1, round(current().results.lifetime / 60))
    return render_template("privacy.html", minutes=minutes)


@pages.app_context_processor
def _names() -> dict[str, object]:
    return {"of_100": figures.of_100, "figure": figures.figure, "found": figures.found}
