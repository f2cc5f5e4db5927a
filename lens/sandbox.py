"""Decode a photo in a child process, with limits on memory and CPU time set by the kernel.

An AVIF may declare fewer pixels than its AV1 stream contains. libavif decodes up to 268 megapixels
before it compares the two (a file of 3 kB took 560 MB), and Pillow cannot lower that limit. Also, a
failed allocation may crash the process (AOMediaCodec/libavif#611). A HEIC may declare a grid of up
to 1,000 large tiles for a small picture, and libheif decodes them all (a file of 6 kB took over a
minute).
"""

import subprocess
import sys

from lens import child_process

BASE_MEMORY_BYTES = 120_000_000
"""Memory allowed besides that for the picture; Python and its libraries need 60 to 80 MB."""

MAX_CPU_SECONDS = 5
"""An AVIF of 16 megapixels takes 1 to 2 s, a HEIC of 24 megapixels 1.1 s. An AV1 stream may contain
many frames that are decoded but never shown."""


class FailedError(Exception):
    """The child process could not decode the photo within its limits."""


def decode(data: bytes, picture_bytes: int) -> bytes:
    """Run ``lens.pixels.decode_here`` in a child process.

    Args:
        data: the whole file.
        picture_bytes: memory needed for the picture.

    Raises:
        FailedError: the file is damaged, or exceeds the limits.
    """
    child = subprocess.run(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", "lens.sandbox", str(picture_bytes)],
        input=data,
        # Each thread reserves memory for its stack and its heap.
        env=child_process.environment(OPENBLAS_NUM_THREADS="1", MALLOC_ARENA_MAX="1"),
        capture_output=True,
        check=False,
    )
    if child.returncode != 0:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        raise FailedError(f"exit status {child.returncode}: {lines[-1] if lines else 'no message'}")
    return child.stdout


def main() -> None:
    """Run in the child: read a file from stdin, write its pixels to stdout."""
    import resource

    import pillow_heif
    from PIL import AvifImagePlugin

    from lens import pixels

    AvifImagePlugin.DEFAULT_MAX_THREADS = pillow_heif.options.DECODE_THREADS = 1
    memory = int(sys.argv[1]) + BASE_MEMORY_BYTES
    limits = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_CPU: MAX_CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    sys.stdout.buffer.write(pixels.decode_here(sys.stdin.buffer.read()).tobytes())


if __name__ == "__main__":
    main()
