"""When the two photos of a comparison were taken, and which of them is the earlier one."""

from datetime import UTC, date, datetime, timedelta

from flask import request

from app.refusals import Refused
from lens.photo_date import day_taken

FIELDS = ("earlier", "later")
"""The form fields of the two photos; their days are in ``earlier_taken`` and ``later_taken``."""

_FIRST_DAY = date(1990, 1, 1)
"""Hardly a digital camera is older."""


def sent_day(field: str, photo: bytes | None) -> date | None:
    """The day sent for the photo in form field ``field``; else that of its EXIF data; else None.

    Raises:
        Refused: what was sent is no day, or not of this time.
    """
    name = f"{field}_taken"
    text = request.form.get(name, "")
    if not text:
        return _possible(day_taken(photo)) if photo else None
    try:
        day = _possible(date.fromisoformat(text))
    except ValueError:
        day = None
    if day is None:
        raise Refused(
            "bad_date",
            f"Expected a day from {_FIRST_DAY} to today, as in 2026-05-31, in '{name}'.",
        )
    return day


def _possible(day: date | None) -> date | None:
    # Tomorrow has begun where clocks are ahead of UTC.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return day if day and _FIRST_DAY <= day <= tomorrow else None


def in_order(days: dict[str, date | None]) -> tuple[str, str]:
    """The fields of the earlier and the later photo: by their days where both are known."""
    earlier, later = days["earlier"], days["later"]
    turned = earlier and later and earlier > later
    return ("later", "earlier") if turned else ("earlier", "later")
