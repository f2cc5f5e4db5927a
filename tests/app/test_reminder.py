"""The reminder: a calendar file for any calendar, which reveals nothing about the skin."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from icalendar import Calendar, Event
from visitor import PALE_PHOTO, PHOTO, SEA_PHOTO, result_address, text, upload_all

from app.reminder import calendar

ADDRESS = "https://example.org/compare"
REVEALING = re.compile(
    r"skin|mole|lesion|spot|benign|malignant|cancer|doctor|haut|fleck|mal|piel|peau|pele|皮肤|痣",
    re.I,
)


def event_of(file: bytes) -> Event:
    return Calendar.from_ical(file).events[0]


@pytest.mark.parametrize(("query", "months"), [("", 3), ("?months=1", 1), ("?months=2", 2)])
def test_the_reminder_is_in_three_months_or_as_chosen(client, query, months):
    before = datetime.now(UTC).date()
    response = client.get(f"/reminder.ics{query}")
    after = datetime.now(UTC).date()
    assert response.content_type == "text/calendar; charset=utf-8"
    assert "filename=reminder.ics" in response.headers["Content-Disposition"]
    interval = relativedelta(months=months)
    assert event_of(response.data).start in (before + interval, after + interval)


@pytest.mark.parametrize("months", ["0", "-3", "6", "12", "three", "3.0", ""])
def test_other_intervals_are_refused(client, months):
    response = client.get(f"/reminder.ics?months={months}")
    assert response.status_code == 404
    assert "There is no page at this address" in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("today", "months", "day"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
    ],
)
def test_if_a_month_is_too_short_the_reminder_is_on_its_last_day(app, today, months, day):
    with app.test_request_context():
        assert event_of(calendar(today, months, ADDRESS)).start == day


def test_the_file_conforms_to_rfc_5545(app):
    with app.test_request_context():
        file = calendar(date(2026, 5, 3), 3, ADDRESS)
    lines = file.split(b"\r\n")
    assert lines[0] == b"BEGIN:VCALENDAR"
    assert lines[-2:] == [b"END:VCALENDAR", b""]
    assert b"\n" not in file.replace(b"\r\n", b"")
    assert max(map(len, lines)) <= 75
    assert Calendar.from_ical(file).errors == []
    for required in (
        b"VERSION:2.0",
        b"PRODID:",
        b"UID:",
        b"DTSTAMP:",
        b"DTSTART;VALUE=DATE:20260803",
    ):
        assert any(line.startswith(required) for line in lines)


def test_the_alarm_is_in_the_morning_and_the_event_blocks_no_time(app):
    with app.test_request_context():
        event = event_of(calendar(date(2026, 5, 3), 3, ADDRESS))
    alarm = event.alarms.times[0]
    assert alarm.trigger.replace(tzinfo=None) == datetime(2026, 8, 3, 9)
    assert event["TRANSP"] == "TRANSPARENT"
    assert event.end - event.start == timedelta(days=1)


@pytest.mark.parametrize("code", ["en", "de", "es", "fr", "pt", "zh_Hans"])
def test_the_title_reveals_nothing_about_health_and_the_event_is_private(client, code):
    event = event_of(client.get(f"/reminder.ics?lang={code}").data)
    alarm = event.walk("VALARM")[0]
    for title in (event["SUMMARY"], alarm["DESCRIPTION"]):
        assert title
        assert not REVEALING.search(title)
    assert event["CLASS"] == "PRIVATE"
    assert "/compare" in event["DESCRIPTION"]


def test_two_reminders_have_different_ids(client):
    first, second = (event_of(client.get("/reminder.ics").data) for _ in range(2))
    assert first["UID"] != second["UID"]


@pytest.mark.parametrize(
    ("photo", "offered"),
    [(PALE_PHOTO, True), (PHOTO, False), (SEA_PHOTO, False)],
    ids=["benign", "malignant", "cannot judge"],
)
def test_a_result_offers_a_reminder_only_with_a_benign_verdict(client, photo, offered):
    page = client.get(result_address(client, photo))
    assert ('action="/reminder.ics"' in page.get_data(as_text=True)) == offered
    assert ("Remind me" in text(page)) == offered


@pytest.mark.parametrize(
    ("photos", "offered"),
    [
        ([PALE_PHOTO, PALE_PHOTO], True),
        ([PALE_PHOTO, SEA_PHOTO], True),
        ([PALE_PHOTO, PHOTO], False),
        ([SEA_PHOTO, SEA_PHOTO], False),
    ],
    ids=["benign", "one benign", "one malignant", "cannot judge"],
)
def test_an_overview_offers_a_reminder_if_a_verdict_is_benign_and_none_is_malignant(
    client, photos, offered
):
    page = client.get(upload_all(client, photos).headers["Location"])
    assert ('action="/reminder.ics"' in page.get_data(as_text=True)) == offered


def test_three_months_are_preselected_and_one_or_two_can_be_chosen(client):
    page = client.get(result_address(client, PALE_PHOTO)).get_data(as_text=True)
    options = re.findall(r'<option value="(\d)"( selected)?>', page)
    assert options == [("1", ""), ("2", ""), ("3", " selected")]
