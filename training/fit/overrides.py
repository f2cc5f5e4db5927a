"""Change settings of a recipe from the command line: ``--set augmentation.rotation=0``."""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Any

from training.cli import UsageError
from training.fit.augmentation import Augmentation
from training.fit.recipes import Recipe, Stage


class OverrideError(UsageError):
    """A setting does not exist, or its value is not allowed; the message says which."""


_PARSERS: dict[type, tuple[str, Callable[[str], Any]]] = {
    int: ("a whole number", int),
    float: ("a number", float),
    bool: ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
    str: ("a word", str),
    tuple: ("words separated by commas", lambda text: tuple(filter(None, text.split(",")))),
}


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """A copy of the recipe with some settings changed.

    Args:
        recipe: the recipe to copy.
        settings: ``NAME=VALUE`` each.

    Raises:
        OverrideError: a setting does not exist, or its value is not allowed.
    """
    known = settings_of(recipe)
    fields: Any = dataclasses.asdict(recipe)
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known:
            # Compare with the last parts too, so that "rotation" finds augmentation.rotation.
            ends = {key.rsplit(".", 1)[-1]: key for key in known} | {key: key for key in known}
            close = [ends[end] for end in difflib.get_close_matches(name, ends, 1)]
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
            raise OverrideError(f"expected NAME=VALUE, got {setting!r}; {hint}")
        expected, parse = _PARSERS[type(known[name])]
        *path, last = name.split(".")
        parent = functools.reduce(
            lambda outer, key: outer[int(key) if key.isdigit() else key], path, fields
        )
        try:
            parent[last] = parse(text)
        except (ValueError, KeyError) as error:
            raise OverrideError(f"{name}: expected {expected}, got {text!r}") from error
    try:
        fields["stages"] = tuple(Stage(**stage) for stage in fields["stages"])
        fields["augmentation"] = Augmentation(**fields["augmentation"])
        return Recipe(**fields)
    except ValueError as error:
        raise OverrideError(str(error)) from error


def settings_of(value: Any, name: str = "") -> dict[str, Any]:
    """All settings by name, with their values: ``epochs``, ``stages.0.size``, ``rates.adam`` ..."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {name: value}
    below = [settings_of(child, f"{name}.{key}" if name else key) for key, child in value.items()]
    return {key: leaf for part in below for key, leaf in part.items()}
