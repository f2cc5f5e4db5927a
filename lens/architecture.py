"""Check and adapt the network's configuration in a model file before Keras builds anything.

A Keras ``.h5`` holds the network as JSON: nested layers with their class names and settings.
Nothing here imports Keras.
"""

from collections.abc import Iterator
from typing import Any

Config = dict[str, Any]
"""A layer, an operation or a model, as Keras serializes it."""

CODE_LAYERS = frozenset(
    {
        # These contain Python code, or name a file or a function to run.
        *("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"),
        # TensorFlow 2.0 to 2.15 stored operations and methods by name in these.
        *("TensorFlowOpLayer", "ClassMethod", "InstanceMethod", "InstanceProperty"),
    }
)

# Packages whose classes a model file may name. Keras lists its own functions under "builtins".
_ALLOWED_MODULES = ("keras", "tf_keras", "builtins")

# Keras 2 stores ``preprocess_input`` and arithmetic as names of TensorFlow functions. A file could
# name any function there, even one that writes files, so only functions without side effects pass.
_FUNCTION_LAYERS = ("TFOpLambda", "SlicingOpLambda")
_PURE_NAMESPACES = ("math.", "nn.", "linalg.", "__operators__.", "compat.v1.nn.")
_PURE_FUNCTIONS = frozenset(
    {
        *("broadcast_to", "cast", "clip_by_value", "concat", "convert_to_tensor", "expand_dims"),
        *("identity", "image.per_image_standardization", "image.resize", "pad", "repeat"),
        *("image.central_crop", "image.resize_with_pad", "image.rgb_to_grayscale", "reshape"),
        *("ones_like", "reverse", "shape", "split", "squeeze", "stack", "stop_gradient", "tile"),
        *("compat.v1.shape", "compat.v1.transpose", "transpose", "unstack", "zeros_like"),
        *("image.grayscale_to_rgb", "image.rgb_to_hsv", "keras.backend.cast", "size", "slice"),
    }
)

_HALF_PRECISIONS = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")

# Layers, operations and TensorFlow functions that scale or shift pixels.
_SCALING_LAYERS = ("Rescaling", "Normalization", "TrueDivide", "Divide", "Multiply", "Subtract")
_SCALING_FUNCTIONS = frozenset(
    {
        *("math.truediv", "math.divide", "math.multiply", "math.subtract", "nn.bias_add"),
        *("math.scalar_mul", "image.per_image_standardization", "__operators__.truediv"),
        *("__operators__.mul", "__operators__.sub"),
    }
)


class UnsupportedNetwork(ValueError):
    """A network that cannot be served; ``str(error)`` gives the reason in one line."""


def layers(config: Config) -> Iterator[Config]:
    """All layers in order, with nested models replaced by their layers."""
    settings = config.get("config")
    # The first versions of Keras 2 stored a bare list of layers.
    nested = settings.get("layers") if isinstance(settings, dict) else settings
    if not isinstance(nested, list):
        yield config
        return
    for layer in nested:
        yield from layers(layer)


def describe(layer: Config) -> str:
    """A layer's name and class, for error messages."""
    settings = layer.get("config")
    name = settings.get("name") if isinstance(settings, dict) else None
    return f"{name or layer.get('name') or '?'!s} ({layer.get('class_name')})"


def refuse_code(config: Config) -> None:
    """Refuse a network that runs any code other than Keras's own.

    Older versions of Keras run Lambda layers of an ``.h5`` even with ``safe_mode`` (CVE-2025-9905).

    Raises:
        UnsupportedNetwork: a layer would run other code; the message names the layer.
    """
    for part in _all_dicts(config):
        class_name, module = part.get("class_name"), part.get("module")
        if class_name in CODE_LAYERS:
            raise UnsupportedNetwork(f"refused, its layer {describe(part)} contains custom code")
        if isinstance(module, str) and module.split(".")[0] not in _ALLOWED_MODULES:
            raise UnsupportedNetwork(
                f"refused, its part {describe(part)} asks for code outside Keras ({module})"
            )
        if class_name in _FUNCTION_LAYERS and not _is_pure(part["config"].get("function")):
            raise UnsupportedNetwork(
                f"refused, its layer {describe(part)} calls the TensorFlow function "
                f"{part['config'].get('function')}, which is not among those allowed"
            )


def _is_pure(function: object) -> bool:
    """Whether this TensorFlow function is allowed because it has no side effects."""
    return isinstance(function, str) and (
        function in _PURE_FUNCTIONS or function.startswith(_PURE_NAMESPACES)
    )


def in_float32(value: Any) -> Any:
    """The same configuration, with half-precision layers set to float32.

    Mixed precision keeps the weights in float32, so nothing is lost. Results in half precision
    differ between processors, and OpenVINO cannot convert bfloat16 from TensorFlow.
    """
    if isinstance(value, list):
        return [in_float32(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: "float32" if key == "dtype" and _is_half(item) else in_float32(item)
        for key, item in value.items()
    }


def _is_half(dtype: object) -> bool:
    if isinstance(dtype, dict) and isinstance(dtype.get("config"), dict):
        dtype = dtype["config"].get("name")
    return dtype in _HALF_PRECISIONS


def scales_pixels(config: Config) -> bool:
    """Whether the network scales the pixels before its first layer with weights."""
    for layer in layers(config):
        settings = layer.get("config", {})
        if layer.get("class_name") in _SCALING_LAYERS:
            return True
        if settings.get("function") in _SCALING_FUNCTIONS:
            return True
        # Without a dtype, Add is the operation x + constant, not the layer that adds two inputs.
        if layer.get("class_name") == "Add" and "dtype" not in settings:
            return True
        if {"kernel_initializer", "depthwise_initializer"} & settings.keys():
            return False
    return False


def _all_dicts(value: Any) -> Iterator[Config]:
    """Every dict in the configuration, at any depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _all_dicts(child)
