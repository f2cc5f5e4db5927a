"""What the runs of the experiment leave in their JSON files."""

from typing import NotRequired, TypedDict

from training.evaluation.metrics import Figures
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


class RunResult(TypedDict):
    """One finished run.

    Attributes:
        epochs: asked for; the history may be shorter.
        precision: Keras's dtype policy.
        history: the figures of each epoch.
        held_out: test figures on the held-out images.
        everything: the same on the images the paper tested on; of its final network alone.
    """

    name: str
    network: str
    epochs: int
    precision: str
    history: list[Logs]
    held_out: Figures
    everything: NotRequired[Figures]
