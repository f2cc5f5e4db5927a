"""The pages: the form, results, about the model, privacy."""

import time
from datetime import UTC, datetime
from io import BytesIO

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app import card_display, metrics, overlay, result_text
from app.languages import chosen_language
from app.refusals import REFUSALS, Refused
from app.result_text import advice
from app.results import Result, StoreUnavailable
from app.service import current_service
from app.uploads import judge_photo, sent_photos, stage
from lens.arrays import Pixels
from lens.verdict import Verdict

REMINDER_MONTHS = ("1", "2", "3")
"""As templates/_next.html advises."""

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> ResponseReturnValue:
    return render_template("index.html")


@pages.get("/upload")
def reload_upload() -> ResponseReturnValue:
    """Show the form again if a person reloads an error page, which has the URL of the POST."""
    return redirect(url_for("pages.index"), 303)


@pages.post("/upload")
def upload() -> ResponseReturnValue:
    photos = sent_photos()
    most = current_app.config["MAX_PHOTOS"]
    if len(photos) > most:
        message = _("Too many photos were sent at once. Send at most %(most)s.", most=most)
        raise Refused("too_many_files", f"Expected at most {most} files.", message=message)
    if len(photos) == 1:
        return redirect(url_for("pages.result", key=_judge_and_keep(photos[0])), 303)
    items = ",".join(_judge_or_refuse(photo) for photo in photos)
    return redirect(url_for("pages.overview", items=items), 303)


def _judge_and_keep(photo: bytes) -> str:
    """Judge a photo, keep its result and return the result's id."""
    pixels, verdict = judge_photo(current_service(), photo)
    with stage("store"):
        return current_service().results.put(make_result(pixels, verdict))


def make_result(pixels: Pixels, verdict: Verdict) -> Result:
    """The result of a photo that was judged just now."""
    service, heat_map = current_service(), verdict.heat_map
    return Result(
        verdict=verdict.verdict,
        probability=verdict.probability,
        threshold=verdict.threshold,
        kind=verdict.kind,
        reasons=tuple(str(reason) for reason in verdict.reasons),
        photo=overlay.photo_jpeg(pixels),
        heat_map=None if heat_map is None else overlay.heat_png(heat_map),
        created=time.time(),
        model=service.card.name,
        sha256=service.sha256,
        calibrated=service.card.calibrated,
        sensitivity=_card_figure("sensitivity", verdict.kind),
        specificity=_card_figure("specificity", verdict.kind),
        melanomas_found=card_display.melanomas_found(service.card.metrics, verdict.kind),
    )


def _card_figure(name: str, kind: str | None) -> float | None:
    figure = card_display.card_figure(current_service().card.metrics, name, kind)
    return figure.value if figure else None


def _judge_or_refuse(photo: bytes) -> str:
    """Return the result's id, or the refusal's code, so that the other photos are still judged."""
    try:
        return _judge_and_keep(photo)
    except Refused as error:
        code = error.code
    except StoreUnavailable:
        code = "store_unavailable"
    metrics.REFUSALS.labels(code).inc()
    return code


@pages.get("/results/<items>")
def overview(items: str) -> ResponseReturnValue:
    """An overview of several photos. Its URL contains the ids of results and codes of refusals."""
    shown = [(item, current_service().results.get(item)) for item in _items(items)]
    verdicts = {found.verdict for _, found in shown if found}
    return render_template(
        "results.html",
        items=items,
        shown=shown,
        malignant="malignant" in verdicts,
        offers_reminder="benign" in verdicts and "malignant" not in verdicts,
        uncalibrated=any(each and each.verdict and not each.calibrated for _, each in shown),
        refusals=REFUSALS,
        minutes=_minutes(),
    )


@pages.post("/results/<items>/delete")
def delete_overview(items: str) -> ResponseReturnValue:
    failed = []
    for item in _items(items):
        try:
            current_service().results.delete(item)
        except StoreUnavailable as error:  # The others must still be deleted.
            failed.append(error)
    if failed:
        raise failed[0]
    flash(_("Your photos and their results are deleted."))
    return redirect(url_for("pages.index"), 303)


def _items(items: str) -> list[str]:
    return items.split(",")[: current_app.config["MAX_PHOTOS"]]


def find_result(key: str) -> Result:
    """The result with this id; 404 if it is gone."""
    stored = current_service().results.get(key)
    if stored is None:
        abort(404)
    return stored


@pages.get("/result/<key>")
def result(key: str) -> ResponseReturnValue:
    stored = find_result(key)
    return render_template(
        "result.html",
        key=key,
        result=stored,
        advice=[advice(reason) for reason in stored.reasons],
        seconds_left=round(current_service().results.seconds_left(stored)),
    )


@pages.get("/result/<key>/photo.jpg")
def photo(key: str) -> ResponseReturnValue:
    return Response(find_result(key).photo, content_type="image/jpeg")


@pages.get("/result/<key>/heatmap.png")
def heat_map(key: str) -> ResponseReturnValue:
    png = find_result(key).heat_map
    if png is None:
        abort(404)
    return Response(png, content_type="image/png")


@pages.get("/result/<key>/report.pdf")
def report_pdf(key: str) -> ResponseReturnValue:
    # fpdf takes 19 MB, so a worker imports it only when it makes its first report.
    from app import report

    pdf = report.pdf(find_result(key), chosen_language())
    return send_file(BytesIO(pdf), "application/pdf", True, "molelens-result.pdf")


@pages.get("/reminder.ics")
def reminder() -> ResponseReturnValue:
    from app.reminder import calendar  # icalendar takes 4 MB.

    months = request.args.get("months", "3")
    if months not in REMINDER_MONTHS:
        abort(404)
    today = datetime.now(UTC).date()
    file = calendar(today, int(months), url_for("comparisons.form", _external=True))
    return send_file(BytesIO(file), "text/calendar", True, "reminder.ics")


@pages.post("/result/<key>/delete")
def delete(key: str) -> ResponseReturnValue:
    current_service().results.delete(key)
    flash(_("Your photo and its result are deleted."))
    return redirect(url_for("pages.index"), 303)


@pages.get("/about")
def about() -> ResponseReturnValue:
    card = current_service().card
    kind, figures = card_display.main_figures(card.metrics)
    return render_template(
        "about.html",
        card=card,
        kind=kind,
        figures=figures,
        sha256=current_service().sha256,
        sources=card_display.by_source(card.metrics),
        images=card_display.image_counts(card.training_data),
    )


@pages.get("/privacy")
def privacy() -> ResponseReturnValue:
    return render_template("privacy.html", minutes=_minutes())


def _minutes() -> int:
    return max(1, round(current_service().results.lifetime / 60))


@pages.app_context_processor
def _template_helpers() -> dict[str, object]:
    return {
        "of_100": card_display.of_100,
        "counts_beside": card_display.counts_beside,
        "scores_beside": card_display.scores_beside,
        "three_decimals": card_display.three_decimals,
        "source_name": card_display.source_name,
        "kind_line": result_text.kind_line,
        "benign_lead": result_text.benign_lead,
        "headline": result_text.headline,
    }
