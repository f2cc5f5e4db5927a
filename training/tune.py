"""Search better numbers for a recipe with Optuna: ``python -m training.tune --trials 20``.

Each trial trains with the learning rate and some other numbers of the recipe drawn between a third
and three times their value; the first takes them as they are. Trials that fall behind are pruned.
The best one's arguments are written beside the study, for training.train to take by its name.
All other arguments are those of training.train (--manifest, --epochs, --set ...).
"""

import argparse
import sys
from pathlib import Path

import keras

from training import train
from training.fit.callbacks import TrainingError
from training.fit.overrides import names, override
from training.fit.recipes import RECIPES
from training.fit.run import learn

try:
    import optuna
except ModuleNotFoundError:
    sys.exit("training.tune needs Optuna: pip install optuna")

SEARCHED = ("weight_decay", "label_smoothing", "augmentation.fault", "loss_weights.diagnosis")
"""Beside the learning rate. A recipe that lacks one, or has it at zero, keeps it so."""
FACTOR = 3.0
"""The bounds of a number: its value in the recipe over this, and times this."""
HEARTBEAT = 60
"""Seconds. A trial whose process has given no sign of life for two of them is tried anew."""


class Report(keras.callbacks.Callback):
    """Tells Optuna each epoch's validation AUC, and ends a trial that it gives up.

    Raises:
        optuna.TrialPruned: the trial is worse than most were after as many epochs.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.trial.report((logs or {})["val_auc"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and the arguments that training.train gets."""
    parser = argparse.ArgumentParser(
        "python -m training.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--study",
        type=Path,
        default=Path("runs/tune.db"),
        metavar="FILE.db",
        help="kept there; the same command goes on with it, several at a time too "
        "(default runs/tune.db)",
    )
    parser.add_argument(
        "--trials", type=int, default=20, metavar="N", help="finished or pruned, in all (20)"
    )
    return parser.parse_known_args(arguments)


def tune(
    path: Path, trials: int, arguments: list[str], pruner: optuna.pruners.BasePruner | None = None
) -> optuna.Study:
    """Search until a study has so many trials; write what the best of them was trained with.

    Args:
        path: the study, an SQLite file; begun if absent. ``FILE.best`` is written beside it, and
            the checkpoints of each trial to the folder ``FILE.trials``.
        trials: finished or pruned ones, those of earlier calls included.
        arguments: of training.train.
        pruner: what gives a trial up; after three epochs, one worse than the median.

    Raises:
        training.fit.callbacks.TrainingError: every trial was given up.
    """
    options = train.parse(arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{path}",
        heartbeat_interval=HEARTBEAT,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )
    study = optuna.create_study(
        storage=storage,
        study_name=path.stem,
        load_if_exists=True,
        direction="maximize",
        pruner=pruner or optuna.pruners.MedianPruner(n_warmup_steps=2),
    )
    # Of its own each time, or a search that goes on would draw what it has drawn before.
    study.sampler = optuna.samplers.TPESampler(seed=options.seed + len(study.trials))
    centre = searched(options)
    if not study.trials:
        study.enqueue_trial(centre)

    def objective(trial: optuna.Trial) -> float:
        drawn = {
            name: trial.suggest_float(name, value / FACTOR, value * FACTOR, log=True)
            for name, value in centre.items()
        }
        tried = train.parse([*arguments, *_settings(drawn)])
        tried.out = path.with_suffix(".trials") / f"{trial.number}.h5"
        keras.backend.clear_session()
        _, history, _, _ = learn(tried, [Report(trial)])
        return max(row["val_auc"] for row in history)

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    enough = optuna.study.MaxTrialsCallback(trials, states)
    if len(study.get_trials(states=states)) < trials:
        study.optimize(objective, callbacks=[enough])
    if not study.get_trials(states=states[:1]):
        raise TrainingError(f"{path}: every trial was given up; ask for more with --trials")
    best = [*arguments, *_settings(study.best_params)]
    path.with_suffix(".best").write_text("\n".join(best) + "\n")
    return study


def searched(options: argparse.Namespace) -> dict[str, float]:
    """The numbers that are searched, as they are in the recipe that the options name."""
    recipe = override(RECIPES[options.recipe], options.set)
    values = names(recipe)
    rate = f"rates.{options.optimizer or recipe.optimizer}"
    return {name: values[name] for name in (rate, *SEARCHED) if values.get(name)}


def _settings(drawn: dict[str, float]) -> list[str]:
    return [f"--set={name}={value!r}" for name, value in drawn.items()]


def main(arguments: list[str] | None = None) -> int:
    options, others = parse(arguments)
    try:
        study = tune(options.study, options.trials, others)
    except train.FAILURES as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on with {options.study}")
        return 130
    first = study.trials[0]
    print(f"validation AUC {study.best_value:.4f} in trial {study.best_trial.number}", end="")
    print(f" (the recipe as it is: {first.value:.4f})" if first.value else "")
    for name, value in study.best_params.items():
        print(f"  {name} = {value:.4g} (recipe {first.params[name]:.4g})")
    print(f"next: python -m training.train @{options.study.with_suffix('.best')} --out FILE.h5")
    return 0


if __name__ == "__main__":
    sys.exit(main())
