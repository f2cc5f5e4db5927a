"""``training.tune``: continuing a study, pruning trials, and training with the best settings."""

import json
from pathlib import Path

import painted_set
import pytest

optuna = pytest.importorskip("optuna")

from training import train, tune  # noqa: E402
from training.fit import search  # noqa: E402
from training.fit.callbacks import TrainingError  # noqa: E402
from training.fit.overrides import override  # noqa: E402
from training.fit.recipes import DEFAULT  # noqa: E402

ONE_STAGE = ("--set", "stages.0.share=1", "--set", "stages.1.share=0")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    manifest = painted_set.write(tmp_path_factory.mktemp("data"))
    return ["--manifest", str(manifest), "--epochs", "2", *painted_set.QUICK, *ONE_STAGE]


def test_a_study_is_continued_and_its_best_settings_can_be_used_for_training(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--study", str(tmp_path / "tune.db"), *arguments]
    for trials in ("1", "2", "2"):
        assert tune.main(["--trials", trials, *command]) == 0
    assert f"next: python -m training.train @{tmp_path / 'tune.best'}" in capsys.readouterr().out

    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{tmp_path / 'tune.db'}")
    first, second = study.trials
    assert first.params["rates.adam"] == DEFAULT.rates["adam"]
    assert second.params["rates.adam"] != DEFAULT.rates["adam"]

    options = train.parse([f"@{tmp_path / 'tune.best'}"])
    assert str(options.manifest) == arguments[1]
    best = override(DEFAULT, options.overrides)
    assert best.rates["adam"] == study.best_params["rates.adam"]
    assert best.weight_decay == study.best_params["weight_decay"]
    assert best.stages[0].size == 64


def test_a_bad_trial_is_pruned(arguments: list[str], tmp_path: Path) -> None:
    impossible = optuna.pruners.ThresholdPruner(lower=1.1)
    options = tune.parse(["--study", str(tmp_path / "tune.db"), "--trials", "1", *arguments])
    with pytest.raises(TrainingError, match="every trial was pruned"):
        search.search(options, impossible)
    state = tmp_path / "tune.trials" / "0.run" / "state.json"
    assert len(json.loads(state.read_text())) == 1


@pytest.mark.parametrize(
    ("mistake", "code", "message"),
    [
        (["--set", "rates.adm=1"], 2, "did you mean rates.adam?"),
        (["--manifest", "absent.csv"], 1, "no such manifest"),
    ],
)
def test_a_wrong_argument_of_training_ends_the_search(
    mistake: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main(["--study", str(tmp_path / "tune.db"), *mistake]) == code
    assert message in capsys.readouterr().err
