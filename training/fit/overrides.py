"""Numbers of a recipe changed on the command line: ``--set augmentation.rotation=0``."""

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable
from typing import Any, get_args, get_type_hints

from training.fit.recipes import Recipe


class OverrideError(Exception):
    """A setting that no recipe has, or a value that it cannot have; the message says which."""


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with some of its numbers changed.

    Args:
        recipe: what is changed; it stays as it is.
        settings: ``NAME=VALUE`` each, NAME one of ``names``; the last of two alike counts.

    Raises:
        OverrideError: there is no such name, or its value is of another kind.
    """
    known = {name: kind for name, _, kind in _leaves("", recipe, Recipe)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise OverrideError(f"expected NAME=VALUE, such as epochs=3, got {setting!r}")
        if name not in known:
            raise OverrideError(f"the recipe has no {name!r}; {_near(name, list(known))}")
        recipe = _replaced(recipe, name.split("."), _read(name, text, known[name]))
    if recipe.optimizer not in recipe.rates:
        raise OverrideError(
            f"optimizer: expected one of {', '.join(recipe.rates)}, got {recipe.optimizer!r}"
        )
    total = sum(stage.share for stage in recipe.stages)
    if not math.isclose(total, 1):
        raise OverrideError(f"the shares of the stages must sum to 1, these sum to {total:g}")
    return recipe


def names(recipe: Recipe) -> dict[str, Any]:
    """Every name that can be set, with its value: ``epochs``, ``stages.0.size``, ``rates.adam``."""
    return {name: value for name, value, _ in _leaves("", recipe, Recipe)}


def _leaves(name: str, value: Any, kind: Any) -> Iterable[tuple[str, Any, Any]]:
    """Name, value and type of everything in ``value`` that is no container of more."""
    parts: Iterable[tuple[Any, Any, Any]]
    if dataclasses.is_dataclass(value):
        hints = get_type_hints(type(value))
        parts = [(key, getattr(value, key), hints[key]) for key in hints]
    elif isinstance(value, dict):
        parts = [(key, value[key], get_args(kind)[1]) for key in value]
    elif isinstance(value, tuple) and dataclasses.is_dataclass(get_args(kind)[0]):
        parts = [(index, part, get_args(kind)[0]) for index, part in enumerate(value)]
    else:
        yield name, value, kind
        return
    for key, part, hint in parts:
        yield from _leaves(f"{name}.{key}" if name else key, part, hint)


def _near(name: str, known: list[str]) -> str:
    last = {key.rsplit(".", 1)[-1]: key for key in known}
    close = difflib.get_close_matches(name, known, 1, 0.5)
    # A name without its room, such as rotation for augmentation.rotation.
    close = close or [last[key] for key in difflib.get_close_matches(name, last, 1)]
    return f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"


def _replaced(value: Any, path: list[str], new: Any) -> Any:
    """``value`` with what the path leads to replaced."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {**value, first: _replaced(value[first], rest, new)}
    if isinstance(value, tuple):
        index = int(first)
        return (*value[:index], _replaced(value[index], rest, new), *value[index + 1 :])
    return dataclasses.replace(value, **{first: _replaced(getattr(value, first), rest, new)})


def _read(name: str, text: str, kind: Any) -> Any:
    if type(None) in get_args(kind):
        if text.lower() == "none":
            return None
        kind = get_args(kind)[0]
    expected, read = _KINDS[kind]
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        raise OverrideError(f"{name}: expected {expected}, got {text!r}") from error


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _amount(text: str) -> float:
    if not 0 <= float(text) < math.inf:
        raise ValueError(text)
    return float(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


# No number of a recipe is negative, and none that is counted is zero.
_KINDS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("a whole number from 1 up", _count),
    float: ("a number from 0 up", _amount),
    bool: ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
    str: ("a word", str),
    tuple[str, ...]: ("words with commas between them", _words),
}
