"""AVIF is decoded in a child process with limited memory and CPU time."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from corpus import AVIF_WITH_HIDDEN_PIXELS, encode, noise
from serving import ROOT

from lens import avif_sandbox
from lens.images import UnusableImage, decode
from lens.pixels import decode_here

PHOTO = encode(noise(), "AVIF")


def test_the_child_process_decodes_the_same_pixels() -> None:
    assert np.array_equal(decode(PHOTO), decode_here(PHOTO))


def test_memory_is_limited_to_what_the_declared_pixels_need() -> None:
    avif_sandbox.decode(AVIF_WITH_HIDDEN_PIXELS, picture_bytes=2_000_000_000)
    with pytest.raises(UnusableImage):
        decode(AVIF_WITH_HIDDEN_PIXELS)


def test_a_failure_is_reported_with_the_last_line_of_the_child_process() -> None:
    with pytest.raises(avif_sandbox.FailedError, match=r"exit status 1: .*not a photo we can read"):
        avif_sandbox.decode(b"no photo", picture_bytes=0)


def test_a_child_process_that_decodes_for_too_long_is_killed() -> None:
    endless = """
from itertools import count
from lens import avif_sandbox, pixels
pixels.decode_here = lambda data: sum(count())
avif_sandbox.main()
"""
    child = subprocess.run([sys.executable, "-c", endless, "0"], input=b"", cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
