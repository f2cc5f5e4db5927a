"""Coverage-guided fuzzing of the decoder and of forms: ``make fuzz``.

    python tests/fuzz.py [--seconds 600] [--targets decode form]

Each target runs in its own process for its share of the time. It stops at the first answer other
than 2xx, 303 or 4xx, at the first input that takes more than 3 s of CPU, and when the process has
used more memory than a worker may. The input is then in tests/finds/, which is part of
the corpus: commit it together with the fix. The inputs that increased coverage are kept in .fuzz/,
and the next run starts with them.
"""

import argparse
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".fuzz"
FINDS = ROOT / "tests" / "finds"
RESULTS = Path("/dev/shm/molelens-fuzz")
INSTRUMENTED = ["PIL", "pillow_heif", "lens", "werkzeug", "app"]

MAX_CPU_SECONDS = 3.0
"""CPU time, not elapsed time, because other programs may keep the machine busy."""

MAX_INPUT_BYTES = {"decode": 20_000, "form": 2_000}
"""Mutating larger inputs is too slow to be worthwhile."""

PHOTO_HEADERS = (
    b'Content-Disposition: form-data; name="photo"; filename="a.jpg"\r\nContent-Type: image/jpeg'
)
# Other headers that clients may send with a photo, valid or not.
OTHER_PHOTO_HEADERS = (
    b"Content-Disposition: form-data; name=photo; filename*=UTF-8''%e2%82%ac.jpg",
    b'Content-Disposition: form-data; name="photo"; filename="a\\".jpg"; filename=""',
    b'Content-Disposition: form-data; name="photo"\r\nContent-Type: text/plain; charset=utf-16',
    b'content-disposition:form-data;name="photo";filename=a\r\nContent-Transfer-Encoding: base64',
    b'Content-Disposition: form-data; name="photo"\r\n\r\n\r\n--edge\r\n' + PHOTO_HEADERS,
    b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n--inner\r\n" + PHOTO_HEADERS,
)

Check = Callable[[bytes], None]


class Find(Exception):
    """An input with which a limit was exceeded or an answer was wrong."""


def seeds() -> Iterator[bytes]:
    """Files of the corpus that are quick to decode; its bombs have their own tests."""
    import corpus

    builds = (corpus.formats, corpus.rotated, corpus.layouts, corpus.frames, corpus.with_metadata)
    for build in (*builds, corpus.damaged):
        yield from (file.data for file in build() if len(file.data) < MAX_INPUT_BYTES["decode"])


def forms() -> Iterator[bytes]:
    """Forms whose photo is refused by its first bytes, because the parsing of forms is tested here.

    Judging a photo takes ten times as long, and the other target decodes photos.
    """
    for photo in (b"", b"no photo", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"):
        yield from (body(photo, token) for token in (True, False))
    for head in OTHER_PHOTO_HEADERS:
        yield from (body(b"no photo", token, head) for token in (True, False))


def body(photo: bytes, token: bool, head: bytes = PHOTO_HEADERS) -> bytes:
    """A form as browsers send it (``TOKEN`` is replaced before sending), or as programs do."""
    field = b'--edge\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n'
    file = b"--edge\r\n" + head + b"\r\n\r\n" + photo + b"\r\n--edge--\r\n"
    return (field if token else b"") + file


def decoding() -> Check:
    from lens import sandbox
    from lens.images import SIZE, InvalidImage, decode
    from lens.pixels import decode_here

    # A process for each AVIF would take a hundred times as long, and hide its coverage.
    sandbox.decode = lambda data, _picture_bytes: decode_here(data).tobytes()

    def check(data: bytes) -> None:
        try:
            shape = decode(data).shape
        except InvalidImage:
            return
        if shape != (SIZE, SIZE, 3):
            raise Find(f"a shape of {shape}")

    return check


def sending() -> Check:
    """Send the forms to the real app: to the page and to the API."""
    from serving import settings_for

    from app import create_app

    settings = settings_for(tiny_model(), STATE / "engine", RESULTS)
    client = create_app({**settings, "MOLELENS_RESULTS_SECONDS": "1"}).test_client()
    logging.getLogger("molelens").setLevel(logging.ERROR)  # A log line for each input is of no use.
    page = client.get("/").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1].encode()

    def check(data: bytes) -> None:
        path = "/upload" if b"csrf_token" in data else "/api/v1/predictions"
        sent = data.replace(b"TOKEN", token)
        kind = "multipart/form-data; boundary=edge"
        status = client.post(path, data=sent, content_type=kind).status_code
        if not (200 <= status < 300 or status == 303 or 400 <= status < 500):
            raise Find(f"status {status}")

    return check


TARGETS = {"decode": decoding, "form": sending}
SEEDS = {"decode": seeds, "form": forms}


def tiny_model() -> Path:
    path = STATE / "tiny.h5"
    if not path.exists():
        subprocess.run([sys.executable, ROOT / "tests" / "tiny_model.py", path], check=True)
    return path


def limited(name: str, check: Check) -> Check:
    """``check`` with limits on time and memory, and with a line of progress."""
    from app.server.machine import WORKER_BYTES

    count_file = STATE / f"{name}.count"
    before = int(count_file.read_text()) if count_file.exists() else 0
    done, slowest, start, shown = 0, 0.0, time.monotonic(), 0.0

    def run(data: bytes) -> None:
        nonlocal done, slowest, shown
        began = time.process_time()
        check(data)
        seconds = time.process_time() - began
        peak = peak_memory()
        done, slowest = done + 1, max(slowest, seconds)
        if seconds > MAX_CPU_SECONDS:
            raise Find(f"{seconds:.1f} s of CPU")
        if peak > WORKER_BYTES:
            raise Find(f"{peak / 1e6:.0f} MB")
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            count_file.write_text(str(before + done))
            print(
                f"{name}: {done:,} inputs in {shown - start:.0f} s, {before + done:,} in all runs; "
                f"slowest {slowest:.2f} s of CPU, most memory {peak / 1e6:.0f} MB",
                flush=True,
            )

    return run


def peak_memory() -> int:
    """Peak memory of this process in bytes; ru_maxrss would include that of its parent."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def with_correct_checksums(data: bytes) -> bytes:
    """A PNG with correct chunk checksums; otherwise Pillow would stop at the first wrong one."""
    corrected, at = data[:8], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        chunk = data[at:end]
        corrected += chunk + zlib.crc32(chunk[4:]).to_bytes(4, "big")
        at = end + 4
    return corrected


def fuzz(name: str, seconds: int) -> None:
    """Run one target in this process, which libFuzzer ends."""
    import atheris

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with atheris.instrument_imports(include=INSTRUMENTED):
        check = TARGETS[name]()

    def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
        mutated = atheris.Mutate(data, max_bytes)
        is_png = seed % 2 and mutated.startswith(b"\x89PNG\r\n\x1a\n")
        return with_correct_checksums(mutated) if is_png else mutated

    inputs = STATE / name
    inputs.mkdir(exist_ok=True)
    for number, seed in enumerate(SEEDS[name]()):
        (inputs / f"seed-{number:03}").write_bytes(seed)
    Path("/proc/self/clear_refs").write_text(
        "5"
    )  # Resets the peak memory, since building the corpus used some.
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES[name]}",
        f"-artifact_prefix={FINDS}/{name}-",
        "-rss_limit_mb=0",  # peak_memory() is exact.
        "-timeout=300",
        "-verbosity=0",
        "-report_slow_units=300",  # Elapsed time, which is longer on a busy machine.
    ]
    atheris.Setup([sys.argv[0], *options, str(inputs)], limited(name, check), custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    STATE.mkdir(exist_ok=True)
    FINDS.mkdir(exist_ok=True)
    if arguments.inside:
        fuzz(arguments.targets[0], arguments.seconds)
    share = max(1, arguments.seconds // len(arguments.targets))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in arguments.targets:
        command = [sys.executable, __file__, "--inside", "--targets", name, "--seconds", str(share)]
        status = subprocess.run(command, env=environment).returncode
        shutil.rmtree(RESULTS, ignore_errors=True)  # libFuzzer ends a process without cleaning up.
        if status != 0:
            print(f"{name}: a find; its input is the newest of {FINDS}/{name}-*", file=sys.stderr)
            return 1
    print("no find")
    return 0


if __name__ == "__main__":
    sys.exit(main())
