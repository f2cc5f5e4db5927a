"""Fuzz the decoder and the forms with files that coverage guides: ``make fuzz``.

    python tests/fuzz.py [--seconds 600] [--targets decode form]

Each target has a process of its own and its share of the time. It stops at the first answer but
2xx, 303 or 4xx, at the first input that takes over 3 s of CPU, and when the process ever held
over 400 MB, as no worker may. The input lies in tests/finds/ then: mend what it found, and commit
it with the mending; it is part of the corpus. What the fuzzer learnt stays in .fuzz/, and the next
run goes on from there.
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
KEPT = ROOT / ".fuzz"
FINDS = ROOT / "tests" / "finds"
RESULTS = Path("/dev/shm/molelens-fuzz")
INSTRUMENTED = ["PIL", "pillow_heif", "lens", "werkzeug", "app"]

MOST_BYTES = 400_000_000
MOST_SECONDS = 3.0
"""Of CPU, not of the clock: other programs may keep the machine busy."""

LONGEST = {"decode": 20_000, "form": 2_000}
"""Larger inputs, in bytes, are mutated too slowly to be worth it."""

HEAD = b'Content-Disposition: form-data; name="photo"; filename="a.jpg"\r\nContent-Type: image/jpeg'
# What else a client may call a photo, right or wrong.
HEADS = (
    b"Content-Disposition: form-data; name=photo; filename*=UTF-8''%e2%82%ac.jpg",
    b'Content-Disposition: form-data; name="photo"; filename="a\\".jpg"; filename=""',
    b'Content-Disposition: form-data; name="photo"\r\nContent-Type: text/plain; charset=utf-16',
    b'content-disposition:form-data;name="photo";filename=a\r\nContent-Transfer-Encoding: base64',
    b'Content-Disposition: form-data; name="photo"\r\n\r\n\r\n--edge\r\n' + HEAD,
    b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n--inner\r\n" + HEAD,
)

Check = Callable[[bytes], None]


class Find(Exception):
    """An input that broke a promise."""


def seeds() -> Iterator[bytes]:
    """Files of the corpus that are quick to decode: its bombs have tests of their own."""
    import corpus

    builds = (corpus.formats, corpus.turned, corpus.layouts, corpus.frames, corpus.told_beside)
    for build in (*builds, corpus.damaged):
        yield from (file.data for file in build() if len(file.data) < LONGEST["decode"])


def forms() -> Iterator[bytes]:
    """Forms whose photo is refused at its first bytes: the form is what is looked at here.

    A photo that is judged takes ten times as long, and the other target has looked at it.
    """
    for photo in (b"", b"no photo", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"):
        yield from (body(photo, token) for token in (True, False))
    for head in HEADS:
        yield from (body(b"no photo", token, head) for token in (True, False))


def body(photo: bytes, token: bool, head: bytes = HEAD) -> bytes:
    """A form as browsers send it (with ``TOKEN``, put right at sending), or as programs do."""
    field = b'--edge\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n'
    file = b"--edge\r\n" + head + b"\r\n\r\n" + photo + b"\r\n--edge--\r\n"
    return (field if token else b"") + file


def decoding() -> Check:
    from lens import avif_sandbox
    from lens.images import SIZE, InvalidImage, decode
    from lens.pixels import decode_here

    # A process for each AVIF would take a hundred times as long, and hide what the code does.
    avif_sandbox.decode = lambda data, _picture_bytes: decode_here(data).tobytes()

    def check(data: bytes) -> None:
        try:
            shape = decode(data).shape
        except InvalidImage:
            return
        if shape != (SIZE, SIZE, 3):
            raise Find(f"a shape of {shape}")

    return check


def sending() -> Check:
    """Bodies of forms to the real app, the page's and the API's."""
    from serving import settings_for

    from app import create_app

    settings = settings_for(tiny_model(), KEPT / "engine", RESULTS)
    client = create_app({**settings, "MOLELENS_RESULTS_SECONDS": "1"}).test_client()
    logging.getLogger("molelens").setLevel(logging.ERROR)  # A line for each input helps nobody.
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
STARTS = {"decode": seeds, "form": forms}


def tiny_model() -> Path:
    path = KEPT / "tiny.h5"
    if not path.exists():
        subprocess.run([sys.executable, ROOT / "tests" / "tiny_model.py", path], check=True)
    return path


def watched(name: str, check: Check) -> Check:
    """``check``, with its promises about time and memory, and a line of progress."""
    counted = KEPT / f"{name}.count"
    before = int(counted.read_text()) if counted.exists() else 0
    done, slowest, start, shown = 0, 0.0, time.monotonic(), 0.0

    def run(data: bytes) -> None:
        nonlocal done, slowest, shown
        began = time.process_time()
        check(data)
        seconds = time.process_time() - began
        peak = most_held()
        done, slowest = done + 1, max(slowest, seconds)
        if seconds > MOST_SECONDS:
            raise Find(f"{seconds:.1f} s of CPU")
        if peak > MOST_BYTES:
            raise Find(f"{peak / 1e6:.0f} MB")
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            counted.write_text(str(before + done))
            print(
                f"{name}: {done:,} inputs in {shown - start:.0f} s, {before + done:,} in all runs; "
                f"slowest {slowest:.2f} s of CPU, most memory {peak / 1e6:.0f} MB",
                flush=True,
            )

    return run


def most_held() -> int:
    """Bytes this process ever held; ru_maxrss would count what its parent held, too."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks' checksums are put right, or Pillow would refuse it at the first."""
    mended, at = data[:8], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        chunk = data[at:end]
        mended += chunk + zlib.crc32(chunk[4:]).to_bytes(4, "big")
        at = end + 4
    return mended


def fuzz(name: str, seconds: int) -> None:
    """Run one target in this process; libFuzzer ends it."""
    import atheris

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with atheris.instrument_imports(include=INSTRUMENTED):
        check = TARGETS[name]()

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        mutated = atheris.Mutate(data, longest)
        is_png = seed % 2 and mutated.startswith(b"\x89PNG\r\n\x1a\n")
        return with_right_checksums(mutated) if is_png else mutated

    learnt = KEPT / name
    learnt.mkdir(exist_ok=True)
    for number, seed in enumerate(STARTS[name]()):
        (learnt / f"seed-{number:03}").write_bytes(seed)
    Path("/proc/self/clear_refs").write_text("5")  # Making the corpus took memory; count from now.
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST[name]}",
        f"-artifact_prefix={FINDS}/{name}-",
        "-rss_limit_mb=0",  # Ours is exact: the most the process ever held.
        "-timeout=300",
        "-verbosity=0",
        "-report_slow_units=300",  # By the clock, which a busy machine stretches.
    ]
    atheris.Setup([sys.argv[0], *options, str(learnt)], watched(name, check), custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    FINDS.mkdir(exist_ok=True)
    if wanted.inside:
        fuzz(wanted.targets[0], wanted.seconds)
    share = max(1, wanted.seconds // len(wanted.targets))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in wanted.targets:
        command = [sys.executable, __file__, "--inside", "--targets", name, "--seconds", str(share)]
        status = subprocess.run(command, env=environment).returncode
        shutil.rmtree(RESULTS, ignore_errors=True)  # libFuzzer ends a process without tidying up.
        if status != 0:
            print(f"{name}: a find; its input is the newest of {FINDS}/{name}-*", file=sys.stderr)
            return 1
    print("no find")
    return 0


if __name__ == "__main__":
    sys.exit(main())
