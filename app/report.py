"""A result as an A4 page, to print or to take to a doctor."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from flask_babel import force_locale, format_datetime
from flask_babel import gettext as _
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos

from app import overlay
from app.card_display import counts_beside, scores_beside, three_decimals
from app.result_text import advice, headline, kind_line
from app.results import Result

PICTURE_MM = 80

CHINESE_FONT = Path(__file__).parent / "fonts" / "chinese.ttf"
"""Contains only the characters of the Chinese translation; see app/fonts/README.md."""

# fpdf2's built-in fonts have Latin-1 only, which is enough for all other languages.
_TO_LATIN_1 = str.maketrans({**dict(zip("‘’“”–—\u202f", "''\"\"-- ", strict=True)), "…": "..."})


class Page(FPDF):
    """An A4 page in one language, with the name MoleLens and a disclaimer at the top."""

    def __init__(self, language: str) -> None:
        super().__init__(format="A4")
        self.set_title("MoleLens")
        self.set_lang(language.replace("_", "-"))
        self.set_margin(18)
        self._chinese = language == "zh_Hans"
        if self._chinese:
            self.add_font("chinese", fname=CHINESE_FONT)
        self.add_page()
        self.write_paragraph("MoleLens", 20, "B", 0)
        self.write_paragraph(
            _("A research demonstration. Not a diagnosis, not a medical device."), 10, "", 4
        )

    def write_paragraph(
        self, text: str, size: int = 11, style: str = "", gap: float = 2, width: float = 0
    ) -> None:
        """Write ``text``, ``width`` mm wide (0: up to the margin), and leave ``gap`` mm below."""
        if self._chinese:  # The font has no bold style, and lines may break anywhere.
            self.set_font("chinese", size=size)
            wrap = WrapMode.CHAR
        else:
            self.set_font("Helvetica", style, size)
            text = text.translate(_TO_LATIN_1).encode("latin-1", "replace").decode("latin-1")
            wrap = WrapMode.WORD
        self.multi_cell(width, size * 0.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=wrap)
        self.ln(gap)


def pdf(result: Result, language: str) -> bytes:
    """The PDF of ``result``."""
    with force_locale(language):
        page = Page(language)
        _pictures(page, result)
        page.write_paragraph(headline(result.verdict), 16, "B")
        for line in _lines(result):
            page.write_paragraph(line)
        page.write_paragraph(_("For the doctor"), 13, "B", 1)
        heat_map = _(
            "The stronger and lighter the colour, the more that part counted towards malignant. "
            "It shows where the model looked, not where a disease is."
        )
        for line in (*details(result), heat_map if result.heat_map else _("No heat map.")):
            page.write_paragraph(line, 9, gap=0.5)
        return bytes(page.output())


def _pictures(page: Page, result: Result) -> None:
    top = page.get_y()
    page.image(
        BytesIO(result.photo), page.l_margin, top, PICTURE_MM, PICTURE_MM, alt_text=_("The photo")
    )
    if result.heat_map is not None:
        blended = BytesIO(overlay.blended_jpeg(result.photo, result.heat_map))
        left = page.l_margin + PICTURE_MM + 8
        description = _("The photo with the heat map")
        page.image(blended, left, top, PICTURE_MM, PICTURE_MM, alt_text=description)
    page.set_y(top + PICTURE_MM + 6)


def _lines(result: Result) -> list[str]:
    if result.probability is None:
        return [str(advice(reason).why) for reason in result.reasons] + [
            _("If the spot worries you, show it to a doctor. Do not wait for a better photo.")
        ]
    if result.calibrated:
        certainty = _(
            "Of 100 photos that look like this to the model, %(count)s were malignant.",
            count=counts_beside(result.probability, result.threshold)[0],
        )
    else:
        certainty = _("The model is uncalibrated: its score is not a probability.")
    return [certainty, what_to_do(result.verdict == "malignant")]


def what_to_do(malignant: bool) -> str:
    """What a person with this verdict should do."""
    if malignant:
        return _(
            "Make an appointment with a doctor, ideally a dermatologist, for this week; sooner "
            "if the spot bleeds, hurts or grows fast. Only an examination, sometimes a tissue "
            "sample, can tell what it is."
        )
    return _(
        "The model misses some malignant lesions. A spot that is new, changes, itches, "
        "bleeds or worries you should be checked by a doctor, whatever this page says."
    )


def details(result: Result) -> list[str]:
    """Details of a result for a doctor."""
    when = format_datetime(datetime.fromtimestamp(result.created, UTC), "long")
    lines = [_("Judged: %(when)s", when=when)]
    if result.probability is not None:
        output, threshold = scores_beside(result.probability, result.threshold, digits=3)
        lines.append(
            _(
                "Output p(malignant): %(probability)s. Threshold for malignant: %(threshold)s.",
                probability=output,
                threshold=threshold,
            )
            if result.calibrated
            else _(
                "Score: %(score)s. Threshold for malignant: %(threshold)s.",
                score=output,
                threshold=threshold,
            )
        )
    if result.sensitivity is not None and result.specificity is not None:
        lines.append(
            _(
                "Measured on test photos: sensitivity %(sensitivity)s, "
                "specificity %(specificity)s.",
                sensitivity=three_decimals(result.sensitivity),
                specificity=three_decimals(result.specificity),
            )
        )
    if result.kind:
        lines.append(kind_line(result.kind))
    lines.append(_("Model: %(name)s, SHA-256 %(sha256)s", name=result.model, sha256=result.sha256))
    return lines
