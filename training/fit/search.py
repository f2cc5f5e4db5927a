"""Better numbers for a recipe, searched with Optuna."""

import dataclasses
from typing import TYPE_CHECKING, Any

import keras

from training.cli import CommandError
from training.fit.callbacks import TrainingError
from training.fit.device import distribute
from training.fit.options import SearchOptions, TrainOptions
from training.fit.overrides import names
from training.fit.run import learn

if TYPE_CHECKING:
    from pathlib import Path

try:
    import optuna
except ModuleNotFoundError as error:
    raise CommandError("expected the package optuna: pip install optuna") from error

SEARCHED = ("weight_decay", "label_smoothing", "augmentation.fault", "loss_weights.diagnosis")
"""Beside the learning rate. A recipe that lacks one, or has it at zero, keeps it so."""
FACTOR = 3.0
"""The bounds of a number: its value in the recipe over this, and times this."""
HEARTBEAT_SECONDS = 60
"""A trial whose process has given no sign of life for two of them is tried anew."""


class ReportEpoch(keras.callbacks.Callback):
    """Tells Optuna each epoch's validation AUC, and ends a trial that it gives up.

    Raises:
        optuna.TrialPruned: the trial is worse than most were after as many epochs.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.trial.report((logs or {})["val_auc"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def search(options: SearchOptions, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    """Search until a study has so many trials; write what the best of them was trained with.

    Args:
        options: of the command.
        pruner: what gives a trial up; after three epochs, one worse than the median.

    Raises:
        TrainingError: every trial was given up.
    """
    path = options.study
    pruner = pruner or optuna.pruners.MedianPruner(n_warmup_steps=2)
    study = _open(path, options.training.seed, pruner)
    distribute(options.training.full_recipe().stages)
    centre = searched(options.training)
    if not study.trials:
        study.enqueue_trial(centre)

    def objective(trial: optuna.Trial) -> float:
        drawn = {
            name: trial.suggest_float(name, value / FACTOR, value * FACTOR, log=True)
            for name, value in centre.items()
        }
        overrides = (*options.training.overrides, *(f"{n}={v!r}" for n, v in drawn.items()))
        out = path.with_suffix(".trials") / f"{trial.number}.h5"
        keras.backend.clear_session()
        tried = dataclasses.replace(options.training, overrides=overrides, out=out)
        history = learn(tried, [ReportEpoch(trial)]).history
        return max(row["val_auc"] for row in history)

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    enough = optuna.study.MaxTrialsCallback(options.trials, states)
    if len(study.get_trials(states=states)) < options.trials:
        study.optimize(objective, callbacks=[enough])
    if not study.get_trials(states=states[:1]):
        raise TrainingError(f"{path}: every trial was given up; ask for more with --trials")
    best = [*options.arguments, *(f"--set={n}={v!r}" for n, v in study.best_params.items())]
    path.with_suffix(".best").write_text("\n".join(best) + "\n")
    return study


def _open(path: "Path", seed: int, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{path}",
        heartbeat_interval=HEARTBEAT_SECONDS,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )
    study = optuna.create_study(
        storage=storage,
        study_name=path.stem,
        load_if_exists=True,
        direction="maximize",
        pruner=pruner,
    )
    # A seed of its own each time, or a search that goes on would draw what it has drawn before.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def searched(options: TrainOptions) -> dict[str, float]:
    """The numbers that are searched, as they are in the recipe that the options name."""
    recipe = options.full_recipe()
    values: dict[str, Any] = names(recipe)
    rate = f"rates.{recipe.optimizer}"
    return {name: values[name] for name in (rate, *SEARCHED) if values.get(name)}


def describe(study: optuna.Study, path: "Path") -> str:
    """The best trial beside the recipe as it is, and what to run next."""
    first = study.trials[0]
    before = f" (the recipe as it is: {first.value:.4f})" if first.value else ""
    return "\n".join(
        [
            f"validation AUC {study.best_value:.4f} in trial {study.best_trial.number}{before}",
            *(
                f"  {name} = {value:.4g} (recipe {first.params[name]:.4g})"
                for name, value in study.best_params.items()
            ),
            f"next: python -m training.train @{path.with_suffix('.best')} --out FILE.h5",
        ]
    )
