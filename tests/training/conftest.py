"""After every test, restore the process-wide settings that a training command changes."""

import sys
from collections.abc import Iterator
from unittest.mock import patch

import pytest


@pytest.fixture(autouse=True)
def restore_process_settings() -> Iterator[None]:
    """Restore the dtype policy float32, and the environment with KERAS_BACKEND."""
    with patch.dict("os.environ"):
        yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")
