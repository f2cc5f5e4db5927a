"""Two photos of one spot side by side: the form, the comparison, its PDF.

Each photo is judged by itself. Whether the spot has changed is left to the person's eyes: nothing
here measures change, so nothing here can say that there was none.
"""

from contextlib import suppress
from datetime import date
from io import BytesIO

from flask import Blueprint, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.languages import chosen
from app.pages import kept, result_of
from app.pair import Pair, Photo
from app.photo_days import FIELDS, in_order, sent_day
from app.refusals import Refused, concerning
from app.results import Comparison, Result, StoreUnavailable
from app.service import current
from app.uploads import judge_photo, sent_photo, stage

comparisons = Blueprint("comparisons", __name__)


@comparisons.get("/compare")
@comparisons.get("/result/<key>/compare")
def form(key: str | None = None) -> ResponseReturnValue:
    return render_template("compare.html", key=key, result=kept(key) if key else None)


def form_again(error: Refused) -> str:
    """The form, and in words why what it sent was refused."""
    key = (request.view_args or {}).get("key")
    result = None
    with suppress(StoreUnavailable):  # That may be what is told in words here.
        result = current().results.get(key) if key else None
    return render_template("compare.html", key=key, result=result, error=error)


@comparisons.post("/compare")
@comparisons.post("/result/<key>/compare")
def compare(key: str | None = None) -> ResponseReturnValue:
    """Judge both photos, or the earlier one where the later one has its result already."""
    later = kept(key) if key else None
    sent, days = _sent(("earlier",) if later else FIELDS)
    judged = {}
    for field, data in sent.items():
        with concerning(field):
            judged[field] = judge_photo(current(), data)
    with stage("store"):  # Not before both are judged: a comparison of one photo is none.
        photos = {field: _keep(result_of(*each), days[field]) for field, each in judged.items()}
        if key and later:
            photos["later"] = Photo(key, later, days["later"])
        pair = Pair(*(photos[field] for field in in_order(days)))
        return redirect(url_for("comparisons.comparison", key=_keep_pair(pair)), 303)


def _sent(fields: tuple[str, ...]) -> tuple[dict[str, bytes], dict[str, date | None]]:
    """The photos sent in ``fields``, and the days of both."""
    photos, days = {}, {}
    for field in FIELDS:
        with concerning(field):
            if field in fields:
                photos[field] = sent_photo(field)
            days[field] = sent_day(field, photos.get(field))
    return photos, days


def _keep(result: Result, taken: date | None) -> Photo:
    return Photo(current().results.put(result), result, taken)


def _keep_pair(pair: Pair) -> str:
    """The comparison's id. It is kept as long as the photo that is gone first."""
    comparison = Comparison(
        earlier=pair.earlier.key,
        later=pair.later.key,
        earlier_taken=pair.earlier.taken,
        later_taken=pair.later.taken,
        created=min(photo.result.created for photo in pair.photos),
    )
    return current().results.put(comparison)


@comparisons.get("/comparison/<key>")
def comparison(key: str) -> ResponseReturnValue:
    results = current().results
    found, pair = _kept_pair(key)
    return render_template(
        "comparison.html", key=key, pair=pair, seconds_left=round(results.seconds_left(found))
    )


@comparisons.get("/comparison/<key>/report.pdf")
def report_pdf(key: str) -> ResponseReturnValue:
    from app import comparison_report  # Late, as in app/pages.py.

    pdf = comparison_report.pdf(_kept_pair(key)[1], chosen())
    return send_file(BytesIO(pdf), "application/pdf", True, "molelens-comparison.pdf")


@comparisons.post("/comparison/<key>/delete")
def delete(key: str) -> ResponseReturnValue:
    results = current().results
    found = results.get_comparison(key)
    # The comparison last: until all is deleted, asking again deletes the rest.
    for each in (found.earlier, found.later, key) if found else ():
        results.delete(each)
    flash(_("Your photos and their results are deleted."))
    return redirect(url_for("pages.index"), 303)


def _kept_pair(key: str) -> tuple[Comparison, Pair]:
    """A comparison is gone as soon as one of its photos is."""
    results = current().results
    found = results.get_comparison(key)
    if found is None:
        abort(404)
    earlier, later = results.get(found.earlier), results.get(found.later)
    if earlier is None or later is None:
        abort(404)
    return found, Pair(
        Photo(found.earlier, earlier, found.earlier_taken),
        Photo(found.later, later, found.later_taken),
    )
