"""Groups to train, val and test: every source and diagnosis in the same shares."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

SHARES = {"train": 70, "val": 15, "test": 15}
"""Percent of each stratum's images."""


def assign(groups: Sequence[str], strata: Sequence[tuple[str, str]], seed: int) -> dict[str, str]:
    """Give each group one split.

    Groups are taken from the largest to the smallest, equal ones in an order drawn by the seed;
    each goes to the split that is emptiest for what it holds (the greedy idea of Sechidis et al.
    2011, "On the stratification of multi-label data", at the level of groups). Only names, sizes
    and SHA-256 decide, so that machines and library versions agree.

    Args:
        groups: the group of each image.
        strata: the stratum of each image, here its source and diagnosis.
        seed: draws the order.

    Returns:
        the split of each group: "train", "val" or "test".
    """
    held: dict[str, Counter] = defaultdict(Counter)
    for group, stratum in zip(groups, strata, strict=True):
        held[group][stratum] += 1
    totals = Counter(strata)
    filled: dict[str, Counter] = {split: Counter() for split in SHARES}

    def fullness(split: str, group: str) -> float:
        return sum(
            count / totals[stratum] * filled[split][stratum] / (SHARES[split] * totals[stratum])
            for stratum, count in sorted(held[group].items())
        )

    splits = {}
    for group in sorted(held, key=lambda name: (-held[name].total(), _draw(seed, name))):
        split = min(SHARES, key=lambda name: fullness(name, group))
        filled[split] += held[group]
        splits[group] = split
    return splits


def _draw(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
