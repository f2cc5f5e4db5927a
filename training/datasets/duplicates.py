"""Which images are one picture: the same pixels, or so alike that they must share a split."""

import re
from collections.abc import Iterable

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.datasets.sources import Record, Source

# The ISIC Archive's name of a picture is the same in all sets made from it.
_ARCHIVE_NAME = re.compile(r"(?:^|/)(ISIC_\d{7})(?=$|[._])")

# Two pictures are near-duplicates when three perceptual hashes agree, each within this many bits.
# Measured on the 12,949 lesions of the four sets in shared/data, over pairs of different groups.
# Looking at the closest pairs (by these hashes, and by detail after registration) showed 28 that
# are one lesion filed twice, in other colours or slightly moved; turned or mirrored ones, none.
#   phash 64 bits at 4:          434 pairs, 12 of the 28, chaining up to 127 groups into one
#   phash 256 bits at 60:        327 pairs, 22 of the 28, chaining 128
#   dhash 256 bits at 25:        304 pairs,  9 of the 28, chaining 53
#   all three, at these limits:   44 pairs, 21 of the 28, chaining 11 (275 images)
# The wrong pairs are moles so small that the picture is nearly all skin; they only cost a little
# freedom in the split. Looser limits find the last few at the price of hundreds of wrong pairs.
PHASH_64_BITS = 8
PHASH_256_BITS = 60
DHASH_256_BITS = 60


def same_picture(
    records: list[Record], digests: list[bytes], read: list[Source]
) -> list[tuple[int, int]]:
    """Index pairs of one picture: equal pixels, one archive name, or listed as duplicates.

    Args:
        records: images, each with a file.
        digests: ``training.datasets.fingerprints.Fingerprint.digest`` of each.
        read: the sources, for the pairs that their publishers list.
    """
    seen: dict[object, int] = {}
    links = []
    by_image = {(record.source, record.image): index for index, record in enumerate(records)}
    for index, (record, digest) in enumerate(zip(records, digests, strict=True)):
        archive = _ARCHIVE_NAME.search(record.image)
        for key in (digest, archive and archive[1]):
            if key:
                links.append((seen.setdefault(key, index), index))
    for source in read:
        for names in source.duplicates:
            pair = [by_image.get((source.name, name)) for name in names]
            if pair[0] is not None and pair[1] is not None:
                links.append((pair[0], pair[1]))
    return [(left, right) for left, right in links if left != right]


def near_duplicates(hashes: list[bytes]) -> list[tuple[int, int]]:
    """Index pairs of nearly one picture.

    Args:
        hashes: ``training.datasets.fingerprints.Fingerprint.hashes`` of each image.
    """
    words = _words(hashes)
    pairs: list[tuple[int, int]] = []
    # The first hash is one word, so all pairs of it are quick; the rest is asked of the few left.
    for start in range(0, len(words), 256):
        coarse = words[start : start + 256, None, 0] ^ words[None, start:, 0]
        left, right = np.nonzero(np.bitwise_count(coarse) <= PHASH_64_BITS)
        left, right = left[right > left] + start, right[right > left] + start
        distances = np.bitwise_count(words[left, 1:] ^ words[right, 1:])
        near = (distances[:, :4].sum(1, dtype=int) <= PHASH_256_BITS) & (
            distances[:, 4:].sum(1, dtype=int) <= DHASH_256_BITS
        )
        pairs += zip(left[near].tolist(), right[near].tolist(), strict=True)
    return pairs


def closest_across(
    hashes: list[bytes], splits: list[str], count: int
) -> list[tuple[int, int, int]]:
    """The most alike pictures that stand in different splits, for a person to look at.

    Args:
        hashes: ``training.datasets.fingerprints.Fingerprint.hashes`` of each image.
        splits: of each image.
        count: of pairs.

    Returns:
        Index pairs, the most alike first, each with the bits of 512 in which they differ.
    """
    words, names = _words(hashes), np.array(splits)
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(words), 256):
        block = slice(start, start + 256)
        coarse = np.bitwise_count(words[block, None, 0] ^ words[None, start:, 0])
        near = (coarse <= 2 * PHASH_64_BITS) & (names[block, None] != names[None, start:])
        left, right = np.nonzero(np.triu(near, 1))
        left, right = left + start, right + start
        distances = np.bitwise_count(words[left, 1:] ^ words[right, 1:]).sum(1, dtype=int)
        found += zip(left.tolist(), right.tolist(), distances.tolist(), strict=True)
        found = sorted(found, key=lambda pair: pair[2])[:count]
    return found


def _words(hashes: list[bytes]) -> np.ndarray:
    """The 576 bits of each image's hashes, uint64 (n, 9)."""
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(len(hashes), 9)


def components(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """For each of ``count`` things, the smallest index it is linked to, directly or not."""
    ends = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels].tolist()
