#!/usr/bin/env python3
"""Run the Dockerfile's own steps where no Docker engine is at hand, and try what comes out.

    sudo python3 deploy/try_dockerfile.py --work FOLDER [--model FILE.h5]

Each stage is built in a folder of its own from an empty Debian (debootstrap), with nothing of this
machine but its network and its certificates. Then CMD runs as the image's USER, without any
capability, on a read-only root and a network of its own; HEALTHCHECK must pass, the root must not
be writable, and a painted lesion must get a verdict. Only the instructions that our Dockerfile
uses are understood; any other one ends the try. Needs debootstrap (apt), root, and 5 GB.
"""
# It runs programs and mounts folders all day long, with arguments of ours alone.
# ruff: noqa: S108, S603, S607

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300
"""Longest wait for the health check to pass, in seconds."""
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches its package registries; a build needs it, the container never sees it.
HOST_VARIABLES = re.compile(r"PIP_\w+|SSL_CERT_FILE|(https?|no)_proxy", re.IGNORECASE)

VERDICT = """
import io, urllib.request
from PIL import Image
from app import golden
file = io.BytesIO()
Image.fromarray(golden.lesion()).save(file, "PNG")
body = (b'--b\\r\\nContent-Disposition: form-data; name="photo"; filename="x"\\r\\n\\r\\n'
        + file.getvalue() + b"\\r\\n--b--\\r\\n")
request = urllib.request.Request("http://127.0.0.1:8000/api/v1/predictions", body,
                                 {"Content-Type": "multipart/form-data; boundary=b"})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""


@dataclass
class Stage:
    """A FROM with the instructions after it, and what they have set so far."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    root: Path = Path()
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PLAIN_PATH})
    folder: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, rest = line.strip().split(maxsplit=1)
        if word == "FROM":
            base, *name = rest.split(" AS ")
            stages.append(Stage(name[0] if name else str(len(stages)), base))
        else:
            stages[-1].steps.append((word, rest))
    return stages


def build(stage: Stage, built: dict[str, Stage], work: Path) -> None:
    stage.root = work / f"stage-{stage.name}"
    remove(stage.root)
    subprocess.run(["cp", "-a", empty_debian(stage.base, work), stage.root], check=True)
    for word, rest in stage.steps:
        print(f"--> {word} {rest}", flush=True)
        start = time.monotonic()
        step(stage, built, word, rest)
        if word in ("RUN", "COPY"):
            print(f"    {time.monotonic() - start:.0f} s", flush=True)


def step(stage: Stage, built: dict[str, Stage], word: str, rest: str) -> None:
    match word:
        case "RUN":
            run(stage, rest)
        case "COPY":
            copy(stage, built, shlex.split(rest))
        case "ENV":
            stage.env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        case "WORKDIR":
            stage.folder = rest
            inside(stage, rest).mkdir(parents=True, exist_ok=True)
        case "USER":
            stage.user = rest
        case "VOLUME":
            stage.volumes += rest.split()
        case "HEALTHCHECK":
            stage.health = json.loads(rest.split("CMD", 1)[1])
        case "CMD":
            stage.command = json.loads(rest)
        case "EXPOSE":
            pass
        case _:
            sys.exit(f"{word} is not understood here; teach {Path(__file__).name} about it.")


def empty_debian(base: str, work: Path) -> Path:
    """What stands for the image debian:SUITE-DATE-slim: the suite's smallest installation."""
    found = re.fullmatch(r"debian:([a-z]+)-\d+-slim", base)
    if not found:
        sys.exit(f"FROM: expected debian:SUITE-DATE-slim, got {base}.")
    suite, root = found[1], work / f"debian-{found[1]}"
    if not (root / "complete").exists():
        remove(root)
        subprocess.run(["debootstrap", "--variant=minbase", suite, root], check=True)
        (root / "complete").touch()
    return root


def inside(stage: Stage, path: str) -> Path:
    return stage.root / os.path.normpath(os.path.join(stage.folder, path)).lstrip("/")


def copy(stage: Stage, built: dict[str, Stage], words: list[str]) -> None:
    source = ROOT
    if words[0].startswith("--from="):
        source = built[words.pop(0).removeprefix("--from=")].root
    *names, to = words
    target = inside(stage, to)
    for name in names:
        if source == ROOT and ignored(name):
            sys.exit(f"COPY {name}: .dockerignore leaves it out.")
        found = source / name.lstrip("/")
        if found.is_dir():
            skip = shutil.ignore_patterns("__pycache__") if source == ROOT else None
            shutil.copytree(found, target, symlinks=True, dirs_exist_ok=True, ignore=skip)
        else:
            folder = target if to.endswith("/") or inside(stage, to).is_dir() else target.parent
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, target / found.name if target.is_dir() else target)


def ignored(name: str) -> bool:
    """Whether .dockerignore, a list of what is let in, leaves ``name`` out."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    return not any(fnmatch.fnmatch(name.split("/")[0], rule) for rule in let_in)


def run(stage: Stage, command: str) -> None:
    given, files = {}, {"/etc/resolv.conf": "/etc/resolv.conf", "/etc/hosts": "/etc/hosts"}
    for name, text in os.environ.items():
        if HOST_VARIABLES.fullmatch(name) and not os.path.isdir(text):
            given[name] = text
            if os.path.isfile(text):  # Not at its own place, where a package may write.
                given[name] = f"/run/host-{name.lower()}"
                files[text] = given[name]
    binds = []
    for path, seen in files.items():
        target = f"{stage.root}{seen}"
        binds.append(f"touch {target} && mount --bind -o ro {path} {target}")
    environment = {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", **stage.env, **given}
    script = "\n".join(["set -e", *mounts(stage), *binds, chroot(stage, environment, [], command)])
    subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script], check=True)


def mounts(stage: Stage) -> list[str]:
    return [
        f"mount -t proc proc {stage.root}/proc",
        f"mount --rbind /sys {stage.root}/sys",
        f"mount --rbind /dev {stage.root}/dev",
    ]


def chroot(stage: Stage, environment: dict[str, str], how: list[str], command: str) -> str:
    """A shell line that runs ``command`` (a shell line too) inside."""
    pairs = [f"{name}={text}" for name, text in environment.items()]
    line = f"cd {shlex.quote(stage.folder)} && {command}"
    return shlex.join(["chroot", str(stage.root), *how, "env", "-i", *pairs, "/bin/sh", "-c", line])


def try_out(stage: Stage) -> None:
    user, group = stage.user.split(":")
    drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    drop += ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]

    def as_user(command: list[str]) -> str:
        return chroot(stage, stage.env, drop, f"exec {shlex.join(command)}")

    script = f"""
set -e
mount --bind {stage.root} {stage.root}
cd /
{"; ".join(mounts(stage))}
mount -t tmpfs -o size=64m tmpfs {stage.root}/dev/shm
mount -t tmpfs tmpfs {stage.root}/tmp
{"; ".join(volume(stage, path, user, group) for path in stage.volumes)}
mount -o remount,ro,bind {stage.root}
ip link set lo up
{as_user(stage.command)} &
server=$!
end=$(($(date +%s) + {PATIENCE}))
until {as_user(stage.health)} >/dev/null 2>&1; do
  kill -0 $server || {{ echo 'CMD ended before it was healthy'; exit 1; }}
  [ $(date +%s) -lt $end ] || {{ echo 'not healthy in time:'; {as_user(stage.health)}; }}
  sleep 1
done
echo '--> HEALTHCHECK passes:'
{as_user(stage.health)}
echo '--> who it runs as:'
{as_user(["id"])}
echo '--> the root is read-only:'
if {as_user(["touch", "/srv/written"])}; then exit 1; fi
echo '--> a verdict on the painted lesion:'
{as_user(["python", "-c", VERDICT])}
echo '--> SIGTERM ends it:'
kill -TERM $server; wait $server; echo "exit status $?"
"""
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--net", "--kill-child", "sh", "-c", script],
        check=True,
    )


def volume(stage: Stage, path: str, user: str, group: str) -> str:
    target = f"{stage.root}{path}"
    return f"mount -t tmpfs -o uid={user},gid={group},mode=700 tmpfs {target}"


def remove(folder: Path) -> None:
    if folder.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder to build in; kept")
    parser.add_argument("--model", type=Path, help="put this .h5 where models/melanoma.h5 goes")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    built: dict[str, Stage] = {}
    for stage in parse((ROOT / "Dockerfile").read_text()):
        build(stage, built, work)
        built[stage.name] = stage
    if options.model:
        shutil.copy2(options.model, inside(stage, "models/melanoma.h5"))
    try_out(stage)
    print("The Dockerfile works.")


if __name__ == "__main__":
    main()
