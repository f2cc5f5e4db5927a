"""Find duplicates, and pictures so similar that they must be in the same split."""

import re
from collections.abc import Iterable, Iterator

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.datasets.records import Record, Source

_ARCHIVE_NAME = re.compile(r"(?:^|/)(ISIC_\d{7})(?=$|[._])")

# Two pictures are near-duplicates if each of three perceptual hashes differs by at most this many
# bits.
# Measured on 12,949 lesions of HAM10000, ISIC 2019, SIIM-ISIC 2020 and PAD-UFES-20, over pairs from
# different groups. Inspecting the closest pairs showed 28 that are one lesion listed twice, with
# other colours or slightly shifted; none was rotated or mirrored. Pairs found by each rule:
#   phash 64 bits at 4:          434 pairs, 12 of the 28; the largest group joins 127 groups
#   phash 256 bits at 60:        327 pairs, 22 of the 28; the largest joins 128
#   dhash 256 bits at 25:        304 pairs,  9 of the 28; the largest joins 53
#   all three, at these limits:   44 pairs, 21 of the 28; the largest joins 11 (275 images)
# The false pairs are pictures of very small moles on a lot of skin. Joining their groups
# restricts the split only slightly. Looser limits find the remaining true pairs, but hundreds of
# false ones too.
PHASH_64_BITS = 8
PHASH_256_BITS = 60
DHASH_256_BITS = 60


def archive_name(name: str) -> str | None:
    """The name of a picture in the ISIC Archive, which it keeps in every set made from it.

    Args:
        name: the name of an image, or a path with ``/``.
    """
    found = _ARCHIVE_NAME.search(name)
    return found[1] if found else None


def same_picture(
    records: list[Record], digests: list[bytes], sources: list[Source]
) -> list[tuple[int, int]]:
    """Index pairs of images with equal pixels or archive names, or listed as duplicates.

    Args:
        records: images, each with a file.
        digests: ``Fingerprint.digest`` of each image.
        sources: the sources, with the duplicates that their publishers list.
    """
    seen: dict[object, int] = {}
    links = []
    by_image = {(record.source, record.image): index for index, record in enumerate(records)}
    for index, (record, digest) in enumerate(zip(records, digests, strict=True)):
        for key in (digest, archive_name(record.image)):
            if key:
                links.append((seen.setdefault(key, index), index))
    for source in sources:
        for names in source.duplicates:
            pair = [by_image.get((source.name, name)) for name in names]
            if pair[0] is not None and pair[1] is not None:
                links.append((pair[0], pair[1]))
    return [(left, right) for left, right in links if left != right]


def near_duplicates(hashes: list[bytes]) -> list[tuple[int, int]]:
    """Index pairs of pictures that are nearly the same, by ``Fingerprint.hashes`` of each."""
    pairs: list[tuple[int, int]] = []
    for left, right, distances in _candidates(hashes, PHASH_64_BITS):
        near = (distances[:, :4].sum(1, dtype=int) <= PHASH_256_BITS) & (
            distances[:, 4:].sum(1, dtype=int) <= DHASH_256_BITS
        )
        pairs += zip(left[near].tolist(), right[near].tolist(), strict=True)
    return pairs


def closest_across(
    hashes: list[bytes], splits: list[str], count: int
) -> list[tuple[int, int, int]]:
    """The most similar pictures in different splits, for a person to look at.

    Args:
        hashes: ``Fingerprint.hashes`` of each image.
        splits: the split of each image.
        count: maximum number of pairs to return.

    Returns:
        Index pairs, the most similar first, each with the number of differing bits of 512.
    """
    names = np.array(splits)
    closest: list[tuple[int, int, int]] = []
    for left, right, distances in _candidates(hashes, 2 * PHASH_64_BITS):
        apart = names[left] != names[right]
        bits = distances[apart].sum(1, dtype=int)
        closest += zip(left[apart].tolist(), right[apart].tolist(), bits.tolist(), strict=True)
        closest = sorted(closest, key=lambda pair: pair[2])[:count]
    return closest


def _candidates(
    hashes: list[bytes], max_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield blocks of pairs of images whose 64-bit hashes differ in at most ``max_bits`` bits.

    Comparing one word of every pair is fast; the other eight words are compared only for these few.

    Yields:
        Indices of the left and the right images, and the number of differing bits in each of the
        eight words of the 256-bit hashes, uint8 (pairs, 8).
    """
    words = np.frombuffer(b"".join(hashes), np.uint64).reshape(len(hashes), 9)
    for start in range(0, len(words), 256):
        first_words = words[start : start + 256, None, 0] ^ words[None, start:, 0]
        left, right = np.nonzero(np.bitwise_count(first_words) <= max_bits)
        left, right = left[right > left] + start, right[right > left] + start
        yield left, right, np.bitwise_count(words[left, 1:] ^ words[right, 1:])


def components(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """For each of ``count`` items, the smallest index it is linked to, directly or indirectly."""
    ends = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels].tolist()
