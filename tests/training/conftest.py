"""Undo what a command sets for its whole process, after every test of training."""

import sys
from collections.abc import Iterator
from unittest.mock import patch

import pytest


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Iterator[None]:
    """Restore float32 (a run may choose bfloat16) and the environment (KERAS_BACKEND)."""
    with patch.dict("os.environ"):
        yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")
