"""A comparison of two photos as an A4 page, to print or to take to a doctor."""

from io import BytesIO

from flask_babel import force_locale, format_date
from flask_babel import gettext as _

from app.pair import Pair, Photo
from app.report import PICTURE_MM, Page, details, what_to_do
from app.result_text import headline

_GAP_MM = 10  # Between the two pictures.


def pdf(pair: Pair, language: str) -> bytes:
    """The PDF of ``pair``."""
    with force_locale(language):
        page = Page(language)
        _pictures(page, pair)
        title = headline("malignant") if pair.malignant else _("Two photos of one spot")
        page.write_paragraph(title, 16, "B")
        page.write_paragraph(
            _("Any change that you see is a reason to see a doctor, whatever the two verdicts say.")
        )
        page.write_paragraph(what_to_do(pair.malignant))
        if pair.uncalibrated:
            page.write_paragraph(_("The model is uncalibrated: its score is not a probability."))
        page.write_paragraph(_("For the doctor"), 13, "B", 1)
        for caption, photo in _captioned(pair):
            page.write_paragraph(f"{caption}: {headline(photo.result.verdict)}", 9, "B", 0.5)
            for line in details(photo.result):
                page.write_paragraph(line, 9, gap=0.5)
            page.ln(2)
        return bytes(page.output())


def _captioned(pair: Pair) -> list[tuple[str, Photo]]:
    """The two photos, each after its caption: earlier or later, and the date."""
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
    for number, (caption, photo) in enumerate(_captioned(pair)):
        left = page.l_margin + number * (PICTURE_MM + _GAP_MM)
        picture = BytesIO(photo.result.photo)
        page.image(picture, left, top, PICTURE_MM, PICTURE_MM, alt_text=caption)
        page.set_xy(left, top + PICTURE_MM + 2)
        page.write_paragraph(caption, 9, gap=4, width=PICTURE_MM)
