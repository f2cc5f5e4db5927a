"""Turn the colours of an ICC profile into sRGB, with LittleCMS."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 4_000_000
"""Largest profile read, in bytes; those of printing presses are the largest, with up to 3 MB."""

KEPT = 16
"""Conversions kept; one of a printing press takes 2 MB, one of a camera 20 kB."""

# What a profile's colour space must be, for the pixels of each mode.
_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
_CLASSES = ("mntr", "scnr", "prtr", "spac")  # Not links between devices, nor named colours.
_SAME = 1
"""A profile that moves no colour by more than this many levels is taken for sRGB."""
_STEP = 16
_STRAIGHT = 0.35


@dataclass(frozen=True)
class Conversion:
    """A profile's colours to sRGB.

    Attributes:
        transform: LittleCMS's; threads may share it.
        mode: of the pixels it takes: ``L``, ``RGB`` or ``CMYK``.
        bent: whether pixels must be averaged after it. For the curves of cameras and screens
            (sRGB's, gamma 2.2, BT.709's) the order changes 99.9 % of a photo's pixels by 2 levels
            at most, 0.1 on average, so that 500 x 500 pixels are converted and not megapixels.
            Linear light and HDR are bent.
    """

    transform: ImageCms.ImageCmsTransform
    mode: str
    bent: bool

    def __call__(self, image: Image.Image) -> Image.Image:
        """Convert an image of the mode, or RGB of grey pixels where the mode is ``L``, to RGB."""
        if image.mode != self.mode:
            image = image.getchannel(0)
        converted = ImageCms.applyTransform(image, self.transform)
        assert converted is not None
        return converted


@dataclass(frozen=True)
class Profile:
    """Colours as a file tells them.

    Attributes:
        icc: an ICC profile, embedded or made of numbers; empty for sRGB.
        by_numbers: whether it holds for grey pixels too, whose profile must be grey otherwise.
    """

    icc: bytes
    by_numbers: bool = False


SRGB = Profile(b"", by_numbers=True)

_AS_IT_IS = "is sRGB"
_OF_NO_USE = "is of no use"
_Made = Conversion | str
_kept: OrderedDict[tuple[bytes, str], _Made] = OrderedDict()
_lock = threading.Lock()


def conversion(profiles: list[Profile], mode: str) -> Conversion | None:
    """How a photo's pixels become sRGB; None if they are, or must count as such.

    Relative colorimetric with black point compensation. A profile that is damaged, oversized, or
    not for this kind of pixels is of no use and never a fault of the photo.

    Args:
        profiles: the first that is of use decides.
        mode: of the pixels: ``L``, ``RGB`` or ``CMYK``.
    """
    for profile in profiles:
        made = _made(profile.icc, "RGB" if profile.by_numbers and mode == "L" else mode)
        if made != _OF_NO_USE:
            return made if isinstance(made, Conversion) else None
    return None


def _made(icc: bytes, mode: str) -> _Made:
    if not icc:
        return _AS_IT_IS
    if len(icc) > MAX_PROFILE:
        return _OF_NO_USE
    key = (hashlib.sha256(icc).digest(), mode)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    made = _make(icc, mode)
    with _lock:
        _kept[key] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made


def _make(icc: bytes, mode: str) -> _Made:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if profile.profile.xcolor_space != _SPACES[mode]:
            return _OF_NO_USE
        if profile.profile.device_class not in _CLASSES:
            return _OF_NO_USE
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode == "CMYK":
            return Conversion(transform, mode, bent=True)
        if _changes_nothing(transform, mode):
            return _AS_IT_IS
        return Conversion(transform, mode, _is_bent(transform, mode))
    except Exception:  # PyCMSError, OSError, ValueError: whatever a damaged profile makes it raise.
        return _OF_NO_USE


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, 17)
    red, green, blue = (side.ravel() for side in np.meshgrid(levels, levels, levels))
    colours = np.stack([red, green, blue] if mode == "RGB" else [levels], axis=-1).round()
    return bool(np.abs(_converted(transform, mode, colours) - colours).max() <= _SAME)


def _is_bent(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a grey is converted otherwise than its neighbours, 16 levels off, on average."""
    greys = np.arange(40, 216, 4)[:, None].repeat(len(mode), axis=1)
    below, at, above = (_converted(transform, mode, greys + step) for step in (-_STEP, 0, _STEP))
    return bool(np.abs((below + above) / 2 - at).mean() > _STRAIGHT)


def _converted(transform: ImageCms.ImageCmsTransform, mode: str, colours: np.ndarray) -> np.ndarray:
    """Float (n, 3) of the colours (n, channels)."""
    pixels = Image.frombytes(mode, (len(colours), 1), colours.astype(np.uint8).tobytes())
    return np.asarray(ImageCms.applyTransform(pixels, transform), float)[0]
