"""AVIF is decoded in a process of its own, and that process is bounded."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from corpus import LIAR, encode, noise
from serving import ROOT

from lens import avif_sandbox
from lens.images import UnusableImage, decode
from lens.pixels import decode_here

PHOTO = encode(noise(), "AVIF")


def test_the_pixels_are_those_of_this_process() -> None:
    assert np.array_equal(decode(PHOTO), decode_here(PHOTO))


def test_a_photo_gets_the_memory_of_the_pixels_it_declares_and_no_more() -> None:
    avif_sandbox.decode(LIAR, needed=2_000_000_000)
    with pytest.raises(UnusableImage):
        decode(LIAR)


def test_what_the_child_cannot_decode_is_a_failure_with_its_last_word() -> None:
    with pytest.raises(avif_sandbox.FailedError, match=r"exit status 1: .*not a photo we can read"):
        avif_sandbox.decode(b"no photo", needed=0)


def test_a_child_that_decodes_for_too_long_is_ended() -> None:
    endless = """
from itertools import count
from lens import avif_sandbox, pixels
pixels.decode_here = lambda data: sum(count())
avif_sandbox.main()
"""
    child = subprocess.run([sys.executable, "-c", endless, "0"], input=b"", cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
