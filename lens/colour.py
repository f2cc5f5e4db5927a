"""Convert the colours of an ICC profile to sRGB with LittleCMS."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from lens.arrays import Floats

MAX_PROFILE_BYTES = 4_000_000
"""Larger profiles are ignored. The largest in use, those of printing presses, have up to 3 MB."""

MAX_CACHED_CONVERSIONS = 16
"""The conversion for a printing press takes 2 MB, that for a camera 20 kB."""

# The colour space that a profile must have for pixels of each mode.
_COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
_DEVICE_CLASSES = ("mntr", "scnr", "prtr", "spac")  # No device links and no named colours.

_MAX_SRGB_DIFFERENCE = 1
"""Levels. A profile that changes no colour by more than this counts as sRGB."""

_CURVATURE_STEP = 16
_MAX_CURVATURE = 0.35
"""In levels; see ``_must_precede_resizing``."""


@dataclass(frozen=True)
class Conversion:
    """Converts pixels from a profile's colours to sRGB.

    Attributes:
        transform: of LittleCMS; threads may share it.
        mode: of the pixels it accepts: ``L``, ``RGB`` or ``CMYK``.
        before_resizing: whether pixels must be converted before they are averaged, as for linear
            light, HDR and CMYK. For the curves of cameras and screens (sRGB, gamma 2.2, BT.709),
            the order changes 99.9 % of a photo's pixels by at most 2 levels, 0.1 on average, so
            it is enough to convert 500 x 500 pixels instead of megapixels.
    """

    transform: ImageCms.ImageCmsTransform
    mode: str
    before_resizing: bool

    def __call__(self, image: Image.Image) -> Image.Image:
        """Convert an image to RGB. If ``mode`` is ``L``, grey pixels may be stored as RGB."""
        if image.mode != self.mode:
            image = image.getchannel(0)
        converted = ImageCms.applyTransform(image, self.transform)
        assert converted is not None
        return converted


@dataclass(frozen=True)
class Profile:
    """The colour space that a file declares.

    Attributes:
        icc: an ICC profile, embedded in the file or built from parameters in it; empty for sRGB.
        from_parameters: whether it was built from parameters (code points, gamma, chromaticities),
            which also apply to grey pixels. An embedded profile of grey pixels must itself be grey.
    """

    icc: bytes
    from_parameters: bool = False

    @property
    def is_grey(self) -> bool:
        """Whether the profile's header declares a grey colour space."""
        return self.icc[16:20] == b"GRAY"


SRGB = Profile(b"", from_parameters=True)


class _UnusableProfile:
    """A profile is damaged, oversized or for another kind of pixels."""


_Cached = Conversion | _UnusableProfile | None
_cache: OrderedDict[tuple[bytes, str], _Cached] = OrderedDict()
_lock = threading.Lock()


def conversion(profiles: list[Profile], mode: str) -> Conversion | None:
    """How to convert a photo's pixels to sRGB; None if they are sRGB or must be treated as sRGB.

    Relative colorimetric, with black point compensation. Unusable profiles are skipped: they are no
    reason to refuse a photo.

    Args:
        profiles: the first usable one is applied.
        mode: of the pixels: ``L``, ``RGB`` or ``CMYK``.
    """
    for profile in profiles:
        result = _cached(profile.icc, "RGB" if profile.from_parameters and mode == "L" else mode)
        if not isinstance(result, _UnusableProfile):
            return result
    return None


def _cached(icc: bytes, mode: str) -> _Cached:
    if not icc:
        return None
    if len(icc) > MAX_PROFILE_BYTES:
        return _UnusableProfile()
    key = (hashlib.sha256(icc).digest(), mode)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    result = _build(icc, mode)
    with _lock:
        _cache[key] = result
        while len(_cache) > MAX_CACHED_CONVERSIONS:
            _cache.popitem(last=False)
    return result


def _build(icc: bytes, mode: str) -> _Cached:
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if profile.profile.xcolor_space != _COLOUR_SPACES[mode]:
            return _UnusableProfile()
        if profile.profile.device_class not in _DEVICE_CLASSES:
            return _UnusableProfile()
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode == "CMYK":
            return Conversion(transform, mode, before_resizing=True)
        if _is_srgb(transform, mode):
            return None
        return Conversion(transform, mode, _must_precede_resizing(transform, mode))
    except Exception:  # A damaged profile raises PyCMSError, OSError, ValueError and others.
        return _UnusableProfile()


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, 17)
    red, green, blue = (side.ravel() for side in np.meshgrid(levels, levels, levels))
    colours = np.stack([red, green, blue] if mode == "RGB" else [levels], axis=-1).round()
    difference = np.abs(_converted(transform, mode, colours) - colours).max()
    return bool(difference <= _MAX_SRGB_DIFFERENCE)


def _must_precede_resizing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether converting the mean of two greys differs from the mean of the converted greys."""
    greys = np.arange(40.0, 216.0, 4.0)[:, None].repeat(len(mode), axis=1)
    darker, middle, lighter = (
        _converted(transform, mode, greys + step) for step in (-_CURVATURE_STEP, 0, _CURVATURE_STEP)
    )
    return bool(np.abs((darker + lighter) / 2 - middle).mean() > _MAX_CURVATURE)


def _converted(transform: ImageCms.ImageCmsTransform, mode: str, colours: Floats) -> Floats:
    """Convert colours (n, channels) to float (n, 3)."""
    pixels = Image.frombytes(mode, (len(colours), 1), colours.astype(np.uint8).tobytes())
    return np.asarray(ImageCms.applyTransform(pixels, transform), float)[0]
