"""The options of ``bench.trial``. This module does not import Keras."""

from dataclasses import dataclass
from pathlib import Path

NAMES = ("base", "stem", "grey", "wide", "embedding")
"""The variants that ``bench.variants`` builds."""


@dataclass(frozen=True)
class TrialOptions:
    """The options of ``bench.trial``; views, passes and side have no argument.

    Attributes:
        variant: one of ``NAMES``.
        manifest: the photos.
        folder: for the bank, the checkpoints and the results.
        teacher: model file of an ``efficientnet_lite0``.
        views: number of views in the bank.
        passes: how often each view is seen; by default 307,200 views in all.
        side: side of the views in pixels.
    """

    variant: str
    manifest: Path
    folder: Path
    teacher: Path
    views: int = 61_440
    passes: int = 5
    side: int = 160
