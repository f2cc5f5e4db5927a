"""The text of a result: the verdict, or why there is none and how to retake the photo."""

from dataclasses import dataclass

from flask_babel import gettext
from flask_babel import lazy_gettext as _

from app.card_display import of_100


@dataclass(frozen=True)
class Advice:
    """Why a photo cannot be judged, and how to retake it."""

    why: str
    retake: str


REASONS = {
    "too_dark": Advice(
        _("The photo is too dark."),
        _("Go to a window or outside, in the shade, and keep your own shadow off the spot."),
    ),
    "too_bright": Advice(
        _("The photo is too bright: details are washed out."),
        _("Turn the flash off and avoid direct sun on the skin."),
    ),
    "blurred": Advice(
        _("The photo is blurred."),
        _(
            "Hold the phone still, about 10 cm away, tap the spot on the screen to focus, "
            "and wait until it is sharp."
        ),
    ),
    "flat": Advice(
        _("The photo shows almost no detail."),
        _("Make sure that nothing covers the lens and that the spot is in the middle."),
    ),
    "not_a_lesion": Advice(
        _("The photo does not look like a close-up of a spot on skin."),
        _("Go closer, so that the spot fills about a third of the photo, with skin all around."),
    ),
}

_DEFAULT_ADVICE = Advice(
    _("The model is not sure enough about this photo."),
    _("Take a new photo in daylight, sharp, with the spot in the middle."),
)


def headline(verdict: str | None) -> str:
    """The verdict ("benign", "malignant" or None) in one line."""
    if verdict == "malignant":
        return gettext("Verdict: malignant. Have this spot checked by a doctor.")
    if verdict == "benign":
        return gettext("Verdict: benign. This is not an all-clear.")
    return gettext("The model cannot judge this photo.")


def benign_lead(melanomas_found: float | None) -> str:
    """The text below a benign verdict.

    Args:
        melanomas_found: the share of melanomas found in tests on photos of this kind, 0-1; None if
            it was not measured.
    """
    lead = gettext(
        "The model sees this spot as benign. That is not an all-clear: the model misses some "
        "malignant lesions."
    )
    if melanomas_found is None:
        return lead
    missed = gettext(
        "In tests on photos of this kind it missed %(missed)s of 100 melanomas.",
        missed=of_100(1 - melanomas_found),
    )
    return f"{lead} {missed}"


def advice(reason: str) -> Advice:
    return REASONS.get(reason, _DEFAULT_ADVICE)


def kind_line(kind: str | None) -> str:
    """A sentence on the kind of photo that the model recognised; "" if it recognises none."""
    if kind == "clinical":
        return gettext("The model recognised this as a close-up taken with a phone or camera.")
    if kind == "dermoscopic":
        return gettext("The model recognised this as a photo taken through a dermatoscope.")
    return ""
