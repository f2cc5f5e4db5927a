"""Groups to train, val and test: every source and diagnosis in the same shares."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

SHARES = {"train": 70, "val": 15, "test": 15}
"""Percent of each stratum's images."""

HALVES = {"train": 50, "test": 50}
"""The same for photos that show no lesion: half to fit the refusal on, half to test it."""


def assign(
    groups: Sequence[str],
    strata: Sequence[tuple[str, ...]],
    seed: int,
    shares: Mapping[str, int] = SHARES,
    kept: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Give each group one split.

    Groups are taken from the largest to the smallest, equal ones in an order drawn by the seed;
    each goes to the split that is emptiest for what it holds (the greedy idea of Sechidis et al.
    2011, "On the stratification of multi-label data", at the level of groups). Only names, sizes
    and SHA-256 decide, so that machines and library versions agree.

    Args:
        groups: the group of each image.
        strata: the stratum of each image, here its source and diagnosis.
        seed: draws the order.
        shares: percent of each stratum, by split.
        kept: groups whose split is given; the others fill up what these leave.

    Returns:
        the split of each group, one of ``shares``.
    """
    held: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for group, stratum in zip(groups, strata, strict=True):
        held[group][stratum] += 1
    totals = Counter(strata)
    # A kept split may have no share.
    filled: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)

    def fullness(split: str, group: str) -> float:
        return sum(
            count / totals[stratum] * filled[split][stratum] / (shares[split] * totals[stratum])
            for stratum, count in sorted(held[group].items())
        )

    splits = {group: kept[group] for group in held if group in kept}
    for group, split in splits.items():
        filled[split] += held[group]
    drawn = [group for group in held if group not in kept]
    for group in sorted(drawn, key=lambda name: (-held[name].total(), _draw(seed, name))):
        split = min(shares, key=lambda name: fullness(name, group))
        filled[split] += held[group]
        splits[group] = split
    return splits


def _draw(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
