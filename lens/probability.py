"""Is a network's output a probability? By its graph, and by its answers to extreme photos.

A logit looks like a probability on many photos, and each below the threshold reads as "benign".
"""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lens.architecture import UnfitNetwork
from lens.images import SIZE

Bounds: TypeAlias = tuple[float, float]
Calculation: TypeAlias = Callable[[float, float], float]

OUTPUTS = ("probability", "logit")

NAMES = ("malignant", "lesion", "kind")
"""Outputs that are probabilities; a heat map is none."""

ROUNDING = 1e-3
"""How far a probability may lie outside 0 to 1: bfloat16 has three digits."""

# TensorFlow operations that keep a probability one: they reshape it, select it, average it, or
# take it from one. Of these, those in the first row have one input that matters, the first.
_RESHAPING = frozenset(
    {
        *("Cast", "ExpandDims", "GatherV2", "Identity", "Max", "Mean", "Min", "Reshape", "Slice"),
        *("Squeeze", "StridedSlice", "Sum", "Transpose"),
    }
)
_ARITHMETIC: dict[str, Calculation] = {
    **dict.fromkeys(("Add", "AddN", "AddV2"), operator.add),
    "Mul": operator.mul,
    "RealDiv": operator.truediv,
    "Sub": operator.sub,
}
_AVERAGING = frozenset({*_ARITHMETIC, "ConcatV2", "Pack"})


def by_name(answer: Any, model: Any) -> dict[str, Any]:
    """A network's outputs by name, whether it answers with a tensor, a list or a dict."""
    if isinstance(answer, dict):
        return dict(answer)
    values = answer if isinstance(answer, list | tuple) else [answer]
    names = getattr(model, "output_names", ())  # A Keras 3 Sequential has none.
    if len(set(names)) != len(values):
        names = [f"output {number}" for number in range(1, len(values) + 1)]
    return dict(zip(names, values, strict=True))


def flattened(value: Any) -> Any:
    """One output as (n, 1), or (n, 2) for two classes.

    Raises:
        UnfitNetwork: it holds more than that for each photo.
    """
    from keras import ops

    inner = tuple(getattr(value, "shape", (None, None)))[1:]
    width = None if None in inner else math.prod(inner)
    if width not in (1, 2):
        raise UnfitNetwork(
            "expected as output p(malignant), (n, 1), or a softmax of two classes, benign and "
            f"malignant, (n, 2), got {('n', *inner)}".replace("'", "")
        )
    return ops.reshape(value, (-1, width))


def of_malignant(value: Any, output: str) -> Any:
    """(n, 1), or benign and malignant (n, 2), to p(malignant) (n, 1)."""
    from keras import ops

    if output == "logit":
        logit = value[:, 1:] - value[:, :1] if value.shape[1] == 2 else value
        return ops.sigmoid(logit)
    return value[:, 1:] if value.shape[1] == 2 else value


def check(answers: Callable[[Any], dict[str, Any]], output: str) -> dict[str, Any]:
    """Refuse a network whose outputs are not what ``output`` says.

    Args:
        answers: float32 pixels (n, 500, 500, 3) to named outputs, ``malignant`` not yet made a
            probability.
        output: one of ``OUTPUTS``.

    Returns:
        The outputs for extreme photos.

    Raises:
        UnfitNetwork: they are not; the message says which, and what to do.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        answers = _traced(answers)
        for name, tensor in answers.structured_outputs.items():  # type: ignore[attr-defined]
            if name in NAMES:
                _check_graph(name, tensor, "probability" if name != "malignant" else output)
    given = {}
    for photo in extreme_photos():
        given = answers(keras.ops.convert_to_tensor(photo[np.newaxis], "float32"))
        for name in set(NAMES) & given.keys():
            is_logit = name == "malignant" and output == "logit"
            _check_range(name, np.asarray(given[name]), is_logit)
    return given


def _traced(answers: Callable[[Any], dict[str, Any]]) -> Any:
    import tensorflow as tf

    pixels = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)
    # Without autograph, which would put its own words around an error.
    return tf.function(answers, autograph=False).get_concrete_function(pixels)


def _check_graph(name: str, tensor: Any, output: str) -> None:
    ends = {operation.type: operation for operation in _ends(tensor.op)}
    is_probability = ends.keys() <= {"Sigmoid", "Softmax"}
    if output == "logit":
        if is_probability:
            raise UnfitNetwork(
                f"{_shown(name)} ends in a {' and '.join(ends).lower()}, so that it is a "
                "probability already; unset MOLELENS_OUTPUT"
            )
        return
    if not is_probability:
        others = sorted(ends[kind].name for kind in ends.keys() - {"Sigmoid", "Softmax"})
        raise UnfitNetwork(
            f"{_shown(name)} is no probability: it comes from {others[0]} without a sigmoid or "
            "softmax at the end; add one, or set MOLELENS_OUTPUT=logit if it is log-odds"
        )
    low, high = _bounds(tensor)
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise UnfitNetwork(
            f"{_shown(name)} is no probability: what follows its {' and '.join(ends).lower()} "
            f"takes it to between {low:.3g} and {high:.3g}"
        )
    if tensor.shape[-1] == 2 and "Sigmoid" in ends:
        raise UnfitNetwork(
            f"{_shown(name)} is two sigmoids, which need not add up to 1; expected one sigmoid, or "
            "a softmax of benign and malignant"
        )
    if "Softmax" in ends and ends["Softmax"].inputs[0].shape[-1] == 1:
        raise UnfitNetwork(f"{_shown(name)} is a softmax of one value, which is always 1")


def _shown(name: str) -> str:
    """An output's name for people; a network with one output may call it anything."""
    return "its output" if name == "malignant" else f"its output {name!r}"


def _ends(operation: Any) -> Iterator[Any]:
    """The operations that a value comes from, past those that leave a probability one."""
    seen, waiting = set(), [operation]
    while waiting:
        operation = waiting.pop()
        if operation.name in seen or operation.type == "Const":
            continue
        seen.add(operation.name)
        if operation.type in _RESHAPING:
            waiting.append(operation.inputs[0].op)
        elif operation.type in _AVERAGING:
            waiting.extend(tensor.op for tensor in operation.inputs)
        else:
            yield operation


def _bounds(tensor: Any) -> Bounds:
    """Between what a value lies that is made of probabilities and constants alone.

    A sum over classes counts as a probability: the answers to photos must tell.
    """
    import tensorflow as tf

    constant = tf.get_static_value(tensor)
    if constant is not None:
        return float(np.min(constant)), float(np.max(constant))
    operation = tensor.op
    if operation.type in _RESHAPING:
        return _bounds(operation.inputs[0])
    if operation.type not in _AVERAGING:  # A sigmoid or a softmax.
        return 0.0, 1.0
    first, *others = [_bounds(part) for part in operation.inputs if part.dtype.is_floating]
    for other in others:
        first = _combined(_ARITHMETIC.get(operation.type), first, other)
    return first


def _combined(calculate: Calculation | None, one: Bounds, other: Bounds) -> Bounds:
    if calculate is None:  # Side by side.
        ends = [*one, *other]
    elif calculate is operator.truediv and other[0] <= 0 <= other[1]:
        ends = [0.0, 1.0]  # By another answer: a share, or the answers to photos must tell.
    else:
        ends = [calculate(a, b) for a in one for b in other]
    return min(ends), max(ends)


def _check_range(name: str, values: NDArray[np.float32], is_logit: bool) -> None:
    if not np.isfinite(values).all():
        raise UnfitNetwork(f"{_shown(name)} is not finite for photos of one colour or noise")
    if not is_logit and not is_probability(values):
        raise UnfitNetwork(
            f"{_shown(name)} is no probability, got {float(values.min()):.3g} to "
            f"{float(values.max()):.3g} for a photo of one colour or noise"
        )


def is_probability(values: NDArray[np.float32]) -> bool:
    """Whether all values lie between 0 and 1; NaN does not."""
    return bool(((values >= -ROUNDING) & (values <= 1 + ROUNDING)).all())


def extreme_photos() -> NDArray[np.uint8]:
    """Black, white, the purest colours, a chessboard and noise, uint8 (10, 500, 500, 3)."""
    plain = [np.full((SIZE, SIZE, 3), np.array(c) * 255) for c in np.ndindex(2, 2, 2)]
    y, x = np.mgrid[:SIZE, :SIZE]
    chessboard = np.repeat(((x + y) % 2 * 255)[..., np.newaxis], 3, axis=-1)
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3))
    return np.stack([*plain, chessboard, noise]).astype(np.uint8)
