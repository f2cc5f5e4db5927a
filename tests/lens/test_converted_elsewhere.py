"""An installation without TensorFlow serves models that another one converted, and no others."""

import sys
from pathlib import Path

import pytest
from serving import copy_cache

from app import StartError, create_app
from lens import fill_cache, openvino_runtime
from lens.engine import EngineError, open_engine


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]


@pytest.fixture
def filled_cache(tiny_model: Path, engine_cache: Path, tmp_path: Path) -> Path:
    """A cache as in the Docker image: filled_cache by molelens-convert."""
    fill_cache.fill(tiny_model, engine_cache, "probability")
    return copy_cache(engine_cache, tmp_path / "filled_cache")


@pytest.mark.parametrize("engine", ["auto", "openvino"])
@pytest.mark.usefixtures("without_tensorflow")
def test_with_a_model_that_is_not_converted_the_app_does_not_start_and_says_what_to_do(
    settings: dict[str, str], tmp_path: Path, engine: str
) -> None:
    changed = {"MOLELENS_CACHE": str(tmp_path / "empty"), "MOLELENS_ENGINE": engine}
    with pytest.raises(StartError, match=r"TensorFlow is not installed.*lens\.fill_cache .*tiny"):
        create_app({**settings, **changed})


@pytest.mark.usefixtures("without_tensorflow")
def test_with_the_keras_engine_but_without_keras_the_app_does_not_start(
    settings: dict[str, str],
) -> None:
    with pytest.raises(StartError, match=r"molelens\[convert\]"):
        create_app({**settings, "MOLELENS_ENGINE": "keras"})


@pytest.mark.parametrize("cpu", [["f32"], ["bf16", "f32"]], ids=["float32", "bfloat16"])
def test_a_converted_model_is_served_without_tensorflow_on_any_cpu(
    tiny_model: Path,
    filled_cache: Path,
    cpu: list[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("without_tensorflow")
    monkeypatch.setattr(openvino_runtime, "precisions", lambda: cpu)
    assert open_engine(tiny_model, "auto", filled_cache).name == "openvino"


def test_a_copy_converted_only_for_another_cpu_is_not_served(
    tiny_model: Path,
    filled_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("without_tensorflow")
    for entry in filled_cache.glob("*-f32-openvino*"):
        if entry.is_dir():
            entry.rename(str(entry).replace("-f32-", "-other-"))
    monkeypatch.setattr(openvino_runtime, "precisions", lambda: ["f32"])
    with pytest.raises(EngineError, match="has not been converted"):
        open_engine(tiny_model, "auto", filled_cache)


def test_a_network_that_returns_logits_can_be_converted_for_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    model, cache = tmp_path / "logits.h5", tmp_path / "cache"
    pixels = keras.Input((64, 64, 3))
    logit = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(pixels))
    keras.Model(pixels, logit).save(model)
    assert fill_cache.main([str(model), "--cache", str(cache), "--output", "logit"]) == 0
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)
    assert open_engine(model, "openvino", cache, output="logit").name == "openvino"


def test_converting_a_file_that_is_no_model_fails_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.h5"
    wrong.write_text("no model")
    assert fill_cache.main([str(wrong), "--cache", str(tmp_path / "cache")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("molelens-convert: ")
    assert error.count("\n") == 1
