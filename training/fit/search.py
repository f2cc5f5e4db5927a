"""Search for better hyperparameters of a recipe with Optuna."""

import dataclasses
from typing import TYPE_CHECKING, Any

import keras

from training.cli import CommandError
from training.fit.callbacks import Logs, TrainingError
from training.fit.device import distribute
from training.fit.options import SearchOptions, TrainOptions
from training.fit.overrides import settings_of
from training.fit.run import train_network

if TYPE_CHECKING:
    from pathlib import Path

try:
    import optuna
except ModuleNotFoundError as error:
    raise CommandError("expected the package optuna: pip install optuna") from error

SEARCHED_SETTINGS = (
    "weight_decay",
    "label_smoothing",
    "augmentation.fault",
    "loss_weights.diagnosis",
)
"""Settings that are searched besides the learning rate, unless they are zero in the recipe."""
SEARCH_FACTOR = 3.0
"""Settings are searched from the recipe's value divided by this to the value times this."""
HEARTBEAT_SECONDS = 60
"""A trial is repeated if its process has sent no heartbeat for twice this time."""


class ReportEpoch(keras.callbacks.Callback):
    """Reports each epoch's validation AUC to Optuna, and ends a trial that Optuna prunes.

    Raises:
        optuna.TrialPruned: the trial is worse than the others after as many epochs.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.trial.report((logs or {})["val_auc"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def search(options: SearchOptions, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    """Run trials until the study has enough, and write the arguments of the best one.

    Args:
        options: the command's options.
        pruner: decides which trials to prune; by default those worse than the median, from the
            third epoch on.

    Raises:
        TrainingError: every trial was pruned, or one cannot start or continue.
    """
    path = options.study
    pruner = pruner or optuna.pruners.MedianPruner(n_warmup_steps=2)
    study = _open(path, options.training.seed, pruner)
    distribute(options.training.full_recipe().stages)
    centre = searched(options.training)
    if not study.trials:
        study.enqueue_trial(centre)

    def objective(trial: optuna.Trial) -> float:
        suggested = {
            name: trial.suggest_float(name, value / SEARCH_FACTOR, value * SEARCH_FACTOR, log=True)
            for name, value in centre.items()
        }
        overrides = (*options.training.overrides, *(f"{n}={v!r}" for n, v in suggested.items()))
        out = path.with_suffix(".trials") / f"{trial.number}.h5"
        keras.backend.clear_session()
        trial_options = dataclasses.replace(options.training, overrides=overrides, out=out)
        history = train_network(trial_options, [ReportEpoch(trial)]).history
        return max(row["val_auc"] for row in history)

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    enough = optuna.study.MaxTrialsCallback(options.trials, states)
    if len(study.get_trials(states=states)) < options.trials:
        study.optimize(objective, callbacks=[enough])
    if not study.get_trials(states=states[:1]):
        raise TrainingError(f"{path}: every trial was pruned; allow more with --trials")
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
    # The seed depends on the trials so far; otherwise a continued search would repeat itself.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def searched(options: TrainOptions) -> dict[str, float]:
    """The settings to search, with their values in the recipe of the options."""
    recipe = options.full_recipe()
    values: dict[str, Any] = settings_of(recipe)
    rate = f"rates.{recipe.optimizer}"
    return {name: values[name] for name in (rate, *SEARCHED_SETTINGS) if values.get(name)}


def describe(study: optuna.Study, path: "Path") -> str:
    """The best trial compared with the unchanged recipe, and the next command."""
    first = study.trials[0]
    before = f" (unchanged recipe: {first.value:.4f})" if first.value else ""
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
