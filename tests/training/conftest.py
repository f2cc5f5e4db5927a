"""What every test of training needs."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def float32_policy() -> Iterator[None]:
    """Undo a run's choice of bfloat16, which it makes for its whole process."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")
