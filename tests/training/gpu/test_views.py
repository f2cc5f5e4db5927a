"""A view depends only on its number, and shows the same picture at any size."""

from io import BytesIO

import numpy as np
import painter
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from training.gpu.draws import Draws  # noqa: E402
from training.gpu.jpeg import compress  # noqa: E402
from training.gpu.photos import Photos, TrainingSet, with_rims  # noqa: E402
from training.gpu.recipe import H100  # noqa: E402
from training.gpu.views import ViewMaker, Views  # noqa: E402

COUNT = 8


def on_device(*colours: tuple[int, int, int]) -> Photos:
    painted = [painter.lesion(seed, colour, 500) for seed, colour in enumerate(colours)]
    return with_rims(torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).contiguous())


@pytest.fixture(scope="module")
def make_views() -> ViewMaker:
    labels = torch.tensor([1.0, 0.0, 1.0, 0.0])
    data = TrainingSet(
        lesions=on_device(painter.DARK, painter.PALE, painter.DARK, painter.PALE),
        weights=torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64),
        malignant=labels,
        clinical=1 - labels,
        diagnosis=labels.long(),
        others=on_device((10, 40, 220)),
    )
    return ViewMaker(data, H100, seed=0, mix_share=0.25)


@pytest.fixture(scope="module")
def views(make_views: ViewMaker) -> Views:
    return make_views(0, COUNT, 500)


def difference(one: Views, other: Views) -> torch.Tensor:
    """Mean difference of each view in grey levels, at 25 px, where noise averages out."""
    coarse = [functional.avg_pool2d(v.pixels, v.pixels.shape[-1] // 25) for v in (one, other)]
    return (coarse[0] - coarse[1]).abs().mean((1, 2, 3))


@pytest.mark.parametrize("size", [250, 125])
def test_a_view_made_again_at_another_size_shows_the_same_picture(
    make_views: ViewMaker, views: Views, size: int
) -> None:
    again = make_views(0, COUNT, size)
    assert again.pixels.shape == (COUNT, 3, size, size)
    for one, other in zip(views[1:], again[1:], strict=True):
        assert torch.equal(one, other)
    assert difference(views, again).max() < 4
    assert difference(views, make_views(1, COUNT, size)).median() > 20


def test_a_view_made_again_at_the_same_size_is_the_same(
    make_views: ViewMaker, views: Views
) -> None:
    assert torch.equal(make_views(0, COUNT, 500).pixels, views.pixels)


def test_the_first_views_of_a_batch_show_no_lesion(views: Views) -> None:
    assert views.is_lesion.tolist() == [0.0] + [1.0] * (COUNT - 1)
    red, _, blue = views.pixels[:, :, 200:300, 200:300].mean((2, 3)).unbind(1)
    assert blue[0] > 2 * red[0]


def test_a_turned_view_keeps_its_lesion_and_colours(make_views: ViewMaker, views: Views) -> None:
    turned = make_views(0, COUNT, 250, turn=5)
    for one, other in zip(views[1:], turned[1:], strict=True):
        assert torch.equal(one, other)
    assert difference(views, turned).mean() > 4
    means = [v.pixels.mean((2, 3)) for v in (views, turned)]
    assert (means[0] - means[1]).abs().median() < 4


def test_a_turned_view_is_a_view_that_was_turned_as_a_whole(
    make_views: ViewMaker, views: Views
) -> None:
    turned = make_views(0, COUNT, 500, turn=5)
    for before, after in zip(views.pixels, turned.pixels, strict=True):
        turns = [torch.rot90(before, quarters, (1, 2)) for quarters in range(4)]
        assert any(torch.equal(after, turn) for turn in [*turns, *(t.flip(2) for t in turns)])
    assert not torch.equal(turned.pixels, views.pixels)
    assert (views.whole == 0).any()


def test_lesions_are_drawn_in_proportion_to_their_weights() -> None:
    sums = torch.tensor([0.1, 0.1, 0.4, 1.0], dtype=torch.float64)
    drawn = Draws(0, 0, 20_000, torch.device("cpu")).weighted(sums)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0.1, 0, 0.3, 0.6], abs=0.015)


@pytest.mark.parametrize("quality", [35, 60, 90])
def test_simulated_jpeg_compression_resembles_pillows(quality: int) -> None:
    photo = painter.lesion(0, size=240)
    buffer = BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
    expected = np.asarray(Image.open(buffer), np.float32)
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    simulated = compress(pixels, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    loss = np.abs(expected - photo).mean()
    assert np.abs(simulated - expected).mean() < 0.45 * loss
