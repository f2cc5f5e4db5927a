"""AVIF and HEIC are decoded in a child process with limited memory and CPU time."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from corpus import AVIF_WITH_HIDDEN_PIXELS, encode, noise
from serving import ROOT

from lens import sandbox
from lens.images import UnusableImage, decode
from lens.pixels import decode_here


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_the_child_process_decodes_the_same_pixels(kind: str) -> None:
    photo = encode(noise(), kind)
    assert np.array_equal(decode(photo), decode_here(photo))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_photo_that_exceeds_the_limits_of_the_child_process_counts_as_damaged(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run
    # The child process gets no memory for the picture, and none for Python.
    monkeypatch.setattr(
        sandbox,
        "subprocess",
        SimpleNamespace(
            run=lambda command, **options: run(
                [*command[:-1], str(-sandbox.BASE_MEMORY_BYTES)], **options
            )
        ),
    )
    with pytest.raises(UnusableImage, match="damaged"):
        decode(encode(noise(), kind))


def test_memory_is_limited_to_what_the_declared_pixels_need() -> None:
    # With more memory it can be decoded. That takes 1.4 s of CPU, and several times as long on a
    # slow machine, so the limit of CPU time is raised here.
    patient = "from lens import sandbox; sandbox.MAX_CPU_SECONDS = 100; sandbox.main()"
    command = [sys.executable, "-c", patient, "2_000_000_000"]
    subprocess.run(
        command, input=AVIF_WITH_HIDDEN_PIXELS, cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    with pytest.raises(UnusableImage):
        decode(AVIF_WITH_HIDDEN_PIXELS)


def test_a_failure_is_reported_with_the_last_line_of_the_child_process() -> None:
    with pytest.raises(sandbox.FailedError, match=r"exit status 1: .*not a photo we can read"):
        sandbox.decode(b"no photo", picture_bytes=0)


def test_a_child_process_that_decodes_for_too_long_is_killed() -> None:
    endless = """
from itertools import count
from lens import sandbox, pixels
pixels.decode_here = lambda data: sum(count())
sandbox.main()
"""
    child = subprocess.run([sys.executable, "-c", endless, "0"], input=b"", cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
