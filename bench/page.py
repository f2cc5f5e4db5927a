"""Measure how long a person waits, from pressing the button until the verdict can be read.

Uses real gunicorn and real Chromium on this machine, and the 12-megapixel photo. Writes
bench/page.json.
"""

import argparse
import itertools
import json
import re
import shutil
import statistics
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Request, sync_playwright

from bench import photos
from bench.server import ROOT, gunicorn

HERE = Path(__file__).resolve().parent
GOAL_MS = 1000.0
"""The goal for the longest time from pressing the button to the verdict."""
BROWSER_TIMEOUT_MS = 120_000
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
STAGES = ("crop and encode", "send and judge", "open the result", "paint")

# Runs before each page's own scripts. performance.now() counts from the start of the page, so
# timeOrigin is added. A frame with the verdict is on the screen when the next frame begins.
TIMING_SCRIPT = """
const now = () => performance.timeOrigin + performance.now();
addEventListener("click", () => sessionStorage.setItem("pressed", now()), true);
const look = () => {
    if (!document.querySelector(".verdict h1")?.getClientRects().length) {
        requestAnimationFrame(look);
        return;
    }
    requestAnimationFrame(() => { window.shown = now(); });
};
requestAnimationFrame(look);
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.page", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    parser.add_argument("--photo", type=Path, help="a photo instead of the painted lesion")
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds (default 15)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for page.json")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("Expected a program named chromium, found none: apt install chromium.")

    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(photos.jpegs(arguments.photo)["12 MP"])
        model = photos.without_lesion_check(arguments.model, Path(folder))
        environment = {"MOLELENS_MODEL": str(model), "MOLELENS_CACHE": folder}
        with gunicorn(["wsgi:app"], environment) as server, sync_playwright() as playwright:
            site = f"http://127.0.0.1:{server.port}"
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            _round(browser, site, photo)  # Warms up the browser and the server; not counted.
            before = _server_seconds(site)
            rounds = []
            for number in range(arguments.rounds):
                rounds.append(_round(browser, site, photo))
                print(f"round {number + 1}: {rounds[-1]['whole']:6.0f} ms", flush=True)
            after = _server_seconds(site)
            browser.close()

    in_server = {
        stage: 1000 * (seconds - before.get(stage, 0.0)) / arguments.rounds
        for stage, seconds in after.items()
    }
    _print(rounds, in_server)
    report = {"rounds_ms": rounds, "server_mean_ms": in_server}
    (arguments.out / "page.json").write_text(json.dumps(report, indent=1) + "\n")


def _round(browser: Browser, site: str, photo: Path) -> dict[str, float]:
    """Make one visit with a new profile; return the ms of the whole wait and of each stage."""
    context = browser.new_context(base_url=site, **PHONE)
    page = context.new_page()
    page.set_default_timeout(BROWSER_TIMEOUT_MS)
    page.add_init_script(TIMING_SCRIPT)
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    page.goto("/", wait_until="networkidle")
    page.set_input_files("#file", photo)
    page.wait_for_selector("#controls:not([hidden])")
    page.click("#send")
    page.wait_for_url(re.compile("/result/"))
    shown = float(page.wait_for_function("window.shown").json_value())
    pressed = float(page.evaluate("sessionStorage.getItem('pressed')"))
    sent, answered = _times(next(r for r in requests if r.method == "POST"))
    _, opened = _times(next(r for r in requests[::-1] if r.is_navigation_request()))
    context.close()
    steps = [pressed, sent, answered, opened, shown]
    parts = [end - start for start, end in itertools.pairwise(steps)]
    return {"whole": shown - pressed, **dict(zip(STAGES, parts, strict=True))}


def _times(request: Request) -> tuple[float, float]:
    """When the request began and when its answer began to arrive, in ms since the epoch."""
    request.response()  # Waits for the answer; only then are the times known.
    begin = request.timing["startTime"]
    return begin, begin + request.timing["responseStart"]


def _server_seconds(site: str) -> dict[str, float]:
    """Seconds that all photos have spent in each stage so far, from the server's metrics."""
    with urllib.request.urlopen(f"{site}/metrics") as answer:
        metrics = answer.read().decode()
    sums = re.findall(r'^molelens_stage_seconds_sum\{stage="(\w+)"\} (\S+)$', metrics, re.M)
    return {stage: float(seconds) for stage, seconds in sums}


def _print(rounds: list[dict[str, float]], in_server: dict[str, float]) -> None:
    print(f"\nFrom the button to the verdict, 12 MP, {len(rounds)} rounds: median and worst")
    for name in ("whole", *STAGES):
        times = [measured[name] for measured in rounds]
        print(f"  {name:16} {statistics.median(times):6.0f} ms {max(times):6.0f} ms")
    shown = ", ".join(f"{stage} {ms:.0f}" for stage, ms in in_server.items())
    print(f"  of send and judge, in the server (mean): {shown} ms")
    worst = max(measured["whole"] for measured in rounds)
    verdict = "reached" if worst <= GOAL_MS else "NOT REACHED"
    print(f"Goal: the worst within {GOAL_MS:.0f} ms: {worst:.0f} ms  {verdict}")


if __name__ == "__main__":
    main()
