"""All settings of the web app, read from MOLELENS_* environment variables.

``table()`` generates the table in docs/settings.md; a test compares the two.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from app.server import machine

PREFIX = "MOLELENS_"
_PACKAGE = Path(__file__).resolve().parent
RESOURCES = _PACKAGE if (_PACKAGE / "templates").is_dir() else _PACKAGE.parent
"""The folder with templates, static files and the model; in a wheel, the package itself."""


class StartError(Exception):
    """MoleLens cannot start; ``str(error)`` is one line that says why and what to do."""


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _integer(low: int, high: int) -> Callable[[str], int]:
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


def _setting(
    default: Any,
    unit: str,
    description: str,
    parse: Callable[[str], Any],
    documented_default: str = "",
) -> Any:
    """Declare a setting.

    Args:
        default: the value if the variable is not set.
        unit: for the table.
        description: for the table.
        parse: reads the variable's text; raises ValueError with what was expected.
        documented_default: for the table, if ``default`` itself would not be helpful there.
    """
    return field(
        default=default,
        metadata={
            "unit": unit,
            "description": description,
            "parse": parse,
            "documented_default": documented_default,
        },
    )


@dataclass(frozen=True)
class Settings:
    """The values in use. The variable of ``rate_limit`` is MOLELENS_RATE_LIMIT, and so on."""

    model: Path = _setting(
        RESOURCES / "models" / "melanoma.h5",
        "path",
        "The Keras .h5 file to serve.",
        _path,
        documented_default="models/melanoma.h5",
    )
    model_sha256: str = _setting(
        "",
        "hex",
        "If set, MoleLens does not start with a model file that has another SHA-256.",
        _sha256,
        documented_default="not checked",
    )
    engine: str = _setting(
        "auto",
        "",
        "What runs the network: openvino, keras, or auto (OpenVINO when installed).",
        _one_of("auto", "openvino", "keras"),
    )
    output: str = _setting(
        "probability",
        "",
        "What the network returns: a probability (it ends in a sigmoid or softmax), or a logit, "
        "which the app converts to one. MoleLens does not start with a network that returns the "
        "other.",
        _one_of("probability", "logit"),
    )
    cache: Path | None = _setting(
        None,
        "path",
        "Folder for converted models. It never contains user data.",
        _path,
        documented_default="molelens in the user's cache folder",
    )
    workers: int | None = _setting(
        None,
        "processes",
        "Worker processes of gunicorn (gunicorn.conf.py reads it).",
        _integer(1, 256),
        documented_default="one for each core, if memory allows",
    )
    threads: int = _setting(
        machine.THREADS,
        "threads",
        "Threads of each worker (gunicorn.conf.py reads it). Must be greater than MOLELENS_AT_ONCE "
        "+ MOLELENS_WAITING, so that further requests are answered 503 immediately.",
        _integer(1, 256),
    )
    results: str = _setting(
        f"file:///dev/shm/molelens-{os.getuid()}",
        "URL",
        "Where results are kept for a few minutes: a folder in memory (tmpfs), or Redis as "
        "redis://host:port/db or unix:///socket. Other file systems are refused, since photos are "
        "never written to disk. With Redis, several machines can share the work and the rate "
        "limits. The default folder is emptied when gunicorn ends.",
        _store_url,
        documented_default="file:///dev/shm/molelens-UID",
    )
    results_seconds: int = _setting(
        900, "seconds", "How long a result is kept.", _integer(1, 86400)
    )
    results_max: int = _setting(
        5000,
        "results",
        "Maximum number of results in the folder, about 60 kB each. When it is full, new photos "
        "are answered 503; no result is deleted early. Redis has its own maxmemory.",
        _integer(1, 1_000_000),
    )
    secret_key: str = _setting(
        "",
        "text",
        "Signs the cookie of the forms (CSRF). Set it only if forms must stay valid after a "
        "restart.",
        _secret,
        documented_default="random, shared by workers through the store of results",
    )
    max_upload: int = _setting(
        20, "MB", "Largest request accepted; larger ones are answered 413.", _integer(1, 1000)
    )
    rate_limit: str = _setting(
        "30/minute",
        "photos per client",
        "Photos accepted from one client, and as many PDF reports; further ones are answered 429. "
        "A comparison counts as two photos, or as one if the limit is 1. The value off removes the "
        "limit. A client is an IPv4 address or an IPv6 /64, the prefix "
        "that a household or a server gets. Each worker process counts separately unless "
        "MOLELENS_RESULTS is Redis.",
        _rate,
    )
    at_once: int = _setting(
        2,
        "photos",
        "Photos that each worker decodes and judges at the same time.",
        _integer(1, 256),
    )
    waiting: int = _setting(
        12,
        "photos",
        "Photos that may wait in the queue of each worker; further ones are answered 503 with "
        "Retry-After.",
        _integer(0, 255),
    )
    proxies: int = _setting(
        0,
        "proxies",
        "Exact number of reverse proxies whose X-Forwarded-* headers are trusted.",
        _integer(0, 10),
    )
    hosts: tuple[str, ...] = _setting(
        (),
        "names",
        "Host names that are answered, separated by commas. A leading dot includes subdomains; "
        "[::1] is an IPv6 address. Case, ports and a trailing dot do not matter. Other hosts are "
        "answered 400, so health checks must send one of these names.",
        _hosts,
        documented_default="any",
    )


def variable(name: str) -> str:
    return PREFIX + name.upper()


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings from the MOLELENS_* variables of ``environ``.

    An empty value means the default: compose files and systemd units pass unset variables as empty.

    Raises:
        StartError: a MOLELENS_* variable is unknown, its value is not valid, or there are too few
            threads.
    """
    known = {variable(item.name): item for item in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise StartError(_unknown(name, list(known)))
        if text:
            values[known[name].name] = _parsed(name, text, known[name].metadata["parse"])
    settings = Settings(**values)
    places = settings.at_once + settings.waiting
    if settings.threads <= places:
        raise StartError(
            f"MOLELENS_THREADS: expected more than MOLELENS_AT_ONCE + MOLELENS_WAITING = {places}, "
            f"got {settings.threads}. Increase the first, or reduce the others."
        )
    return settings


def _parsed(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        got = "" if name == "MOLELENS_SECRET_KEY" else f", got {text!r}"
        raise StartError(f"{name}: expected {error}{got}.") from error


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "docs/settings.md lists them all."
    return f"{name} is not a setting. {hint}"


def table() -> str:
    """The settings as a Markdown table."""
    rows = ["| variable | default | unit | what it does |", "| --- | --- | --- | --- |"]
    for item in fields(Settings):
        meta = item.metadata
        default = meta["documented_default"] or item.default
        rows.append(
            f"| `{variable(item.name)}` | {default} | {meta['unit']} | {meta['description']} |"
        )
    return "\n".join(rows)
