"""When there is a verdict, which one, and which reasons are given when there is none."""

from dataclasses import dataclass, field, replace

import numpy as np
import painter
import pytest
from PIL import Image, ImageFilter
from scipy.special import expit, logit

from lens.card import Card, OperatingPoint, for_all_kinds
from lens.engine import Outputs
from lens.images import decode
from lens.verdict import Reason, judge, measure, photo_faults


@dataclass
class StubEngine:
    """An engine with fixed outputs, because these tests need no network."""

    malignant: float = 0.2
    lesion: float | None = 0.9
    heat_map: np.ndarray | None = None
    clinical: float | None = None
    name: str = "stub"
    seen: list[np.ndarray] = field(default_factory=list)

    def run(self, images: np.ndarray) -> Outputs:
        self.seen.append(images)
        count = len(images)
        heat_map = None if self.heat_map is None else np.stack([self.heat_map] * count)
        lesion = None if self.lesion is None else np.full(count, self.lesion, np.float32)
        kind = None if self.clinical is None else np.full(count, self.clinical, np.float32)
        return Outputs(np.full(count, self.malignant, np.float32), heat_map, lesion, kind)


def with_point(card: Card, **fields: float) -> Card:
    """The card with its operating point for all kinds of photo changed."""
    point = replace(card.point(None), **fields)
    return replace(card, operating_points=for_all_kinds(point))


CARD = with_point(Card(name="test", calibrated=True), threshold=0.3, lesion_threshold=0.5)
EIGHT_VIEWS = Card(name="test", views=8)
EARLY_STOPPING = replace(CARD, views=8, margins=(1.0, 0.5))
BY_KIND = replace(
    EARLY_STOPPING,
    operating_points={
        "clinical": OperatingPoint(threshold=0.2, temperature=2.0, lesion_threshold=0.4),
        "dermoscopic": OperatingPoint(threshold=0.6, offset=1.0, lesion_threshold=0.8),
    },
)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return decode(painter.encoded(painter.lesion()))


@pytest.mark.parametrize(
    ("probability", "verdict"), [(0.29, "benign"), (0.31, "malignant"), (0.99, "malignant")]
)
def test_the_threshold_separates_benign_from_malignant(
    photo: np.ndarray, probability: float, verdict: str
) -> None:
    answer = judge(photo, StubEngine(probability), CARD)
    assert (answer.status, answer.verdict, answer.reasons) == ("ok", verdict, ())
    assert answer.probability == pytest.approx(probability, abs=1e-5)


def test_a_probability_at_the_threshold_is_malignant(photo: np.ndarray) -> None:
    assert judge(photo, StubEngine(0.5), with_point(CARD, threshold=0.5)).verdict == "malignant"


def test_a_higher_temperature_brings_the_probability_nearer_to_one_half(photo: np.ndarray) -> None:
    card = with_point(CARD, temperature=2.0)
    probability = judge(photo, StubEngine(0.9), card).probability
    assert probability == pytest.approx(0.75, abs=1e-4)  # The odds of 9 become sqrt(9).


@pytest.mark.parametrize("lesion", [0.1, None, float("nan")])
def test_a_photo_that_may_show_no_lesion_gets_no_verdict(
    photo: np.ndarray, lesion: float | None
) -> None:
    answer = judge(photo, StubEngine(0.01, lesion), CARD)
    assert (answer.status, answer.verdict, answer.probability) == ("cannot_judge", None, None)
    assert answer.reasons == (Reason.NOT_A_LESION,)


@pytest.mark.parametrize(
    ("clinical", "kind", "threshold", "probability"),
    [
        (0.9, "clinical", 0.2, expit(logit(0.4) / 2)),
        (0.5, "clinical", 0.2, expit(logit(0.4) / 2)),
        (0.4, "dermoscopic", 0.6, expit(logit(0.4) + 1)),
        (None, None, 0.2, expit(logit(0.4) / 2)),
    ],
)
def test_the_operating_point_is_that_of_the_recognised_kind_of_photo(
    photo: np.ndarray,
    clinical: float | None,
    kind: str | None,
    threshold: float,
    probability: float,
) -> None:
    answer = judge(photo, StubEngine(0.4, clinical=clinical), BY_KIND)
    assert (answer.kind, answer.threshold) == (kind, threshold)
    assert answer.probability == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize(("clinical", "status"), [(0.9, "ok"), (0.1, "cannot_judge")])
def test_each_kind_of_photo_has_its_own_lesion_threshold(
    photo: np.ndarray, clinical: float, status: str
) -> None:
    answer = judge(photo, StubEngine(0.4, 0.6, clinical=clinical), BY_KIND)
    assert (answer.status, answer.kind) == (status, "clinical" if clinical > 0.5 else "dermoscopic")


def blurred() -> np.ndarray:
    soft = Image.fromarray(painter.lesion()).filter(ImageFilter.GaussianBlur(20))
    return np.asarray(soft)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (painter.night(), Reason.TOO_DARK),
        (np.full((640, 640, 3), 252, np.uint8), Reason.TOO_BRIGHT),
        (np.full((640, 640, 3), 150, np.uint8), Reason.FLAT),
        (blurred(), Reason.BLURRED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_photo_with_an_obvious_fault_is_not_judged(pixels: np.ndarray, reason: Reason) -> None:
    answer = judge(decode(painter.encoded(pixels)), StubEngine(0.01), CARD)
    assert (answer.status, answer.verdict, answer.reasons) == ("cannot_judge", None, (reason,))


@pytest.mark.parametrize(("radius", "faults"), [(1, ()), (4, (Reason.BLURRED,))])
def test_a_slightly_soft_photo_is_judged_and_a_clearly_blurred_one_is_not(
    photo: np.ndarray, radius: float, faults: tuple[Reason, ...]
) -> None:
    soft = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius))
    assert photo_faults(np.asarray(soft)) == faults


def test_an_output_of_nan_is_an_error_and_never_benign(photo: np.ndarray) -> None:
    with pytest.raises(FloatingPointError):
        judge(photo, StubEngine(float("nan")), CARD)


def test_eight_views_are_all_flips_and_quarter_turns(photo: np.ndarray) -> None:
    engine = StubEngine()
    measure(photo, engine, EIGHT_VIEWS)
    assert len({view.tobytes() for view in engine.seen[0]}) == 8
    assert (engine.seen[0][0] == photo).all()


@pytest.mark.parametrize(
    ("distance", "lesion", "views"),
    [
        (1.1, 0.9, 2),
        (-1.1, 0.9, 2),
        (0.9, 0.9, 4),
        (-0.9, 0.9, 4),
        (0.4, 0.9, 8),
        (-0.4, 0.9, 8),
        (3.0, 0.4, 8),
        (-3.0, None, 8),
    ],
)
def test_more_views_are_used_the_closer_the_result_is_to_the_threshold(
    photo: np.ndarray, distance: float, lesion: float | None, views: int
) -> None:
    engine = StubEngine(expit(logit(0.3) + distance), lesion)
    assert judge(photo, engine, EARLY_STOPPING).views == views
    seen = np.concatenate(engine.seen)
    assert len({view.tobytes() for view in seen}) == len(seen) == views


def test_all_views_are_used_if_one_shows_no_lesion(photo: np.ndarray) -> None:
    class DissentingEngine(StubEngine):
        def run(self, images: np.ndarray) -> Outputs:
            outputs = super().run(images)
            outputs.lesion[0] = 0.4
            return outputs

    assert judge(photo, DissentingEngine(0.99), EARLY_STOPPING).views == 8


def test_all_views_are_used_if_they_disagree_about_the_kind_of_photo(photo: np.ndarray) -> None:
    class DissentingEngine(StubEngine):
        def run(self, images: np.ndarray) -> Outputs:
            outputs = super().run(images)
            outputs.clinical[0] = 0.2
            return outputs

    assert judge(photo, StubEngine(0.99, clinical=0.9), BY_KIND).views == 2
    assert judge(photo, DissentingEngine(0.99, clinical=0.9), BY_KIND).views == 8


def test_the_margins_are_measured_from_the_threshold_with_an_offset(photo: np.ndarray) -> None:
    card = with_point(EARLY_STOPPING, offset=2.0)
    threshold = logit(0.3) - 2.0
    distances = (0.4, 0.9, 1.1)
    views = [judge(photo, StubEngine(expit(threshold + d)), card).views for d in distances]
    assert views == [8, 4, 2]


def test_the_margins_are_measured_from_the_threshold_with_a_temperature(photo: np.ndarray) -> None:
    card = with_point(EARLY_STOPPING, temperature=2.0)
    threshold = 2 * logit(0.3)
    distances = (0.4, 0.9, 1.1)
    views = [judge(photo, StubEngine(expit(threshold + d)), card).views for d in distances]
    assert views == [8, 4, 2]


def test_the_heat_maps_of_the_views_are_turned_back_before_they_are_averaged(
    photo: np.ndarray,
) -> None:
    class MarkedQuarter(StubEngine):
        """Its heat map marks the quarter of the view that was the photo's top left one."""

        def run(self, images: np.ndarray) -> Outputs:
            marks = images[:, 25::50, 25::50, 0].astype(np.float32)
            return Outputs(np.full(len(images), 0.5, np.float32), marks, None)

    marked = photo.copy()
    marked[:250, :250, 0] = 255
    marked[250:, :, 0] = marked[:, 250:, 0] = 0
    heat_map = measure(marked, MarkedQuarter(), EIGHT_VIEWS).heat_map
    assert (heat_map[:5, :5] == 255).all()
    assert heat_map.sum() == 25 * 255


def test_the_heat_map_shows_only_evidence_for_malignant(photo: np.ndarray) -> None:
    raw = np.array([[-3.0, 0.0], [1.0, 4.0]], np.float32)
    answer = judge(photo, StubEngine(0.9, heat_map=raw), Card(name="test"))
    assert answer.heat_map.tolist() == [[0, 0], [0.25, 1]]
