"""What people read of a result: its verdict in a line; why there is none, and how to retake it."""

from dataclasses import dataclass

from flask_babel import gettext
from flask_babel import lazy_gettext as _


@dataclass(frozen=True)
class Advice:
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

_OTHER = Advice(
    _("The model is not sure enough about this photo."),
    _("Take a new photo in daylight, sharp, with the spot in the middle."),
)


def headline(verdict: str | None) -> str:
    """The verdict ("benign", "malignant" or None) in one line that stands alone."""
    if verdict == "malignant":
        return gettext("Verdict: malignant. Have this spot checked by a doctor.")
    if verdict == "benign":
        return gettext("Verdict: benign. This is not an all-clear.")
    return gettext("The model cannot judge this photo.")


def advice(reason: str) -> Advice:
    return REASONS.get(reason, _OTHER)
