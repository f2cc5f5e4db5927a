"""Every setting of the web side: one table, read from MOLELENS_* variables.

``table()`` is the table of docs/settings.md; a test holds the two equal.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "MOLELENS_"
_PACKAGE = Path(__file__).resolve().parent
FILES = _PACKAGE if (_PACKAGE / "templates").is_dir() else _PACKAGE.parent
"""Holds templates, static files and the model: in a wheel the package itself (pyproject.toml)."""


class StartError(Exception):
    """MoleLens cannot start; ``str(error)`` is one line that says why and what to do."""


class SettingsError(StartError):
    """A setting is unknown or its value is not acceptable."""


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return parse


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("64 hexadecimal digits")
    return text.lower()


def _rate(text: str) -> str:
    if text != "off" and not re.fullmatch(r"[1-9]\d*/(second|minute|hour|day)", text):
        raise ValueError("a rate like 30/minute (second, minute, hour, day), or off")
    return text


def _store_url(text: str) -> str:
    if not re.match(r"(file:///|rediss?://|unix:///)", text):
        raise ValueError("file:///a/folder/in/tmpfs, redis://host:port/db, or unix:///socket")
    return text


def _secret(text: str) -> str:
    if len(text) < 32:
        raise ValueError("at least 32 random characters")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    pattern = r"(\.?[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?"
    if not all(re.fullmatch(pattern, name) for name in names):
        raise ValueError("host names separated by commas, like molelens.example,.example.org")
    return names


def _about(unit: str, does: str, parse: Callable[[str], Any], shown: str = "") -> dict[str, Any]:
    """For the table: ``shown`` stands for a default that its value does not tell."""
    return {"unit": unit, "does": does, "parse": parse, "shown": shown}


@dataclass(frozen=True)
class Settings:
    """The values in force. A field ``rate_limit`` is read from ``MOLELENS_RATE_LIMIT``."""

    model: Path = field(
        default=FILES / "models" / "melanoma.h5",
        metadata=_about("path", "The Keras .h5 file to serve.", _path, shown="models/melanoma.h5"),
    )
    model_sha256: str = field(
        default="",
        metadata=_about(
            "hex",
            "If set, a model file with any other SHA-256 stops the start.",
            _sha256,
            shown="not checked",
        ),
    )
    engine: str = field(
        default="auto",
        metadata=_about(
            "",
            "What runs the network: openvino, keras, or auto (OpenVINO when installed).",
            _one_of("auto", "openvino", "keras"),
        ),
    )
    output: str = field(
        default="probability",
        metadata=_about(
            "",
            "What the network's output is: a probability (a sigmoid or softmax is at its end), or a "
            "logit, which the app turns into one; whichever is not so stops the start.",
            _one_of("probability", "logit"),
        ),
    )
    cache: Path | None = field(
        default=None,
        metadata=_about(
            "path",
            "Folder for the converted model. It holds nothing of any visitor's.",
            _path,
            shown="the engine's own folder",
        ),
    )
    workers: int | None = field(
        default=None,
        metadata=_about(
            "processes",
            "Worker processes of gunicorn (gunicorn.conf.py reads it).",
            _whole(1, 256),
            shown="one for each core, where memory allows",
        ),
    )
    threads: int | None = field(
        default=None,
        metadata=_about(
            "threads",
            "Threads of each worker (gunicorn.conf.py reads it). Must exceed MOLELENS_AT_ONCE + "
            "MOLELENS_WAITING, or the surplus waits unseen in the socket instead of getting a 503.",
            _whole(1, 256),
            shown="64",
        ),
    )
    results: str = field(
        default=f"file:///dev/shm/molelens-{os.getuid()}",
        metadata=_about(
            "URL",
            "Where results live for their few minutes: a folder in memory (tmpfs; any other file "
            "system is refused, since photos are never written to disk), or Redis as "
            "redis://host:port/db or unix:///socket, which also carries rate limits and lets several "
            "machines share the work. The default folder is emptied when gunicorn ends.",
            _store_url,
            shown="file:///dev/shm/molelens-UID",
        ),
    )
    results_seconds: int = field(
        default=900, metadata=_about("seconds", "How long a result lives.", _whole(1, 86400))
    )
    results_max: int = field(
        default=5000,
        metadata=_about(
            "results",
            "Results kept at once in the folder, about 60 kB each; beyond it new photos are "
            "answered 503, and none is dropped early. Redis has its own maxmemory.",
            _whole(1, 1_000_000),
        ),
    )
    secret_key: str = field(
        default="",
        metadata=_about(
            "text",
            "Signs the cookie of the form (CSRF). Needed only to keep forms valid over a restart.",
            _secret,
            shown="random, shared by workers through the store of results",
        ),
    )
    max_upload: int = field(
        default=20,
        metadata=_about("MB", "Largest request accepted; larger is answered 413.", _whole(1, 1000)),
    )
    rate_limit: str = field(
        default="30/minute",
        metadata=_about(
            "photos per client",
            "Photos accepted from one client; beyond it 429. off turns it off. A client is an IPv4 "
            "address or an IPv6 /64, as a household or a server has it. Counted in each worker "
            "process unless MOLELENS_RESULTS is Redis.",
            _rate,
        ),
    )
    at_once: int = field(
        default=2,
        metadata=_about(
            "photos", "Photos decoded and judged at the same time in each worker.", _whole(1, 256)
        ),
    )
    waiting: int = field(
        default=12,
        metadata=_about(
            "photos",
            "Photos that may wait for their turn in each worker; beyond it 503 with Retry-After.",
            _whole(0, 10_000),
        ),
    )
    proxies: int = field(
        default=0,
        metadata=_about(
            "proxies",
            "Exact number of reverse proxies in front whose X-Forwarded-* headers are believed.",
            _whole(0, 10),
        ),
    )
    hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "names",
            "Host names answered, separated by commas (a leading dot takes subdomains; [::1] is an "
            "IPv6 address; letters' case, ports and a dot at the end do not matter); others are "
            "answered 400. Health checks must then send one of them.",
            _hosts,
            shown="any",
        ),
    )


def variable(name: str) -> str:
    return PREFIX + name.upper()


def read(environ: Mapping[str, str]) -> Settings:
    """The settings in ``environ``; variables that do not begin with MOLELENS_ are not looked at.

    An empty value means the default, as compose files and systemd units leave it.

    Raises:
        SettingsError: a MOLELENS_* variable is unknown, or its value is not acceptable.
    """
    known = {variable(item.name): item for item in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise SettingsError(_unknown(name, list(known)))
        if text:
            values[known[name].name] = _parsed(name, text, known[name].metadata["parse"])
    return Settings(**values)


def _parsed(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        got = "" if name == "MOLELENS_SECRET_KEY" else f", got {text!r}"
        raise SettingsError(f"{name}: expected {error}{got}.") from error


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "docs/settings.md lists them all."
    return f"{name} is not a setting. {hint}"


def table() -> str:
    """The settings as a Markdown table."""
    rows = ["| variable | default | unit | what it does |", "| --- | --- | --- | --- |"]
    for item in fields(Settings):
        meta = item.metadata
        default = meta["shown"] or item.default
        rows.append(f"| `{variable(item.name)}` | {default} | {meta['unit']} | {meta['does']} |")
    return "\n".join(rows)
