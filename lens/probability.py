"""Check that a network's outputs are probabilities, by its graph and by its values for photos.

For many photos a logit looks like a probability, and most logits would give the verdict "benign".
"""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lens.architecture import UnsupportedNetwork
from lens.images import SIZE

Bounds: TypeAlias = tuple[float, float]
Calculation: TypeAlias = Callable[[float, float], float]

OUTPUTS = ("probability", "logit")

NAMES = ("malignant", "lesion", "kind")
"""Names of the outputs that must be probabilities."""

TOLERANCE = 1e-3
"""How far a probability may be outside 0 to 1; bfloat16 has three digits."""

# TensorFlow operations that may follow a sigmoid or softmax: they reshape, select, average or
# subtract from 1. Of those in the first set, only the first input matters.
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


def by_name(returned: Any, model: Any) -> dict[str, Any]:
    """The outputs by name. A network may return a tensor, a list or a dict."""
    if isinstance(returned, dict):
        return dict(returned)
    values = returned if isinstance(returned, list | tuple) else [returned]
    names = getattr(model, "output_names", ())  # A Sequential of Keras 3 has no names.
    if len(set(names)) != len(values):
        names = [f"output {number}" for number in range(1, len(values) + 1)]
    return dict(zip(names, values, strict=True))


def flattened(value: Any) -> Any:
    """Reshape an output to (n, 1), or to (n, 2) for two classes.

    Raises:
        UnsupportedNetwork: the output has more than two values per photo.
    """
    from keras import ops

    inner = tuple(getattr(value, "shape", (None, None)))[1:]
    width = None if None in inner else math.prod(inner)
    if width not in (1, 2):
        raise UnsupportedNetwork(
            "expected as output p(malignant), (n, 1), or a softmax of two classes, benign and "
            f"malignant, (n, 2), got {('n', *inner)}".replace("'", "")
        )
    return ops.reshape(value, (-1, width))


def of_malignant(value: Any, output: str) -> Any:
    """Convert an output (n, 1), or (n, 2) for benign and malignant, to p(malignant) (n, 1)."""
    from keras import ops

    if output == "logit":
        logit = value[:, 1:] - value[:, :1] if value.shape[1] == 2 else value
        return ops.sigmoid(logit)
    return value[:, 1:] if value.shape[1] == 2 else value


def check(network: Callable[[Any], dict[str, Any]], output: str) -> dict[str, Any]:
    """Refuse a network whose outputs are not of the kind that ``output`` declares.

    Args:
        network: a function of float32 pixels (n, 500, 500, 3) that returns the outputs by name,
            ``malignant`` without conversion.
        output: one of ``OUTPUTS``.

    Returns:
        The outputs for one of the extreme photos.

    Raises:
        UnsupportedNetwork: the message says which output is wrong, and what to do.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        network = _traced(network)
        for name, tensor in network.structured_outputs.items():  # type: ignore[attr-defined]
            if name in NAMES:
                _check_graph(name, tensor, "probability" if name != "malignant" else output)
    outputs = {}
    for photo in extreme_photos():
        outputs = network(keras.ops.convert_to_tensor(photo[np.newaxis], "float32"))
        for name in set(NAMES) & outputs.keys():
            is_logit = name == "malignant" and output == "logit"
            _check_range(name, np.asarray(outputs[name]), is_logit)
    return outputs


def _traced(network: Callable[[Any], dict[str, Any]]) -> Any:
    import tensorflow as tf

    pixels = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)
    # autograph would add its own text to error messages.
    return tf.function(network, autograph=False).get_concrete_function(pixels)


def _check_graph(name: str, tensor: Any, output: str) -> None:
    sources = {operation.type: operation for operation in _sources(tensor.op)}
    ends_in_probability = sources.keys() <= {"Sigmoid", "Softmax"}
    if output == "logit":
        if ends_in_probability:
            raise UnsupportedNetwork(
                f"{_described(name)} ends in a {' and '.join(sources).lower()}, so it is a "
                "probability already; unset MOLELENS_OUTPUT"
            )
        return
    if not ends_in_probability:
        others = sorted(sources[kind].name for kind in sources.keys() - {"Sigmoid", "Softmax"})
        raise UnsupportedNetwork(
            f"{_described(name)} is no probability: it comes from {others[0]} without a sigmoid or "
            "softmax at the end; add one, or set MOLELENS_OUTPUT=logit if it is log-odds"
        )
    low, high = _bounds(tensor)
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise UnsupportedNetwork(
            f"{_described(name)} is no probability: what follows its "
            f"{' and '.join(sources).lower()} scales it to between {low:.3g} and {high:.3g}"
        )
    if tensor.shape[-1] == 2 and "Sigmoid" in sources:
        raise UnsupportedNetwork(
            f"{_described(name)} is two sigmoids, which need not add up to 1; expected one "
            "sigmoid, or a softmax of benign and malignant"
        )
    if "Softmax" in sources and sources["Softmax"].inputs[0].shape[-1] == 1:
        raise UnsupportedNetwork(f"{_described(name)} is a softmax of one value, which is always 1")


def _described(name: str) -> str:
    """The output in an error message; "malignant" may have another name in the file."""
    return "its output" if name == "malignant" else f"its output {name!r}"


def _sources(operation: Any) -> Iterator[Any]:
    """The operations whose results are only reshaped, selected and averaged to produce a value."""
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
    """Lower and upper bound of a value that is computed from probabilities and constants only.

    A sum over classes counts as a probability here; only ``_check_range`` can detect others.
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
    if calculate is None:  # The values are concatenated.
        ends = [*one, *other]
    elif calculate is operator.truediv and other[0] <= 0 <= other[1]:
        ends = [0.0, 1.0]  # Probably a share of a total; ``_check_range`` detects others.
    else:
        ends = [calculate(a, b) for a in one for b in other]
    return min(ends), max(ends)


def _check_range(name: str, values: NDArray[np.float32], is_logit: bool) -> None:
    if not np.isfinite(values).all():
        raise UnsupportedNetwork(
            f"{_described(name)} is not finite for photos of one colour or noise"
        )
    if not is_logit and not is_probability(values):
        raise UnsupportedNetwork(
            f"{_described(name)} is no probability, got {float(values.min()):.3g} to "
            f"{float(values.max()):.3g} for a photo of one colour or noise"
        )


def is_probability(values: NDArray[np.float32]) -> bool:
    """Whether all values lie between 0 and 1; False if one is NaN."""
    return bool(((values >= -TOLERANCE) & (values <= 1 + TOLERANCE)).all())


def extreme_photos() -> NDArray[np.uint8]:
    """Black, white, six pure colours, a chessboard and noise, uint8 (10, 500, 500, 3)."""
    plain = [np.full((SIZE, SIZE, 3), np.array(c) * 255) for c in np.ndindex(2, 2, 2)]
    y, x = np.mgrid[:SIZE, :SIZE]
    chessboard = np.repeat(((x + y) % 2 * 255)[..., np.newaxis], 3, axis=-1)
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3))
    return np.stack([*plain, chessboard, noise]).astype(np.uint8)
