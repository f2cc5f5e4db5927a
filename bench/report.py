"""The reports of the benchmarks, as their JSON files store them."""

from typing import NotRequired, TypedDict

from bench.load import Figures


class Case(Figures):
    """The results of a server under one load, with the CPU time of its workers per request."""

    photo: str
    cpu_ms: float


class ServerReport(TypedDict):
    """A server's start times, its workers' memory (PSS), and its cases."""

    first_start_s: float
    warm_start_s: float
    worker_pss_mb: list[float]
    most_pss_mb: float
    cases: list[Case]


class RequestParts(TypedDict):
    """CPU time of the parts of a request, each measured alone, and how many views were used."""

    decode_ms: float
    views: int
    view_ms: float
    rest_ms: float


class ServeReport(TypedDict):
    """The report of ``bench.serve``; ``request`` is by photo, ``ratios`` by load and server."""

    when: str
    machine: str
    cores: int
    workers: int
    model: str
    precision: str
    photos: dict[str, str]
    seconds: float
    servers: dict[str, ServerReport]
    request: dict[str, RequestParts]
    ratios: dict[str, dict[str, float]]


class BackendsCase(Figures):
    """The results of one load on Apache, with backends of one worker."""

    photo: str
    backends: int
    worker_pss_mb: list[float]


class BackendsReport(TypedDict):
    """The report of ``bench.backends``."""

    when: str
    machine: str
    model: str
    seconds: float
    clients: int
    cases: list[BackendsCase]


class Speed(TypedDict):
    """A training speed; the other keys depend on the contender."""

    images_per_s: float
    precision: NotRequired[str]
    threads: NotRequired[int]
    every_precision: NotRequired[dict[str, float]]


class TrialReport(TypedDict):
    """The results of ``bench.trial``: AUC on validation by part, as trained and refitted.

    ``seconds`` and ``cpu_seconds`` are those of the training without validation. ``gain`` is the
    difference to the trial ``base`` after the refit: value, lower and upper limit.
    """

    variant: str
    parameters: int
    views: int
    seconds: float
    cpu_seconds: float
    trained: dict[str, float]
    refitted: dict[str, float]
    gain: dict[str, list[float]]
