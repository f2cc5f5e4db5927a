"""A calendar file that reminds a person to take another photo. It contains no health data."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from dateutil.relativedelta import relativedelta
from flask_babel import gettext as _
from icalendar import Alarm, Calendar, Event
from icalendar.enums import CLASS, TRANSP

_MORNING = timedelta(hours=9)
"""Time of the alarm, from midnight. Conventional value; not tuned."""


def calendar(today: date, months: int, url: str) -> bytes:
    """An iCalendar file (RFC 5545) with an all-day event ``months`` after ``today``.

    Other people may see the calendar, so the title does not mention skin and the event is private.

    Args:
        today: the first day of the interval. If the last month is too short for such a day, its
            last day is used.
        months: length of the interval.
        url: of the page that compares two photos.
    """
    title = _("Time for a new photo")
    alarm = Alarm.new(description=title)
    alarm.add("action", "DISPLAY")
    alarm.add("trigger", _MORNING)
    event = Event.new(
        summary=title,
        description=_(
            "Take it in the same light and from the same distance as the last one, and put both "
            "side by side: %(address)s",
            address=url,
        ),
        start=today + relativedelta(months=months),
        stamp=datetime.now(UTC),
        uid=uuid4(),
        classification=CLASS.PRIVATE,
        transparency=TRANSP.TRANSPARENT,
        subcomponents=[alarm],
    )
    file: bytes = Calendar.new(prodid="-//MoleLens//EN", subcomponents=[event]).to_ical()
    return file
