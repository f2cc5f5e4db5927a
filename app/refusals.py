"""The reasons to refuse a photo or a request, each with code, HTTP status and message."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask_babel import lazy_gettext as _

from lens.formats import Advice
from lens.images import InvalidImage, UnsupportedImage
from lens.pixels import MAX_PIXELS


@dataclass(frozen=True)
class Refusal:
    """A reason to refuse a request.

    Attributes:
        status: HTTP status.
        title: short English name, for the logs of clients (RFC 9457 ``title``).
        message: for people, in their language.
    """

    status: int
    title: str
    message: str


REFUSALS = {
    "no_file": Refusal(
        400, "No photo", _("No photo was sent. Choose or take a photo, then send it.")
    ),
    "several_files": Refusal(
        400, "More than one photo", _("More than one photo was sent. Send one photo at a time.")
    ),
    "bad_date": Refusal(
        400,
        "Not a day",
        _(
            "This date is not possible. "
            "Choose the day on which the photo was taken, or leave it empty."
        ),
    ),
    "too_many_files": Refusal(400, "Too many photos", _("Too many photos were sent at once.")),
    "malformed_form": Refusal(
        400, "Form cannot be read", _("The upload could not be read. Please send the photo again.")
    ),
    "form_expired": Refusal(
        400,
        "Form expired",
        _(
            "The page was open too long, or your browser did not send its cookie. "
            "Please choose the photo again."
        ),
    ),
    "too_large": Refusal(
        413,
        "Photo too large",
        _("The file is too large. Send a smaller copy, or fewer photos at once."),
    ),
    "unsupported_format": Refusal(
        415,
        "Unsupported format",
        _(
            "This file is not a photo we can read. "
            "Send a JPEG, PNG, WebP, AVIF or HEIC photo, as phones make them."
        ),
    ),
    "empty": Refusal(422, "Empty file", _("The file is empty. Choose the photo again.")),
    "damaged": Refusal(
        422,
        "Damaged image",
        _("The photo is damaged or incomplete. Send it again, or take a new one."),
    ),
    "too_many_pixels": Refusal(
        422,
        "Too many pixels",
        _(
            "The photo has too many pixels. "
            "Send a smaller copy, preferably as a JPEG of at most %(most)s megapixels.",
            most=MAX_PIXELS // 1_000_000,
        ),
    ),
    "too_small": Refusal(
        422,
        "Too few pixels",
        _("The photo is too small. Send the original photo, not a thumbnail."),
    ),
    "rate_limit": Refusal(
        429,
        "Too many requests",
        _("Too many requests came in a short time. Please try again later."),
    ),
    "busy": Refusal(
        503,
        "Busy",
        _("MoleLens is busy just now and did not look at your photo. Try again in a few seconds."),
    ),
    "store_unavailable": Refusal(
        503,
        "Results cannot be kept",
        _("MoleLens cannot keep results just now. Your photo was not kept. Try again in a minute."),
    ),
    "store_unreachable": Refusal(
        503,
        "Results cannot be reached",
        _(
            "Results cannot be reached just now, so nothing was shown or deleted. "
            "Please try again in a minute."
        ),
    ),
}


UNSUPPORTED_TYPES = {
    Advice.PICTURE: lambda type_name: _(
        "This is a file of type %(type)s, which we cannot read. "
        "Open it in an image program, save it as a JPEG or PNG, and send that.",
        type=type_name,
    ),
    Advice.RAW: lambda type_name: _(
        "This is a file of type %(type)s, which we cannot read. "
        "Send the JPEG that the camera saved too, or export one.",
        type=type_name,
    ),
    Advice.DOCUMENT: lambda type_name: _(
        "This is a file of type %(type)s, not a photo. "
        "Send the photo itself, as a JPEG, PNG, WebP, AVIF or HEIC.",
        type=type_name,
    ),
    Advice.VIDEO: lambda type_name: _(
        "This is a video (%(type)s), not a photo. Send a photo instead.", type=type_name
    ),
}
"""Messages for people about unsupported files of known types."""


class Refused(Exception):
    """A request is refused.

    Attributes:
        code: a key of REFUSALS.
        detail: one English sentence for clients of the API.
        retry_after: seconds, or None.
        message: for people; by default that of the code.
        field: the form field of the refused photo, if a form has several.
    """

    field = ""

    def __init__(
        self, code: str, detail: str = "", retry_after: int | None = None, message: str = ""
    ) -> None:
        self.code = code
        self.refusal = REFUSALS[code]
        self.detail = detail or f"{self.refusal.title}."
        self.retry_after = retry_after
        self.message = message or self.refusal.message
        super().__init__(self.detail)


@contextmanager
def tag_refusals(field: str) -> Iterator[None]:
    """Set ``field`` on refusals that are raised within the ``with`` block."""
    try:
        yield
    except Refused as error:
        error.field = field
        raise


def for_image(error: InvalidImage) -> Refused:
    """The refusal for a file that ``lens.images`` cannot decode."""
    if isinstance(error, UnsupportedImage):
        file_type = error.file_type
        message = UNSUPPORTED_TYPES[file_type.advice](file_type.name) if file_type else ""
        return Refused("unsupported_format", str(error), message=message)
    return Refused(error.reason if error.reason in REFUSALS else "damaged", str(error))
