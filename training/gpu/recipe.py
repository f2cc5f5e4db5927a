"""How the networks are trained on a GPU: every number, with its source, its cost and its result.

Costs and results are those of one run on an H200 with ``H100`` as it stands here, 12 minutes: AUC
on validation, dermoscopic (without ``melanoma10k``) and clinical. A number without a source was set
once and not tuned.
"""

from dataclasses import dataclass, field, replace

from training.fit.sampling import PATIENTS_PHOTOS, Emphasis

WORKING_SIZE = 500
"""Side in pixels of the photos on the GPU, and of the views that teachers see."""


@dataclass(frozen=True)
class ViewRanges:
    """Random changes of a photo. A range is drawn from evenly; a share is of all views.

    Attributes:
        zoom: of the side that is shown; drawn evenly on a logarithmic scale.
        stretch: of one side against the other, as a logarithm.
        shear, shift: of half the side.
        saturation, contrast: factors.
        gain, white_balance: of the brightness, and of each channel beside it.
        gamma: as a logarithm.
        dark_frames, vignettes, overlays: shares with the round frame of a dermatoscope, with dark
            corners, and with a ruler, hairs or ink. They are painted on both classes alike, so
            that they tell nothing.
        blurs: share and sigma, in pixels at 500 px, of each strength.
        noise_level: highest standard deviation of the noise, in grey levels.
        squares: share with a grey square (cutout).
        square_sides: half of its side, as a share of the view's.
    """

    zoom: tuple[float, float] = (0.65, 1.35)
    stretch: float = 0.17
    shear: float = 0.1
    shift: float = 0.16
    saturation: tuple[float, float] = (0.7, 1.3)
    gain: tuple[float, float] = (0.65, 1.35)
    white_balance: float = 0.1
    contrast: tuple[float, float] = (0.85, 1.18)
    gamma: float = 0.3
    gamma_share: float = 0.25
    dark_frames: float = 0.14
    vignettes: float = 0.10
    overlays: float = 0.15
    blurs: tuple[tuple[float, float], ...] = ((0.04, 0.7), (0.04, 1.3), (0.03, 2.2))
    noise: float = 0.12
    noise_level: float = 8.0
    jpeg: float = 0.25
    jpeg_quality: tuple[float, float] = (30.0, 95.0)
    squares: float = 0.12
    square_sides: tuple[float, float] = (0.05, 0.15)


@dataclass(frozen=True)
class TeacherRecipe:
    """One EfficientNet with ImageNet weights, every layer trained.

    Attributes:
        version: 0 or 2, of EfficientNet-Lite0 or -Lite2.
        minutes: as a share of the run's.
        rate: peak learning rate of AdamW; warm-up for a twentieth of the time, then a cosine.
        average: momentum of the running weight average that is kept.
        drop_path: share of the last block's residuals that are dropped (Huang et al. 2016).
    """

    version: int
    minutes: float
    batch: int = 128
    rate: float = 6e-4
    weight_decay: float = 0.03
    average: float = 0.998
    label_smoothing: float = 0.05
    drop_path: float = 0.1


@dataclass(frozen=True)
class BankRecipe:
    """Views that the teachers judge once.

    Attributes:
        minutes: as a share of the run's.
        mix_share: lesions with a part of another lesion's view (CutMix, Yun et al. 2019).
    """

    minutes: float
    batch: int = 384
    mix_share: float = 0.25


@dataclass(frozen=True)
class PupilRecipe:
    """cnn7, from nothing, on the views of the bank; each time turned or mirrored otherwise.

    Attributes:
        minutes: as a share of the run's.
        sizes: side in pixels, and the share of the pupil's time at which it ends.
    """

    minutes: float
    sizes: tuple[tuple[int, float], ...] = ((256, 0.47), (384, 0.85), (500, 1.0))
    rate: float = 2e-3
    weight_decay: float = 0.05
    average: float = 0.9985


@dataclass(frozen=True)
class GpuRecipe:
    """A whole run.

    Attributes:
        teachers: the first is written as a model file too.
        other_share: views of what is no lesion.
        graft_share: lesions shown in the surroundings of another photo.
        copies: how often the photos of a source of what is no lesion count, where they are few.
        painted, skin_corners: negatives to paint, and photos to try for a corner of bare skin.
    """

    teachers: tuple[TeacherRecipe, ...]
    bank: BankRecipe
    pupil: PupilRecipe
    views: ViewRanges = ViewRanges()
    emphasis: Emphasis = PATIENTS_PHOTOS
    other_share: float = 0.09
    graft_share: float = 0.3
    # Skin diseases are the hardest to refuse, and a tenth of the photos that show no lesion.
    copies: dict[str, int] = field(default_factory=lambda: {"skin_other": 6})
    painted: int = 240
    skin_corners: int = 800


# The shares sum to 0.82: the rest is for decoding, validation and writing the model files.
H100 = GpuRecipe(
    teachers=(
        # 135 s, 281,000 views (2,079/s): 0.910 and 0.870.
        TeacherRecipe(version=0, minutes=0.19),
        # 150 s, 263,000 views (1,755/s): 0.912 and 0.874; the mean of both 0.928 (all dermoscopic
        # photos) and 0.882.
        TeacherRecipe(version=2, minutes=0.21),
    ),
    # 58 s, 182,000 views (3,138/s); the pupil sees each some 15 times.
    bank=BankRecipe(minutes=0.08),
    # 233 s, 2.79 M views (12,000/s): 0.888 and 0.854 with eight views of each photo.
    pupil=PupilRecipe(minutes=0.34),
)

# Shows on a CPU that everything works, and nothing more: some steps of each network.
TRIAL = GpuRecipe(
    teachers=tuple(replace(teacher, batch=2) for teacher in H100.teachers),
    bank=replace(H100.bank, batch=4),
    pupil=replace(H100.pupil, sizes=((64, 0.5), (96, 1.0))),
    painted=4,
    skin_corners=4,
)

RECIPES = {"h100": H100, "trial": TRIAL}
