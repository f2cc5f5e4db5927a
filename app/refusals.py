"""Every way a photo or a request is turned down: its code, its status, and what to say."""

from dataclasses import dataclass

from flask_babel import lazy_gettext as _

from lens.formats import Family
from lens.images import InvalidImage, UnsupportedImage


@dataclass(frozen=True)
class Kind:
    """What a refusal's code stands for.

    Attributes:
        status: HTTP status.
        title: short English name, for programs' logs (RFC 9457 ``title``).
        words: what the person reads, in their language.
    """

    status: int
    title: str
    words: str


KINDS = {
    "no_file": Kind(
        400,
        "No photo",
        _("No photo was sent. Choose or take a photo, then send it."),
    ),
    "several_files": Kind(
        400,
        "More than one photo",
        _("More than one photo was sent. Send one photo at a time."),
    ),
    "too_many_files": Kind(
        400,
        "Too many photos",
        _("Too many photos were sent at once. Send at most 10."),
    ),
    "form_expired": Kind(
        400,
        "Form expired",
        _(
            "The page was open too long, or your browser did not send its cookie. "
            "Please choose the photo again."
        ),
    ),
    "too_large": Kind(
        413,
        "Photo too large",
        _("The file is too large. Send a smaller copy, or fewer photos at once."),
    ),
    "unsupported_format": Kind(
        415,
        "Unsupported format",
        _(
            "This file is not a photo we can read. "
            "Send a JPEG, PNG, WebP, AVIF or HEIC photo, as phones make them."
        ),
    ),
    "empty": Kind(422, "Empty file", _("The file is empty. Choose the photo again.")),
    "damaged": Kind(
        422,
        "Damaged image",
        _("The photo is damaged or incomplete. Send it again, or take a new one."),
    ),
    "too_many_pixels": Kind(
        422,
        "Too many pixels",
        _(
            "The photo has too many pixels. "
            "Send a smaller copy, best as a JPEG of at most 40 megapixels."
        ),
    ),
    "too_small": Kind(
        422,
        "Too few pixels",
        _("The photo is too small. Send the original photo, not a thumbnail."),
    ),
    "rate_limit": Kind(
        429,
        "Too many requests",
        _("Too many photos were sent in a short time. Please wait a minute and try again."),
    ),
    "busy": Kind(
        503,
        "Busy",
        _("MoleLens is busy just now and did not look at your photo. Try again in a few seconds."),
    ),
    "store_unavailable": Kind(
        503,
        "Results cannot be kept",
        _("MoleLens cannot keep results just now. Your photo was not kept. Try again in a minute."),
    ),
    "store_unreachable": Kind(
        503,
        "Results cannot be reached",
        _(
            "Results cannot be reached just now, so nothing was shown or deleted. "
            "Please try again in a minute."
        ),
    ),
}


NAMED = {
    Family.PICTURE: lambda kind: _(
        "This is a file of type %(kind)s, which we cannot read. "
        "Open it in an image program, save it as a JPEG or PNG, and send that.",
        kind=kind,
    ),
    Family.RAW: lambda kind: _(
        "This is a file of type %(kind)s, which we cannot read. "
        "Send the JPEG that the camera saved too, or export one.",
        kind=kind,
    ),
    Family.DOCUMENT: lambda kind: _(
        "This is a file of type %(kind)s, not a photo. "
        "Send the photo itself, as a JPEG, PNG, WebP, AVIF or HEIC.",
        kind=kind,
    ),
    Family.VIDEO: lambda kind: _(
        "This is a video (%(kind)s), not a photo. Send a photo instead.", kind=kind
    ),
}
"""What the person reads where the kind of an unsupported file is known."""


class Refused(Exception):
    """A request is turned down.

    Attributes:
        code: a key of KINDS.
        detail: one English sentence for programs.
        retry_after: seconds, or None.
        words: what the person reads; those of the code, where none are given.
    """

    def __init__(
        self, code: str, detail: str = "", retry_after: int | None = None, words: str = ""
    ) -> None:
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail or f"{self.kind.title}."
        self.retry_after = retry_after
        self.words = words or self.kind.words
        super().__init__(self.detail)


def of_image(error: InvalidImage) -> Refused:
    """The refusal for a file that lens.images cannot decode."""
    if isinstance(error, UnsupportedImage):
        words = NAMED[error.kind.family](error.kind.name) if error.kind else ""
        return Refused("unsupported_format", str(error), words=words)
    return Refused(error.reason if error.reason in KINDS else "damaged", str(error))
