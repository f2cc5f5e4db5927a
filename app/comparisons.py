"""Pages that show two photos of one spot side by side: the form, the comparison, its PDF.

Each photo is judged separately. The app does not measure change; that is left to the person's eye.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import date
from io import BytesIO

from flask import Blueprint, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.languages import chosen_language
from app.pages import find_result, make_result
from app.pair import Pair, Photo
from app.photo_days import EARLIEST_DAY, FIELDS, chronological, day_of_photo
from app.refusals import Refused, tag_refusals
from app.results import Comparison, Result, StoreUnavailable
from app.service import current_service
from app.uploads import judge_photo, single_photo, stage

comparisons = Blueprint("comparisons", __name__)


@comparisons.get("/compare")
@comparisons.get("/result/<key>/compare")
def form(key: str | None = None) -> ResponseReturnValue:
    return _form(key, find_result(key) if key else None)


def form_with_error(error: Refused) -> str:
    """The form again, with the reason why the photos were refused."""
    key = (request.view_args or {}).get("key")
    result = None
    with suppress(StoreUnavailable):  # Which may be the reason for the refusal.
        result = current_service().results.get(key) if key else None
    return _form(key, result, error)


def _form(key: str | None, result: Result | None, error: Refused | None = None) -> str:
    return render_template(
        "compare.html", key=key, result=result, error=error, first_day=EARLIEST_DAY
    )


@comparisons.post("/compare")
@comparisons.post("/result/<key>/compare")
def compare(key: str | None = None) -> ResponseReturnValue:
    """Judge both photos; only the earlier one if the later one already has a result."""
    later = find_result(key) if key else None
    sent, days = _read_form(("earlier",) if later else FIELDS)
    judged = {}
    for field, data in sent.items():
        with tag_refusals(field):
            judged[field] = judge_photo(current_service(), data)
    with stage("store"):  # After both are judged, so that neither is kept if the other is refused.
        results = {field: make_result(*each) for field, each in judged.items()}
        if later:  # So that both photos are gone when the comparison is.
            results = {
                field: replace(result, created=later.created) for field, result in results.items()
            }
        kept = {"later": Photo(key, later, days["later"])} if key and later else {}
        comparison_key = _keep(results, kept, days)
    return redirect(url_for("comparisons.comparison", key=comparison_key), 303)


def _read_form(fields: tuple[str, ...]) -> tuple[dict[str, bytes], dict[str, date | None]]:
    """The photos sent in ``fields``, and the days of both photos."""
    photos, days = {}, {}
    for field in FIELDS:
        with tag_refusals(field):
            if field in fields:
                photos[field] = single_photo(field)
            days[field] = day_of_photo(field, photos.get(field))
    return photos, days


def _keep(results: dict[str, Result], kept: dict[str, Photo], days: dict[str, date | None]) -> str:
    """Keep the new results and the comparison, or none of them; return the comparison's id."""
    store = current_service().results
    new: dict[str, Photo] = {}
    try:
        for field, result in results.items():
            new[field] = Photo(store.put(result), result, days[field])
        photos = new | kept
        return _keep_pair(Pair(*(photos[field] for field in chronological(days))))
    except StoreUnavailable:
        for photo in new.values():
            with suppress(StoreUnavailable):
                store.delete(photo.key)
        raise


def _keep_pair(pair: Pair) -> str:
    """Keep a comparison until the older of its results expires, and return its id."""
    comparison = Comparison(
        earlier=pair.earlier.key,
        later=pair.later.key,
        earlier_taken=pair.earlier.taken,
        later_taken=pair.later.taken,
        created=min(photo.result.created for photo in pair.photos),
    )
    return current_service().results.put(comparison)


@comparisons.get("/comparison/<key>")
def comparison(key: str) -> ResponseReturnValue:
    """Show both photos; or the remaining one, so that it can be deleted, if one was deleted."""
    stored, earlier, later = _find(key)
    if earlier is None or later is None:
        remaining = stored.earlier if earlier else stored.later
        return redirect(url_for("pages.result", key=remaining))
    pair = _pair(stored, earlier, later)
    seconds_left = round(current_service().results.seconds_left(stored))
    return render_template("comparison.html", key=key, pair=pair, seconds_left=seconds_left)


@comparisons.get("/comparison/<key>/report.pdf")
def report_pdf(key: str) -> ResponseReturnValue:
    from app import comparison_report  # Imported only here, as in app/pages.py.

    stored, earlier, later = _find(key)
    if earlier is None or later is None:
        abort(404)
    pdf = comparison_report.pdf(_pair(stored, earlier, later), chosen_language())
    return send_file(BytesIO(pdf), "application/pdf", True, "molelens-comparison.pdf")


@comparisons.post("/comparison/<key>/delete")
def delete(key: str) -> ResponseReturnValue:
    results = current_service().results
    stored = results.get_comparison(key)
    # The comparison comes last: if deleting fails halfway, the next try deletes the rest.
    for each in (stored.earlier, stored.later, key) if stored else ():
        results.delete(each)
    flash(_("Your photos and their results are deleted."))
    return redirect(url_for("pages.index"), 303)


def _find(key: str) -> tuple[Comparison, Result | None, Result | None]:
    """The comparison, and the results of both photos, None if deleted; 404 if it is gone."""
    results = current_service().results
    stored = results.get_comparison(key)
    if stored is None:
        abort(404)
    return stored, results.get(stored.earlier), results.get(stored.later)


def _pair(stored: Comparison, earlier: Result, later: Result) -> Pair:
    return Pair(
        Photo(stored.earlier, earlier, stored.earlier_taken),
        Photo(stored.later, later, stored.later_taken),
    )
