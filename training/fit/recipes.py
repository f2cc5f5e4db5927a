"""How a network is trained: every number of the recipes, with its source, its cost and its result.

Times are of two AVX2 cores without bfloat16, beside other work; results are AUC on validation, all
sources pooled, one view (docs/experiments.md has them by source). A number without a source was set
once, by custom, and compared with no other: there was time for one run of each recipe.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from training.fit.augmentation import Augmentation


@dataclass(frozen=True)
class Stage:
    """A run of epochs at one input size.

    Attributes:
        share: of all epochs, 0-1.
        size: side of the input in pixels.
        batch: images in a batch.
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
        stages: in order; their shares sum to 1.
        epochs: in all.
        images_per_epoch: drawn an epoch; 0 for the size of the training set, balanced.
        balanced: draw both classes alike, in every source; otherwise every image alike.
        optimizer: sgd, adam or rmsprop, where the command line names none.
        rates: peak learning rate of each optimizer.
        cosine: warm up for a twentieth of the steps, then a cosine to zero; otherwise constant.
        plateau: halve the rate when training accuracy stands still for 3 epochs, and stop when
            validation loss does for 10 (the paper's two callbacks).
        momentum: of sgd, Nesterov's.
        weight_decay: decoupled (AdamW), for adam alone.
        average: momentum of the running weight average that is validated and kept; 0 for none.
        label_smoothing: share of each label given to the other class.
        augmentation: random changes of the training images.
        other_share: share of photographs of something else, where the network has a lesion output.
        graft_share: share of lesions shown in the surroundings of another photo.
        frozen: how the names of layers begin that keep the weights they start with.
        loss_weights: of each output; an output named in no manifest or file is left out.
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
        total = sum(stage.share for stage in self.stages)
        if not math.isclose(total, 1):
            raise ValueError(f"the shares of the stages must sum to 1, these sum to {total:g}")


def _check(part: Any, counts: tuple[str, ...] = ()) -> None:
    """Refuse negative and infinite numbers, and zero where something is counted."""
    groups = [value for value in vars(part).values() if isinstance(value, dict)]
    for values in [vars(part), *groups]:
        for name, value in values.items():
            least = 1 if name in counts else 0
            if isinstance(value, int | float) and not least <= value < math.inf:
                raise ValueError(f"{name}: expected a number from {least} up, got {value}")


# Cost and result: docs/reproduction.md; of 180 epochs none was run to its end here.
PAPER = Recipe(
    # The paper, sections II and III: about 1,000 images 1:1, 500 px, 180 epochs in three runs.
    stages=(Stage(1.0, 500, 8),),  # 113 steps for some 900 images in its log: batches of 8
    epochs=180,
    images_per_epoch=0,
    optimizer="sgd",
    rates={"sgd": 0.001, "adam": 0.001, "rmsprop": 0.001},  # its initial rate
    cosine=False,
    plateau=True,
    # Its listing of ImageDataGenerator.
    augmentation=Augmentation(shear=0.1, zoom=0.1, shift=0.1, flips=True),
)

# 73 minutes; 0.882 (eight views), with a frozen ImageNet teacher's embedding as second target.
DEFAULT = Recipe(
    # Small images first: an epoch costs a quarter, and the layers behind the stem carry over.
    stages=(Stage(0.6, 256, 32), Stage(0.4, 500, 32)),
    epochs=15,
    images_per_epoch=6144,
    optimizer="adam",
    rates={"sgd": 0.05, "adam": 0.0015, "rmsprop": 0.0005},
    cosine=True,
    plateau=False,
    # Lesions have no upright side; skin tone and light vary more than shape does. The 2020 SIIM
    # winners (Ha et al. 2020, arXiv:2010.05351) used the same kinds: flips, colour, cutout.
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
    # The diagnosis head is the lesson of the same winners; the teacher's embedding that of
    # Romero et al. 2015 (FitNets): a rich target for a network that starts from nothing; its
    # opinion on malignant that of Hinton et al. 2015.
    loss_weights={
        "malignant": 1.0,
        "lesion": 0.3,
        "diagnosis": 0.5,
        "teacher": 1.0,
        "opinion": 1.0,
    },
)

# 36 minutes for 5 epochs; 0.891. 50 for 10 more from there; 0.910. 40 for 7 more with the blocks
# from the third on trained too, at 14 images/s; 0.916
# (--set frozen=conv_stem,bn0,blocks_0_,blocks_1_).
FINE_TUNE = replace(
    DEFAULT,
    # For efficientnet_lite0, which halves its input: 224 px, as its weights were made.
    stages=(Stage(1.0, 448, 32),),
    epochs=7,
    images_per_epoch=5120,
    # Adam's is that of the SIIM winners (arXiv:2010.05351), at batches of 64.
    rates={"sgd": 0.01, "adam": 0.0003, "rmsprop": 0.0001},
    weight_decay=0.02,
    average=0.99,
    # Edges and textures are the same on skin. 18 images/s against 10 with every layer trained
    # (224 px, two AVX2 cores), for these early layers have the large maps.
    frozen=("conv_stem", "bn0", *(f"blocks_{number}_" for number in range(5))),
)

# 43 minutes for 11 epochs; 0.896 from a model at 0.893. Before, with the weights and grafts of
# DEFAULT, 60 minutes for 14; 0.893 from 0.886, where a teacher that had judged each photo once left
# it.
DISTILL = replace(
    DEFAULT,
    # For a cnn7 that is trained already (--start) and has a fine-tuned teacher: it no longer needs
    # small images; an epoch costs 190 s at 384 px and 270 at 500.
    stages=(Stage(0.7, 384, 32), Stage(0.3, 500, 32)),
    epochs=11,
    # With 0.25 more verdicts changed in a photo that was 15 % brighter (3.5 %) than may (3 %).
    augmentation=replace(DEFAULT.augmentation, gain=0.35),
    graft_share=0.3,
    # The label of a hard photo can only be learned by heart; a teacher says how hard it is.
    loss_weights={**DEFAULT.loss_weights, "malignant": 0.5, "opinion": 1.5},
)

RECIPES = {"default": DEFAULT, "paper": PAPER, "finetune": FINE_TUNE, "distill": DISTILL}
