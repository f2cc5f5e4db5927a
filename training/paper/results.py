"""The contents of the experiment's JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:  # These modules import Keras or SciPy, which the parent process does not need.
    from training.evaluation.metrics import Figures, Interval
    from training.fit.callbacks import Logs


class Experiment(TypedDict):
    """A description of the experiment. Runs with different descriptions must not be mixed.

    Attributes:
        epochs: total number of epochs of the three stages.
        images: the value of ``--images``; None for all.
        seed: seed of the choice of images and of the training.
        available: maximum size of the balanced set.
        parts: number of benign and of malignant images, by set and split.
        hashes: ``split_hash`` of each set.
        shared_groups: number of validation images in the balanced set whose lesion or patient is
            also in its training images.
        trained_among_everything: number of benign and of malignant training images among the images
            of the paper's kind of test.
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
    """A network's results on the held-out images.

    Attributes:
        figures: metrics at the network's own threshold, which is 0.5 for the paper's networks.
        sensitivity_at_paper_specificity: sensitivity at the threshold whose specificity is that of
            the paper's network.
    """

    figures: Figures
    sensitivity_at_paper_specificity: Interval | None


class RunResult(TypedDict):
    """One finished run.

    Attributes:
        epochs: maximum number of epochs; the history is shorter if the run stopped early.
        cpu_hours: CPU hours of all epochs. For a resumed run, extrapolated from the epochs since it
            was last resumed; None if there are none, because only its final test was left.
        precision: Keras's dtype policy.
        history: the metrics of each epoch.
        held_out: results on the held-out images.
        everything: metrics on all images, as the paper tested; only for the final networks.
    """

    name: str
    network: str
    epochs: int
    cpu_hours: float | None
    precision: str
    history: list[Logs]
    held_out: Tested
    everything: NotRequired[Figures]


class ServedTest(TypedDict):
    """The results of a model file made elsewhere, on the same held-out images."""

    name: str
    sha256: str
    held_out: Tested


class Served(ServedTest):
    """The same, and whether the held-out images are new to the model.

    Attributes:
        set_aside: whether the model's card records the manifest's test split, to which the held-out
            images belong, as set aside; if not, the model may have learned from them.
    """

    set_aside: bool
