"""Assign groups to splits, so that every source and diagnosis is divided in the same shares."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

SHARES = {"train": 70, "val": 15, "test": 15}
"""Percentage of each stratum's images that goes to each split."""

HALVES = {"train": 50, "test": 50}
"""The same for photos without a lesion: half to fit the refusal on, and half to test it."""


def assign(
    groups: Sequence[str],
    strata: Sequence[tuple[str, ...]],
    seed: int,
    shares: Mapping[str, int] = SHARES,
    kept: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Assign each group to one split.

    Groups are assigned from the largest to the smallest; groups of equal size in random order. Each
    goes to the split in which its strata are furthest below their share (the greedy algorithm
    of Sechidis et al. 2011, "On the stratification of multi-label data", applied to groups). The
    random order comes from SHA-256 of the seed and the name of each group, so the result is the
    same on every machine.

    Args:
        groups: the group of each image.
        strata: the stratum of each image, here its source, kind and diagnosis.
        seed: seed of the random order.
        shares: percentage of each stratum that goes to each split.
        kept: splits of groups that are already fixed; the other groups balance the shares.

    Returns:
        The split of each group.
    """
    group_strata: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for group, stratum in zip(groups, strata, strict=True):
        group_strata[group][stratum] += 1
    totals = Counter(strata)
    # A default dict, because a kept split need not be one of ``shares``.
    filled: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)

    def fullness(split: str, group: str) -> float:
        return sum(
            count / totals[stratum] * filled[split][stratum] / (shares[split] * totals[stratum])
            for stratum, count in sorted(group_strata[group].items())
        )

    splits = {group: kept[group] for group in group_strata if group in kept}
    for group, split in splits.items():
        filled[split] += group_strata[group]
    free = [group for group in group_strata if group not in kept]
    for group in sorted(free, key=lambda g: (-group_strata[g].total(), _random_key(seed, g))):
        split = min(shares, key=lambda name: fullness(name, group))
        filled[split] += group_strata[group]
        splits[group] = split
    return splits


def _random_key(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
