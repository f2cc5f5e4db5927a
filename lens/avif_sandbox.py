"""Decode a photo in a process of its own, whose memory and time the kernel bounds.

An AVIF may declare fewer pixels than its AV1 stream holds. libavif decodes up to 268 megapixels of
those before it compares (a file of 3 kB took 560 MB), and Pillow has no setting for that limit;
an allocation that fails may end the process (AOMediaCodec/libavif#611). A child process makes both
harmless, and any other fault of that decoder too.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

OWN_BYTES = 120_000_000
"""What the child may hold beside the picture; 60 to 80 MB were needed, 40 MB of them resident."""

CPU_S = 3
"""Most processor seconds of the child; a photo of 16 megapixels takes one or two. An AV1
stream may hold any number of frames that are decoded and never shown."""


class FailedError(Exception):
    """The child could not decode the photo within its bounds."""


def decode(data: bytes, needed: int) -> bytes:
    """What ``lens.pixels.decode_here`` makes of the file ``data``, in ``needed`` bytes at most.

    Raises:
        FailedError: the file is damaged, or takes more than its pixels may.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        # Every thread has a stack and a heap that count as memory.
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
    }
    command = [sys.executable, "-m", "lens.avif_sandbox", str(needed)]
    child = subprocess.run(  # noqa: S603 - ourselves, no shell
        command, input=data, env=environment, capture_output=True, check=False
    )
    if child.returncode != 0:
        said = child.stderr.decode(errors="replace").strip().splitlines()
        raise FailedError(f"exit status {child.returncode}: {said[-1] if said else 'no word'}")
    return child.stdout


def main() -> None:
    """The child: a file on stdin, pixels on stdout."""
    import resource

    from PIL import AvifImagePlugin

    from lens import pixels

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    most = int(sys.argv[1]) + OWN_BYTES
    bounds = [(resource.RLIMIT_DATA, most), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)]
    for kind, bound in bounds:
        resource.setrlimit(kind, (bound, bound))
    sys.stdout.buffer.write(pixels.decode_here(sys.stdin.buffer.read()).tobytes())


if __name__ == "__main__":
    main()
