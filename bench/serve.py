"""Measure whole requests: a server as peers build it, the Keras engine, and MoleLens.

All three run in gunicorn, one after another. Ratios between them are more reliable than the
figures themselves. Writes bench/serve.json and bench/serve.png.
"""

import argparse
import http.client
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from app.server import machine
from bench import budget, goals, load, photos
from bench.chart import draw
from bench.machine import processor
from bench.report import Case, RequestParts, ServeReport, ServerReport
from bench.server import ROOT, SETTLE_SECONDS, Server, gunicorn
from bench.visits import form
from lens import artifact, images, model_cache
from lens.engine import open_engine
from lens.verdict import judge

HERE = Path(__file__).resolve().parent
CLIENTS = (1, 4, 32)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.serve", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    parser.add_argument("--photo", type=Path, help="a photo instead of the painted lesion")
    parser.add_argument(
        "--seconds", type=float, default=15, help="duration of each load in seconds (default 15)"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder for serve.json, serve.png")
    arguments = parser.parse_args()

    workers = machine.positive_integer("MOLELENS_WORKERS", machine.default_workers())
    jpegs = photos.jpegs(arguments.photo)
    report: ServeReport = {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": processor(),
        "cores": machine.usable_cores(),
        "workers": workers,
        "model": arguments.model.name,
        "precision": "",
        "photos": {name: f"{len(data) / 1e6:.2f} MB" for name, data in jpegs.items()},
        "seconds": arguments.seconds,
        "servers": {},
        "request": {},
        "ratios": {},
    }
    print(f"{report['machine']}, {workers} workers, photos {report['photos']}")
    with tempfile.TemporaryDirectory() as cache:
        model = photos.without_lesion_check(arguments.model, Path(cache))
        common = {"MOLELENS_MODEL": str(model), "MOLELENS_CACHE": cache}
        # gunicorn's defaults, except for as many workers as ours and time to load TensorFlow.
        peer = ["bench.peer:app", "-c", "/dev/null", "-w", str(workers), "--timeout", "180"]
        contenders = {
            "peers' way": (peer, common),
            "Keras engine": (["wsgi:app"], {**common, "MOLELENS_ENGINE": "keras"}),
            "MoleLens": (["wsgi:app"], common),
        }
        for name, (command, environment) in contenders.items():
            print(f"\n{name}")
            report["servers"][name] = _measure(command, environment, jpegs, arguments.seconds)
        report["precision"] = model_cache.converted(model, cache).precision
        report["request"] = _breakdown(model, Path(cache), jpegs)
        print("\nMoleLens with nothing to decode and no network to run")
        with gunicorn(["bench.without_network:app"], common) as server:
            for name, photo in jpegs.items():
                _warm_up(server, photo)
                rest = _load(server, name, photo, 1, arguments.seconds)
                report["request"][name]["rest_ms"] = rest["cpu_ms"]
    _print_summary(report)
    (arguments.out / "serve.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(report, arguments.out / "serve.png")


def _measure(
    command: list[str], environment: dict[str, str], jpegs: dict[str, bytes], seconds: float
) -> ServerReport:
    with gunicorn(command, environment) as server:
        first = server.ready_s
    with gunicorn(command, environment) as server:
        print(f"  ready after {first:.1f} s the first time, then {server.ready_s:.1f} s")
        *few, many = CLIENTS
        cases, peaks = [], []
        for name, photo in jpegs.items():
            _warm_up(server, photo)
            cases += [_load(server, name, photo, clients, seconds) for clients in few]
            with server.peak_memory() as memory:  # Only here, because sampling memory costs CPU.
                cases.append(_load(server, name, photo, many, seconds))
            peaks.append(max(memory))
        memory = server.memory_after()
        print(
            f"  memory per worker {', '.join(f'{m:.0f}' for m in memory)} MB (PSS) "
            f"{SETTLE_SECONDS:.0f} s after the loads, at most {max(peaks):.0f} MB with {many} "
            "clients"
        )
        return {
            "first_start_s": first,
            "warm_start_s": server.ready_s,
            "worker_pss_mb": memory,
            "most_pss_mb": max(peaks),
            "cases": cases,
        }


def _warm_up(server: Server, photo: bytes) -> None:
    """Send photos until every worker has answered; check that the answers are verdicts."""
    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        status, body = load.ask(connection, form(photo))
        connection.close()
        answer = json.loads(body)
        if status != 200 or set(answer.get("reasons", [])) - {"not_a_lesion"}:
            raise SystemExit(f"Expected a verdict on the photo, got {status} {answer}.")


def _load(server: Server, name: str, photo: bytes, clients: int, seconds: float) -> Case:
    before = server.cpu_s()
    figures = load.run(server.port, photo, clients, seconds)
    cpu_ms = 1000 * (server.cpu_s() - before) / max(1, figures["answered"])
    text = (
        f"  {name:>6}, {clients:2} clients: {figures['answered_per_s']:6.1f} requests/s, "
        f"p50 {figures['p50_ms']:6.0f} ms, p99 {figures['p99_ms']:6.0f} ms, "
        f"CPU {cpu_ms:5.1f} ms each"
    )
    if figures["refused"]:
        text += f"; 503: {figures['refused']}, p99 {figures['refused_p99_ms']:.0f} ms"
    if figures["failed"]:
        text += f"; failed: {figures['failed']}"
    print(text)
    return {"photo": name, "cpu_ms": cpu_ms, **figures}


def _breakdown(model: Path, cache: Path, jpegs: dict[str, bytes]) -> dict[str, RequestParts]:
    """CPU time of decoding and of one view of the network, measured alone."""
    engine, card = open_engine(model, "auto", cache, threads=1), artifact.read_card(model)
    parts: dict[str, RequestParts] = {}
    for name, photo in jpegs.items():
        pixels = images.decode(photo)
        parts[name] = {
            "decode_ms": _cpu_ms(partial(images.decode, photo)),
            "views": judge(pixels, engine, card).views,
            "view_ms": _cpu_ms(partial(engine.run, pixels[np.newaxis])),
            "rest_ms": 0.0,
        }
    return parts


def _cpu_ms(call: Callable[[], object], times: int = 20) -> float:
    call()
    start = time.process_time()
    for _ in range(times):
        call()
    return 1000 * (time.process_time() - start) / times


def _print_summary(report: ServeReport) -> None:
    print("\nMoleLens against the others, requests/s")
    for photo in photos.SIZES:
        for clients in CLIENTS:
            ours = goals.case(report, "MoleLens", photo, clients)["answered_per_s"]
            ratios = {
                name: ours / goals.case(report, name, photo, clients)["answered_per_s"]
                for name in ("peers' way", "Keras engine")
            }
            report["ratios"][f"{photo}, {clients} clients"] = ratios
            shown = ", ".join(f"{ratio:4.1f}x the {name}" for name, ratio in ratios.items())
            print(f"  {photo:>6}, {clients:2} clients: {shown}")
    print("CPU of one request, 1 client", *budget.lines(report), sep="\n")
    print("Goals")
    for name, limit, figure, reached in goals.table(report):
        print(f"  {name:58} {limit:7.2f}: {figure:7.2f}  {'reached' if reached else 'NOT REACHED'}")


if __name__ == "__main__":
    main()
