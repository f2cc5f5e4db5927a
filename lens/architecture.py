"""What a model file asks Keras to build: checked, and mended, before any of it is built.

A Keras ``.h5`` holds the network as JSON: layers by class name, each with its settings, models
within models. Nothing here imports Keras.
"""

from collections.abc import Iterator
from typing import Any

Config = dict[str, Any]

CODE_LAYERS = frozenset(
    {
        # They hold Python code of the file's author, or name a file or a function to run.
        *("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"),
        # TensorFlow operations and methods by name, in files of TensorFlow 2.0 to 2.15.
        *("TensorFlowOpLayer", "ClassMethod", "InstanceMethod", "InstanceProperty"),
    }
)

# Where a file may ask Keras to find its classes; Keras says "builtins" of its own functions.
_OWN_MODULES = ("keras", "tf_keras", "builtins")

# Keras 2 keeps ``preprocess_input`` and arithmetic as TensorFlow functions by name. Any function
# of TensorFlow may stand there, those that read and write files too, so that only these may.
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

_SCALING_LAYERS = ("Rescaling", "Normalization", "TrueDivide", "Divide", "Multiply", "Subtract")
_SCALING_FUNCTIONS = frozenset(
    {
        *("math.truediv", "math.divide", "math.multiply", "math.subtract", "nn.bias_add"),
        *("math.scalar_mul", "image.per_image_standardization", "__operators__.truediv"),
        *("__operators__.mul", "__operators__.sub"),
    }
)


class UnfitNetwork(ValueError):
    """A network that is not built or not served; ``str(error)`` says why, in one line."""


def layers(config: Config) -> Iterator[Config]:
    """Every layer from the input on; a model within a model gives its own layers instead."""
    inside = config.get("config")
    inner = inside.get("layers") if isinstance(inside, dict) else inside
    if not isinstance(inner, list):  # The first versions of Keras 2 kept a bare list here.
        yield config
        return
    for layer in inner:
        yield from layers(layer)


def name_of(layer: Config) -> str:
    """A layer's name and class, for people."""
    settings = layer.get("config")
    name = settings.get("name") if isinstance(settings, dict) else None
    return f"{name or layer.get('name') or '?'!s} ({layer.get('class_name')})"


def refuse_code(config: Config) -> None:
    """Refuse a network that runs anything but Keras's own code (CVE-2025-9905).

    Older Keras ran a Lambda in an ``.h5`` whatever ``safe_mode`` said.

    Raises:
        UnfitNetwork: it does, in the layer that the message names.
    """
    for part in _dicts(config):
        kind, module = part.get("class_name"), part.get("module")
        if kind in CODE_LAYERS:
            raise UnfitNetwork(f"refused, its layer {name_of(part)} carries code of its own")
        if isinstance(module, str) and module.split(".")[0] not in _OWN_MODULES:
            raise UnfitNetwork(
                f"refused, its part {name_of(part)} asks for code outside Keras ({module})"
            )
        if kind in _FUNCTION_LAYERS and not _is_pure(part["config"].get("function")):
            raise UnfitNetwork(
                f"refused, its layer {name_of(part)} calls the TensorFlow function "
                f"{part['config'].get('function')}, which is not among those allowed"
            )


def _is_pure(function: object) -> bool:
    return isinstance(function, str) and (
        function in _PURE_FUNCTIONS or function.startswith(_PURE_NAMESPACES)
    )


def in_float32(value: Any) -> Any:
    """The same network computing in float32 whatever precision it was trained in.

    Mixed precision keeps weights in float32. Its answers in half precision differ from one
    processor to the next, and OpenVINO cannot convert bfloat16 from TensorFlow.
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
    """Whether the network scales pixels itself, before its first layer with a kernel."""
    for layer in layers(config):
        settings = layer.get("config", {})
        if layer.get("class_name") in _SCALING_LAYERS:
            return True
        if settings.get("function") in _SCALING_FUNCTIONS:
            return True
        # The operation x + constant; the layer of this name has a dtype, and joins two layers.
        if layer.get("class_name") == "Add" and "dtype" not in settings:
            return True
        if {"kernel_initializer", "depthwise_initializer"} & settings.keys():
            return False
    return False


def _dicts(value: Any) -> Iterator[Config]:
    """Every dict in the configuration, however deep."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for child in children:
            yield from _dicts(child)
