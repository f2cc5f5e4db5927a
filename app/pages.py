"""The pages people see: the form, a result, about the model, privacy."""

import time
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from flask import (
    Blueprint,
    Response,
    abort,
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
from app.languages import chosen
from app.refusals import KINDS, Refused
from app.result_text import advice
from app.results import Result, StoreUnavailable
from app.service import Service, current
from app.uploads import MAX_PHOTOS, judge_photo, sent_photos, stage
from lens.verdict import Verdict

MONTHS = ("1", "3", "6")
"""After so many a reminder may come."""

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
    photos = sent_photos()
    if len(photos) > MAX_PHOTOS:
        raise Refused("too_many_files", f"Expected at most {MAX_PHOTOS} files.")
    if len(photos) == 1:
        return redirect(url_for("pages.result", key=_judged(photos[0])), 303)
    items = ",".join(_judged_or_refused(photo) for photo in photos)
    return redirect(url_for("pages.several", items=items), 303)


def _judged(photo: bytes) -> str:
    """Judge a photo and keep its result; the result's id."""
    pixels, verdict = judge_photo(current(), photo)
    with stage("store"):
        return current().results.put(result_of(pixels, verdict))


def result_of(pixels: np.ndarray, verdict: Verdict) -> Result:
    """What is kept of a photo that was judged just now."""
    service, heat_map = current(), verdict.heat_map
    return Result(
        status=verdict.status,
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
        sensitivity=_measured(service, "sensitivity", verdict.kind),
        specificity=_measured(service, "specificity", verdict.kind),
        melanomas_found=card_display.melanomas_found(service.card.metrics, verdict.kind),
    )


def _measured(service: Service, name: str, kind: str | None) -> float | None:
    figure = card_display.found(service.card.metrics, name, kind)
    return figure.value if figure else None


def _judged_or_refused(photo: bytes) -> str:
    """The result's id, or the code of the refusal: one bad photo must not cost the others."""
    try:
        return _judged(photo)
    except Refused as error:
        code = error.code
    except StoreUnavailable:
        code = "store_unavailable"
    metrics.REFUSALS.labels(code).inc()
    return code


@pages.get("/results/<items>")
def several(items: str) -> ResponseReturnValue:
    """An overview; its address holds all that it knows: ids of results, codes of refusals."""
    shown = [(item, current().results.get(item)) for item in _items(items)]
    verdicts = {found.verdict for _, found in shown if found}
    return render_template(
        "results.html",
        items=items,
        shown=shown,
        offers_reminder="benign" in verdicts and "malignant" not in verdicts,
        uncalibrated=any(found and found.verdict and not found.calibrated for _, found in shown),
        kinds=KINDS,
        minutes=_minutes(),
    )


@pages.post("/results/<items>/delete")
def delete_several(items: str) -> ResponseReturnValue:
    failed = []
    for item in _items(items):
        try:
            current().results.delete(item)
        except StoreUnavailable as error:  # One that stays must not keep the others.
            failed.append(error)
    if failed:
        raise failed[0]
    flash(_("Your photos and their results are deleted."))
    return redirect(url_for("pages.index"), 303)


def _items(items: str) -> list[str]:
    return items.split(",")[:MAX_PHOTOS]


def kept(key: str) -> Result:
    """The result of that id, or a 404 where it is gone."""
    found = current().results.get(key)
    if found is None:
        abort(404)
    return found


@pages.get("/result/<key>")
def result(key: str) -> ResponseReturnValue:
    service, found = current(), kept(key)
    return render_template(
        "result.html",
        key=key,
        result=found,
        advice=[advice(reason) for reason in found.reasons],
        seconds_left=round(service.results.seconds_left(found)),
    )


@pages.get("/result/<key>/photo.jpg")
def photo(key: str) -> ResponseReturnValue:
    return Response(kept(key).photo, content_type="image/jpeg")


@pages.get("/result/<key>/heatmap.png")
def heat_map(key: str) -> ResponseReturnValue:
    found = kept(key).heat_map
    if found is None:
        abort(404)
    return Response(found, content_type="image/png")


@pages.get("/result/<key>/report.pdf")
def report_pdf(key: str) -> ResponseReturnValue:
    # Only here: fpdf and its font tools take 19 MB, and most workers never make a report.
    from app import report

    pdf = report.pdf(kept(key), chosen())
    return send_file(BytesIO(pdf), "application/pdf", True, "molelens-result.pdf")


@pages.get("/reminder.ics")
def reminder() -> ResponseReturnValue:
    from app.reminder import calendar  # Late, too: icalendar takes 4 MB.

    months = request.args.get("months", "3")
    if months not in MONTHS:
        abort(404)
    today = datetime.now(UTC).date()
    file = calendar(today, int(months), url_for("comparisons.form", _external=True))
    return send_file(BytesIO(file), "text/calendar", True, "reminder.ics")


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
        sources=card_display.by_source(card.metrics),
        images=card_display.images(card.training_data),
    )


@pages.get("/privacy")
def privacy() -> ResponseReturnValue:
    return render_template("privacy.html", minutes=_minutes())


def _minutes() -> int:
    return max(1, round(current().results.lifetime / 60))


@pages.app_context_processor
def _names() -> dict[str, object]:
    return {
        "of_100": card_display.of_100,
        "figure": card_display.figure,
        "fixed": card_display.fixed,
        "found": card_display.found,
        "source_name": card_display.source_name,
        "kind_line": result_text.kind_line,
        "benign_lead": result_text.benign_lead,
        "headline": result_text.headline,
        "most_photos": MAX_PHOTOS,
    }
