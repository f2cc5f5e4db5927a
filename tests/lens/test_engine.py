"""The engines: both give the same outputs, a model is converted once, and the cache is verified."""

import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from serving import ROOT, fill_disk, small_disk

from lens import artifact, loader, model_cache, openvino_runtime
from lens.card import Card
from lens.engine import Engine, EngineError, KerasEngine, open_engine
from lens.images import SIZE

SHAPE = (SIZE, SIZE, 3)


def small_network(filters: int = 4):
    """A network like ours, but small enough to convert in seconds; it scales the pixels itself."""
    import keras
    from keras import layers

    pixels = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Conv2D(filters, 7, strides=4, activation="relu")(x)
    x = layers.BatchNormalization()(layers.MaxPooling2D(4)(x))
    heat_map = layers.Conv2D(1, 3, dtype="float32", name="heat_map")(x)
    logit = layers.GlobalAveragePooling2D(dtype="float32")(heat_map)
    malignant = layers.Activation("sigmoid", dtype="float32", name="malignant")(logit)
    pooled = layers.GlobalAveragePooling2D(dtype="float32")(x)
    lesion = layers.Dense(1, activation="sigmoid", dtype="float32", name="lesion")(pooled)
    kind = layers.Dense(1, activation="sigmoid", dtype="float32", name="kind")(pooled)
    outputs = {"malignant": malignant, "heat_map": heat_map, "lesion": lesion, "kind": kind}
    return keras.Model(pixels, outputs)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file from training in mixed precision."""
    import keras

    path = tmp_path_factory.mktemp("model") / "small.h5"
    policy = keras.mixed_precision.dtype_policy()
    keras.utils.set_random_seed(3)
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        artifact.save(small_network(), path, Card(name="small"))
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    return path


@pytest.fixture(scope="module")
def warm_cache(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the model, converted in a real child process."""
    cache = tmp_path_factory.mktemp("cache")
    open_engine(model, "openvino", cache)
    return cache


@pytest.fixture(scope="module")
def engines(model: Path, warm_cache: Path) -> dict[str, Engine]:
    """Both engines on the same file, each with one thread."""
    return {kind: open_engine(model, kind, warm_cache, threads=1) for kind in ("openvino", "keras")}


@pytest.fixture
def cache(warm_cache: Path, tmp_path: Path) -> Path:
    """A copy of the warm cache that a test may damage."""
    return Path(shutil.copytree(warm_cache, tmp_path / "cache"))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (8, *SHAPE), dtype=np.uint8)


@pytest.fixture
def conversion_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process for conversions cannot start."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")


def cache_entry(cache: Path) -> Path:
    return next(path.parent for path in cache.glob(f"*/{model_cache.RECORD}"))


def test_openvino_and_keras_give_the_same_outputs(
    engines: dict[str, Engine], images: np.ndarray
) -> None:
    assert [engine.name for engine in engines.values()] == ["openvino", "keras"]
    ours, theirs = engines["openvino"].run(images), engines["keras"].run(images)
    assert ours.malignant.dtype == np.float32
    assert ours.malignant.shape == (8,)
    assert np.ptp(theirs.malignant) > 1e-5  # The outputs do differ between images.
    rounds = openvino_runtime.precisions() != openvino_runtime.FLOAT32
    allowed = model_cache.MAX_ROUNDING if rounds else model_cache.MAX_DIFFERENCE
    for name in ("malignant", "lesion", "clinical"):
        difference = np.abs(getattr(ours, name) - getattr(theirs, name)).max()
        assert difference <= allowed, name
    assert ours.heat_map is not None
    assert theirs.heat_map is not None
    np.testing.assert_allclose(ours.heat_map, theirs.heat_map, rtol=0.02, atol=0.02)


def test_a_model_that_is_replaced_while_it_is_converted_is_not_cached_under_its_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(model, tmp_path / "model.h5"))
    convert = model_cache._convert

    def replace_and_convert(path: Path, *arguments: object) -> None:
        artifact.write_card(path, dataclasses.replace(artifact.read_card(path), command="another"))
        convert(path, *arguments)

    monkeypatch.setattr(model_cache, "_convert", replace_and_convert)
    with pytest.raises(artifact.InvalidModel, match="replaced while it was being converted"):
        open_engine(path, "openvino", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob(f"*/{model_cache.RECORD}"))


def test_an_image_gets_the_same_output_alone_and_in_a_batch(
    engines: dict[str, Engine], images: np.ndarray
) -> None:
    engine = engines["openvino"]
    np.testing.assert_array_equal(
        engine.run(images[3:4]).malignant, engine.run(images).malignant[3:4]
    )


def test_a_non_contiguous_array_is_read_correctly(
    engines: dict[str, Engine], images: np.ndarray
) -> None:
    engine = engines["openvino"]
    turned = np.rot90(images[:1], axes=(1, 2))
    np.testing.assert_array_equal(
        engine.run(turned).malignant, engine.run(np.ascontiguousarray(turned)).malignant
    )


def test_serving_a_converted_model_imports_no_tensorflow_and_sends_no_usage_data(
    model: Path, warm_cache: Path
) -> None:
    code = (
        "import sys, numpy\n"
        "from lens.engine import open_engine\n"
        "engine = open_engine(sys.argv[1], 'auto', sys.argv[2])\n"
        "engine.run(numpy.zeros((1, 500, 500, 3), numpy.uint8))\n"
        "heavy = {'tensorflow', 'keras', 'openvino.tools.ovc', 'openvino_telemetry'}\n"
        "print(engine.name, sorted(heavy & {name for name, m in sys.modules.items() if m}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, model, warm_cache],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "openvino []\n"


@pytest.mark.usefixtures("conversion_fails")
def test_a_second_start_does_not_convert_again(model: Path, warm_cache: Path) -> None:
    assert open_engine(model, "auto", warm_cache).name == "openvino"


def test_two_simultaneous_starts_convert_once_and_repair_a_damaged_cache(
    model: Path, cache: Path, images: np.ndarray
) -> None:
    weights = cache_entry(cache) / "model.bin"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + b"\0\0\0\1")
    code = (
        "import sys, logging\n"
        "logging.basicConfig(level=logging.INFO, format='%(levelname)s %(message)s')\n"
        "from lens.engine import open_engine\n"
        "print(open_engine(sys.argv[1], 'openvino', sys.argv[2]).name)\n"
    )
    command = [sys.executable, "-c", code, str(model), str(cache)]
    starts = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [start.communicate() for start in starts]
    assert [out for out, _ in outputs] == ["openvino\n", "openvino\n"]
    log = "".join(err for _, err in outputs)
    assert "WARNING" in log
    assert "does not match its checksums" in log
    assert log.count("Converting") == 1
    assert weights.read_bytes() == whole


@pytest.mark.parametrize(
    ("damage", "warning"),
    [
        (lambda entry: (entry / "record.json").write_text("{"), "is damaged"),
        (lambda entry: (entry / "record.json").write_text("[]"), "is damaged"),
        (lambda entry: (entry / "record.json").unlink(), "is damaged"),
        (lambda entry: (entry / "model.bin").unlink(), "is damaged"),
        (lambda entry: (entry / "model.xml").write_text("<net/>"), "checksums"),
    ],
    ids=["record is no JSON", "record is a list", "no record", "no weights", "another graph"],
)
@pytest.mark.usefixtures("conversion_fails")
def test_a_damaged_entry_is_never_served(
    model: Path, cache: Path, damage, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(cache_entry(cache))
    # Nothing can be converted here, so an engine that starts would serve the damaged entry.
    with pytest.raises(EngineError, match="cannot run the model"):
        open_engine(model, "openvino", cache)
    assert warning in caplog.text


@pytest.mark.usefixtures("conversion_fails")
def test_a_cache_that_cannot_be_written_is_bypassed_with_a_warning(
    model: Path,
    warm_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    no_folder = tmp_path / "file"
    no_folder.write_text("not a folder")
    private = tmp_path / f"molelens-cache-{os.getuid()}"
    shutil.copytree(warm_cache, private)
    private.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert open_engine(model, "openvino", no_folder).name == "openvino"
    assert f"The model cache {no_folder} cannot be used" in caplog.text


@pytest.mark.usefixtures("conversion_fails")
def test_a_cache_on_a_full_disk_is_bypassed_with_a_warning(
    model: Path,
    warm_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    private = Path(shutil.copytree(warm_cache, tmp_path / f"molelens-cache-{os.getuid()}"))
    private.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with small_disk(tmp_path / "full", 100_000) as full:
        fill_disk(full)
        assert open_engine(model, "openvino", full).name == "openvino"
    assert "No space left on device" in caplog.text


def test_a_temporary_folder_that_others_can_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    planted = tmp_path / f"molelens-cache-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert model_cache._private_temporary_folder() != planted


@pytest.mark.parametrize("kind", ["auto", "openvino"])
def test_keras_serves_with_a_warning_if_openvino_differs(
    model: Path, cache: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = cache_entry(cache) / model_cache.RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "difference": 0.0021}))
    assert open_engine(model, kind, cache).name == "keras"
    ours = [record for record in caplog.records if record.name.startswith("lens")]
    assert [record.levelno for record in ours] == [logging.WARNING]
    assert "0.0021" in caplog.text


def test_the_parity_check_detects_another_network(warm_cache: Path) -> None:
    import keras

    from lens import convert

    keras.utils.set_random_seed(4)
    other = small_network(filters=8)
    other.get_layer("lesion").bias.assign([1.0])
    _, difference = convert.choose_precision(
        other, cache_entry(warm_cache) / "model.xml", openvino_runtime.precisions()
    )
    assert difference > model_cache.MAX_DIFFERENCE


@pytest.mark.parametrize(
    ("max_rounding", "expected"), [(1.0, "bf16"), (-1.0, "f32")], ids=["little", "much"]
)
def test_bf16_is_chosen_only_if_it_changes_little(
    model: Path,
    warm_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_rounding: float,
    expected: str,
) -> None:
    from lens import convert

    monkeypatch.setattr(model_cache, "MAX_ROUNDING", max_rounding)
    network = loader.load_network(model)
    xml = cache_entry(warm_cache) / "model.xml"
    precision, difference = convert.choose_precision(network, xml, ["bf16", "f32"])
    assert precision == expected
    assert difference <= model_cache.MAX_DIFFERENCE


def test_parity_images_are_reproducible_and_all_different() -> None:
    from lens import convert

    images = convert.parity_images()
    assert images.shape == (8, *SHAPE)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, convert.parity_images())
    assert len({image.tobytes() for image in images}) == 8


@pytest.mark.parametrize("kind", ["openvino", "keras"])
def test_concurrent_threads_get_the_same_outputs_as_a_single_one(
    engines: dict[str, Engine], images: np.ndarray, kind: str
) -> None:
    engine = engines[kind]
    expected = engine.run(images).malignant
    wrong: list[int] = []

    def run(i: int) -> None:
        for _ in range(5):
            if engine.run(images[i : i + 1]).malignant[0] != pytest.approx(expected[i], abs=1e-6):
                wrong.append(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(SHAPE, np.uint8),
        np.zeros((0, *SHAPE), np.uint8),
        np.zeros((1, SIZE, SIZE), np.uint8),
        np.zeros((1, 256, 256, 3), np.uint8),
        np.zeros((1, *SHAPE), np.float32),
    ],
    ids=["no batch", "empty batch", "grey", "other size", "floats"],
)
@pytest.mark.parametrize("kind", ["openvino", "keras"])
def test_arrays_of_another_shape_or_type_are_refused(
    engines: dict[str, Engine], array: np.ndarray, kind: str
) -> None:
    engine = engines[kind]
    with pytest.raises(EngineError, match=r"Expected uint8 images of shape \(n, 500, 500, 3\)"):
        engine.run(array)


def test_a_network_whose_output_is_nan_is_refused(model: Path, tmp_path: Path) -> None:
    import keras

    broken = keras.models.load_model(model, compile=False)
    broken.get_layer("heat_map").bias.assign([float("nan")])
    path = tmp_path / "nan.h5"
    artifact.save(broken, path, Card(name="nan"))
    with pytest.raises(artifact.InvalidModel, match="its output is not finite"):
        KerasEngine(path)


@pytest.mark.parametrize("bias", [-2.0, 1.2])
def test_a_network_whose_output_is_no_probability_is_refused(tmp_path: Path, bias: float) -> None:
    import keras
    from keras import layers

    path = tmp_path / "logits.h5"
    pixels = keras.Input((64, 64, 3))
    logit = layers.Dense(1, bias_initializer=keras.initializers.Constant(bias))
    keras.Model(pixels, logit(layers.GlobalAveragePooling2D()(pixels))).save(path)
    with pytest.raises(artifact.InvalidModel, match="its output is no probability"):
        KerasEngine(path)


def test_a_network_with_one_output_has_neither_heat_map_nor_lesion_nor_kind(tmp_path: Path) -> None:
    import keras
    from keras import layers

    path = tmp_path / "foreign.h5"
    pixels = keras.Input((64, 64, 3))
    x = layers.GlobalAveragePooling2D()(pixels)
    keras.Model(pixels, layers.Dense(1, activation="sigmoid")(x)).save(path)
    outputs = KerasEngine(path).run(np.zeros((2, *SHAPE), np.uint8))
    assert outputs.malignant.shape == (2,)
    assert outputs.heat_map is None
    assert outputs.lesion is None
    assert outputs.clinical is None


def test_keras_is_not_tried_with_a_file_that_the_converter_refuses(
    tmp_path: Path,
) -> None:
    import keras
    from keras import layers

    path = tmp_path / "code.h5"
    keras.Sequential([keras.Input(SHAPE), layers.Lambda(lambda x: x[:, 0, 0, :1])]).save(path)
    with pytest.raises(artifact.InvalidModel, match="contains custom code"):
        open_engine(path, "auto", tmp_path / "cache")


@pytest.mark.parametrize("kind", ["auto", "openvino", "keras"])
@pytest.mark.parametrize("content", [None, b"", b"not a model"], ids=["missing", "empty", "text"])
def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, kind: str, content: bytes | None
) -> None:
    path = tmp_path / "model.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(artifact.InvalidModel, match=r"model\.h5"):
        open_engine(path, kind, tmp_path / "cache")


def test_an_unknown_engine_is_refused(model: Path) -> None:
    with pytest.raises(EngineError, match="auto, openvino, keras, got 'onnx'"):
        open_engine(model, "onnx")


def test_the_cache_is_by_default_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_cache.default_cache() == tmp_path / "molelens"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_cache.default_cache() == tmp_path / ".cache" / "molelens"
