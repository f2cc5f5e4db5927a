"""The days on which the two photos of a comparison were taken, and which photo is the earlier."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from flask import request
from PIL import ExifTags, Image

from app.refusals import Refused
from lens import pixels

FIELDS = ("earlier", "later")
"""The form fields of the two photos; their days are in ``earlier_taken`` and ``later_taken``."""

EARLIEST_DAY = date(1990, 1, 1)
"""Older than any digital photo."""


def exif_day(data: bytes) -> date | None:
    """The day in a photo's EXIF data; None if there is none, or it cannot be read.

    No pixel is decoded. EXIF after the pixels of a PNG, which no camera writes, is not found.
    """
    with suppress(Exception):  # Pillow raises exceptions of many types on damaged EXIF.
        exif = Image.Exif()
        exif.load(pixels.open_photo(data).image.info["exif"])
        text = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal]
        return datetime.strptime(text[:10], "%Y:%m:%d").date()
    return None


def day_of_photo(field: str, photo: bytes | None) -> date | None:
    """The day that was sent with the photo in form field ``field``, else the day in its EXIF data.

    Raises:
        Refused: what was sent is not a date, or not a plausible one.
    """
    name = f"{field}_taken"
    text = request.form.get(name, "")
    if not text:
        return _if_plausible(exif_day(photo)) if photo else None
    try:
        day = _if_plausible(date.fromisoformat(text))
    except ValueError:
        day = None
    if day is None:
        raise Refused(
            "bad_date",
            f"Expected a day from {EARLIEST_DAY} to today, as in 2026-05-31, in '{name}'.",
        )
    return day


def _if_plausible(day: date | None) -> date | None:
    # In time zones ahead of UTC, the next day may have begun.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return day if day and EARLIEST_DAY <= day <= tomorrow else None


def chronological(days: dict[str, date | None]) -> tuple[str, str]:
    """The fields of the earlier and the later photo, ordered by their days if both are known."""
    earlier, later = days["earlier"], days["later"]
    swapped = earlier and later and earlier > later
    return ("later", "earlier") if swapped else ("earlier", "later")
