"""The recipes: all hyperparameters of training, with their source, cost and result.

Times were measured on two AVX2 cores without bfloat16, which also did other work. Results are the
AUC on validation over all sources, with one view (docs/experiments.md has them by source). Values
without a source are conventional and were not tuned.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from training.fit.augmentation import Augmentation


@dataclass(frozen=True)
class Stage:
    """Some epochs at one input size.

    Attributes:
        share: share of all epochs, 0-1.
        size: side of the input in pixels.
        batch: number of images per batch.
    """

    share: float
    size: int
    batch: int

    def __post_init__(self) -> None:
        _check(self, counts=("size", "batch"))


@dataclass(frozen=True)
class Recipe:
    """One way to train.

    Attributes:
        stages: the stages in order; their shares sum to 1.
        epochs: total number of epochs.
        images_per_epoch: images drawn per epoch; 0 for the size of the training set, or of its
            largest balanced subset if ``balanced``.
        balanced: draw both classes equally often in every source; otherwise draw uniformly.
        optimizer: sgd, adam or rmsprop.
        rates: peak learning rate of each optimizer.
        cosine: warm up for a twentieth of the steps, then decay by a cosine to zero; otherwise the
            learning rate is constant.
        plateau: halve the learning rate when training accuracy has not improved for 3 epochs, and
            stop when validation loss has not improved for 10 (the paper's two callbacks).
        momentum: Nesterov momentum of sgd.
        weight_decay: decoupled weight decay (AdamW), for adam only.
        average: momentum of the moving average of the weights, which is validated and kept; 0 for
            none.
        label_smoothing: share of each label that is spread evenly over all classes.
        augmentation: random changes of the training images.
        other_share: share of images without a lesion, if the network has the output ``lesion``.
        graft_share: share of lesions pasted into the surroundings of another photo.
        frozen: prefixes of the names of layers that are not trained.
        loss_weights: weight of each output's loss; outputs that the network lacks are ignored.
    """

    stages: tuple[Stage, ...]
    epochs: int
    images_per_epoch: int
    optimizer: str
    rates: dict[str, float]
    cosine: bool
    plateau: bool
    augmentation: Augmentation
    balanced: bool = True
    momentum: float = 0.0
    weight_decay: float = 0.0
    average: float = 0.0
    label_smoothing: float = 0.0
    other_share: float = 0.0
    graft_share: float = 0.0
    frozen: tuple[str, ...] = ()
    loss_weights: dict[str, float] = field(default_factory=lambda: {"malignant": 1.0})

    def __post_init__(self) -> None:
        _check(self, counts=("epochs",))
        _check(self.augmentation)
        if self.optimizer not in self.rates:
            raise ValueError(
                f"optimizer: expected one of {', '.join(self.rates)}, got {self.optimizer!r}"
            )
        if self.cosine and self.plateau:
            raise ValueError(
                "expected cosine or plateau, got both: each would set the learning rate; turn one "
                "off, as in --set cosine=false"
            )
        total = sum(stage.share for stage in self.stages)
        if not math.isclose(total, 1):
            raise ValueError(f"the shares of the stages must sum to 1, these sum to {total:g}")


def _check(part: Any, counts: tuple[str, ...] = ()) -> None:
    """Refuse negative and infinite numbers, and zero for the fields named in ``counts``."""
    groups = [value for value in vars(part).values() if isinstance(value, dict)]
    for values in [vars(part), *groups]:
        for name, value in values.items():
            least = 1 if name in counts else 0
            if isinstance(value, int | float) and not least <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least {least}, got {value}")


# Cost and result: docs/reproduction.md.
PAPER = Recipe(
    # From the paper's sections II and III: about 1,000 balanced images, 500 px, 180 epochs in three
    # runs. Its log shows 113 steps for some 900 images, so the batch size is 8.
    stages=(Stage(1.0, 500, 8),),
    epochs=180,
    images_per_epoch=0,
    optimizer="sgd",
    rates={"sgd": 0.001, "adam": 0.001, "rmsprop": 0.001},  # The paper's initial learning rate.
    cosine=False,
    plateau=True,
    # The arguments of ImageDataGenerator in the paper's listing.
    augmentation=Augmentation(shear=0.1, zoom=0.1, shift=0.1, flips=True),
)

# 73 minutes; 0.882 with one view, with the embedding of a frozen ImageNet teacher as a target.
DEFAULT = Recipe(
    # Small images first: an epoch costs a quarter, and most of what is learned carries over.
    stages=(Stage(0.6, 256, 32), Stage(0.4, 500, 32)),
    epochs=15,
    images_per_epoch=6144,
    optimizer="adam",
    rates={"sgd": 0.05, "adam": 0.0015, "rmsprop": 0.0005},
    cosine=True,
    plateau=False,
    # Lesions have no orientation; skin tone and light vary more than shape. The winners of SIIM
    # 2020 (Ha et al. 2020, arXiv:2010.05351) used the same kinds of changes: flips, colour, cutout.
    augmentation=Augmentation(
        rotation=180.0,
        zoom=0.25,
        shear=0.1,
        shift=0.08,
        stretch=0.1,
        flips=True,
        gain=0.25,
        saturation=0.3,
        fault=0.15,
    ),
    momentum=0.9,
    weight_decay=0.05,
    average=0.998,
    label_smoothing=0.05,
    other_share=0.08,
    graft_share=0.2,
    # "diagnosis" is from the same winners. "teacher" is the teacher's embedding, a rich target for
    # a network with random weights (Romero et al. 2015, FitNets). "opinion" is its p(malignant)
    # (Hinton et al. 2015).
    loss_weights={
        "malignant": 1.0,
        "lesion": 0.3,
        "kind": 0.3,
        "diagnosis": 0.5,
        "teacher": 1.0,
        "opinion": 1.0,
    },
)

# 5 epochs took 36 minutes and reached 0.891; 10 more took 50 minutes and reached 0.910. 7 more with
# only the stem and the first two blocks frozen (--set frozen=conv_stem,bn0,blocks_0_,blocks_1_)
# took 40 minutes at 14 images/s and reached 0.916.
FINE_TUNE = replace(
    DEFAULT,
    # efficientnet_lite0 halved its input when this was measured: 224 px, as in its pretraining.
    stages=(Stage(1.0, 448, 32),),
    epochs=7,
    images_per_epoch=5120,
    # Adam's rate is that of the SIIM winners (arXiv:2010.05351) for batches of 64.
    rates={"sgd": 0.01, "adam": 0.0003, "rmsprop": 0.0001},
    weight_decay=0.02,
    average=0.99,
    # The first layers detect edges and textures, which skin has too. Freezing them gives 18 instead
    # of 10 images/s (224 px, two AVX2 cores), because their feature maps are the largest.
    frozen=("conv_stem", "bn0", *(f"blocks_{number}_" for number in range(5))),
)

# 11 epochs took 43 minutes and raised a model from 0.893 to 0.896. With the loss weights and grafts
# of DEFAULT, 14 epochs took 60 minutes and raised a model from 0.886 to 0.893.
DISTILL = replace(
    DEFAULT,
    # For a trained cnn7 (--start) and a fine-tuned teacher. Small images are no longer needed; an
    # epoch takes 190 s at 384 px and 270 s at 500 px.
    stages=(Stage(0.7, 384, 32), Stage(0.3, 500, 32)),
    epochs=11,
    # With a gain of 0.25, 3.5 % of verdicts changed when the photo was made 15 % brighter.
    augmentation=replace(DEFAULT.augmentation, gain=0.35),
    graft_share=0.3,
    # A network can only memorise the label of a hard photo; a teacher's output shows how hard it
    # is.
    loss_weights={**DEFAULT.loss_weights, "malignant": 0.5, "opinion": 1.5},
)

RECIPES = {"default": DEFAULT, "paper": PAPER, "finetune": FINE_TUNE, "distill": DISTILL}
