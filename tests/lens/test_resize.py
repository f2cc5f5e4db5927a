"""The resize gives the same bits on every processor, and nearly the same if Pillow has to do it."""

import corpus
import numpy as np
import painter
import pytest
from PIL import Image

from lens import resize

cykooz_resizer = pytest.importorskip("cykooz_resizer")
PHOTO = Image.fromarray(painter.lesion(size=1300))
WHOLE = (1300.0, 1300.0)


@pytest.mark.parametrize("extensions", ["none", "sse4_1"])
def test_processors_with_and_without_avx2_give_the_same_bits(
    extensions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older_processor() -> "cykooz_resizer.Resizer":
        resizer = cykooz_resizer.Resizer()
        resizer.cpu_extensions = cykooz_resizer.CpuExtensions[extensions]
        return resizer

    here = np.asarray(resize.to_square(PHOTO, WHOLE))
    monkeypatch.setattr(resize, "Resizer", older_processor)
    assert np.array_equal(here, np.asarray(resize.to_square(PHOTO, WHOLE)))


def test_the_fallback_to_pillow_differs_by_a_few_levels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = np.asarray(resize.to_square(PHOTO, WHOLE)).astype(int)
    monkeypatch.setattr(resize, "Resizer", None)
    difference = np.abs(here - np.asarray(resize.to_square(PHOTO, WHOLE)))
    assert difference.max() <= 4
    assert difference.mean() <= 0.2


def test_pixels_are_read_correctly_from_pillows_memory() -> None:
    """The resizer reads the rows of a Pillow image in place, even if its memory is in blocks."""
    noise = corpus.noise(2500)
    data = cykooz_resizer.ImageData(*noise.size, cykooz_resizer.PixelType.U8x3, noise.tobytes())
    small = cykooz_resizer.ImageData(500, 500, cykooz_resizer.PixelType.U8x3)
    bicubic = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.catmull_rom)
    cykooz_resizer.Resizer().resize(data, small, cykooz_resizer.ResizeOptions(bicubic))
    assert resize.to_square(noise, noise.size).tobytes() == small.get_buffer()
