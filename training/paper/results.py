"""What the runs of the experiment leave in their JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:  # Both load Keras or SciPy, and the parent process does without.
    from training.evaluation.metrics import Figures, Interval
    from training.fit.callbacks import Logs


class Experiment(TypedDict):
    """What the runs belong to; runs of another experiment are not mixed in.

    Attributes:
        epochs: of the staged run's three stages together.
        images: as asked for; None for all.
        seed: of the images drawn and of the training.
        available: images that the balanced set could have.
        parts: benign and malignant images by set and split.
        hashes: of the image names of each set.
        shared_groups: validation images that show a lesion or patient of a training image.
        trained_among_everything: benign and malignant images of the paper's test that were trained
            on.
    """

    epochs: int
    images: int | None
    seed: int
    available: int
    parts: dict[str, dict[str, list[int]]]
    hashes: dict[str, str]
    shared_groups: int
    trained_among_everything: list[int]


class Tested(TypedDict):
    """What a network reached on the held-out images.

    Attributes:
        figures: at its own threshold; 0.5 for the paper's networks.
        sensitivity_at_paper_specificity: at the threshold that calls as many benign images benign
            as the paper's network did.
    """

    figures: Figures
    sensitivity_at_paper_specificity: Interval | None


class RunResult(TypedDict):
    """One finished run.

    Attributes:
        epochs: asked for; the history may be shorter.
        cpu_hours: of all its epochs, by those of the last process that trained it.
        precision: Keras's dtype policy.
        history: the figures of each epoch.
        held_out: test figures on the held-out images.
        everything: the same on the images that the paper tested on; of its final networks alone.
    """

    name: str
    network: str
    epochs: int
    cpu_hours: float
    precision: str
    history: list[Logs]
    held_out: Tested
    everything: NotRequired[Figures]


class Served(TypedDict):
    """A model file that was made elsewhere, tested on the same held-out images."""

    name: str
    held_out: Tested
