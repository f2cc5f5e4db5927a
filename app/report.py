"""The result as one A4 page, to print or to take to a doctor."""

from datetime import UTC, datetime
from io import BytesIO

from flask_babel import force_locale, format_datetime
from flask_babel import gettext as _
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos

from app import overlay
from app.card_display import fixed, of_100
from app.result_text import advice, headline
from app.results import Result
from app.settings import ROOT

_PICTURE = 80

CHINESE = ROOT / "app" / "fonts" / "chinese.ttf"
"""Holds the letters of the Chinese catalog; app/fonts/README.md says how it is made."""

# fpdf2's built-in fonts hold Latin-1 only, which is enough for all other languages.
PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2026": "...",
        "\u202f": " ",
    }
)


class _Page(FPDF):
    def __init__(self, language: str) -> None:
        super().__init__(format="A4")
        self.set_title("MoleLens")
        self.set_lang(language.replace("_", "-"))
        self.set_margin(18)
        self._chinese = language == "zh_Hans"
        if self._chinese:
            self.add_font("chinese", fname=CHINESE)
        self.add_page()

    def say(self, text: str, size: int = 11, style: str = "", gap: float = 2) -> None:
        if self._chinese:  # One weight, no spaces between words: size and place must do.
            self.set_font("chinese", size=size)
            wrap = WrapMode.CHAR
        else:
            self.set_font("Helvetica", style, size)
            text = text.translate(PLAIN).encode("latin-1", "replace").decode("latin-1")
            wrap = WrapMode.WORD
        self.multi_cell(0, size * 0.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=wrap)
        self.ln(gap)


def pdf(result: Result, language: str) -> bytes:
    """The PDF of ``result``."""
    with force_locale(language):
        return _pdf(result, language)


def _pdf(result: Result, language: str) -> bytes:
    page = _Page(language)
    page.say("MoleLens", 20, "B", 0)
    page.say(_("A research demonstration. Not a diagnosis, not a medical device."), 10, "", 4)
    _pictures(page, result)
    page.say(headline(result.verdict), 16, "B")
    for line in _lines(result):
        page.say(line)
    page.say(_("For the doctor"), 13, "B", 1)
    for line in _details(result):
        page.say(line, 9, gap=0.5)
    return bytes(page.output())


def _pictures(page: FPDF, result: Result) -> None:
    top = page.get_y()
    page.image(
        BytesIO(result.photo), page.l_margin, top, _PICTURE, _PICTURE, alt_text=_("The photo")
    )
    if result.heat_map is not None:
        blended = overlay.blended_jpeg(result.photo, result.heat_map)
        page.image(
            BytesIO(blended),
            page.l_margin + _PICTURE + 8,
            top,
            _PICTURE,
            _PICTURE,
            alt_text=_("The photo with the heat map"),
        )
    page.set_y(top + _PICTURE + 6)


def _lines(result: Result) -> list[str]:
    if result.probability is None:
        return [str(advice(reason).why) for reason in result.reasons] + [
            _("If the spot worries you, show it to a doctor. Do not wait for a better photo.")
        ]
    lines = []
    if result.calibrated:
        lines.append(
            _(
                "Of 100 photos that look like this to the model, %(count)s were malignant.",
                count=of_100(result.probability),
            )
        )
    else:
        lines.append(_("The model is uncalibrated: its score is not a chance."))
    if result.verdict == "malignant":
        lines.append(
            _(
                "Make an appointment with a doctor, ideally a dermatologist, for this week; sooner "
                "if the spot bleeds, hurts or grows fast. Only an examination, sometimes a tissue "
                "sample, can tell what it is."
            )
        )
    else:
        lines.append(
            _(
                "The model misses some malignant lesions. A spot that is new, changes, itches, "
                "bleeds or worries you belongs in front of a doctor, whatever this page says."
            )
        )
    return lines


def _details(result: Result) -> list[str]:
    when = format_datetime(datetime.fromtimestamp(result.created, UTC), "long")
    lines = [_("Judged: %(when)s", when=when)]
    if result.probability is not None:
        lines.append(
            _(
                "Output p(malignant): %(probability)s. Threshold for malignant: %(threshold)s.",
                probability=fixed(result.probability),
                threshold=fixed(result.threshold),
            )
        )
    if result.sensitivity is not None and result.specificity is not None:
        lines.append(
            _(
                "Measured on test photos: sensitivity %(sensitivity)s, "
                "specificity %(specificity)s.",
                sensitivity=fixed(result.sensitivity),
                specificity=fixed(result.specificity),
            )
        )
    lines.append(_("Model: %(name)s, SHA-256 %(sha256)s", name=result.model, sha256=result.sha256))
    lines.append(
        _("Heat map: stronger colour marks what counted more towards malignant.")
        if result.heat_map
        else _("No heat map.")
    )
    return lines
