"""A comparison of two photos as an A4 page, to print or to take to a doctor."""

from io import BytesIO

from flask_babel import force_locale, format_date
from flask_babel import gettext as _

from app.pair import Pair, Photo
from app.report import PICTURE_MM, Page, details, what_to_do
from app.result_text import headline

_GAP_MM = 10


def pdf(pair: Pair, language: str) -> bytes:
    """The PDF of ``pair``."""
    with force_locale(language):
        page = Page(language)
        _pictures(page, pair)
        title = headline("malignant") if pair.malignant else _("Two photos of one spot")
        page.say(title, 16, "B")
        page.say(
            _("Any change that you see is a reason to see a doctor, whatever both verdicts say.")
        )
        page.say(what_to_do(pair.malignant))
        if pair.uncalibrated:
            page.say(_("The model is uncalibrated: its score is not a probability."))
        page.say(_("For the doctor"), 13, "B", 1)
        for name, photo in _named(pair):
            page.say(f"{name}: {headline(photo.result.verdict)}", 9, "B", 0.5)
            for line in details(photo.result):
                page.say(line, 9, gap=0.5)
            page.ln(2)
        return bytes(page.output())


def _named(pair: Pair) -> list[tuple[str, Photo]]:
    """The two photos, each with a caption: which one it is, and its day."""
    names = (_("Earlier photo"), _("Later photo"))
    days = [
        format_date(photo.taken, "long") if photo.taken else _("Date not given")
        for photo in pair.photos
    ]
    return [
        (f"{name} ({day})", photo)
        for name, day, photo in zip(names, days, pair.photos, strict=True)
    ]


def _pictures(page: Page, pair: Pair) -> None:
    top = page.get_y()
    for number, (name, photo) in enumerate(_named(pair)):
        left = page.l_margin + number * (PICTURE_MM + _GAP_MM)
        page.image(BytesIO(photo.result.photo), left, top, PICTURE_MM, PICTURE_MM, alt_text=name)
        page.set_xy(left, top + PICTURE_MM + 2)
        page.say(name, 9, gap=4, width=PICTURE_MM)
