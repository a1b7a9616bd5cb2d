"""Near-copies of a text: MinHash signatures of what a reader sees.

A signature stands for the set of a text's character 5-grams, and the share of equal places of two signatures estimates
the Jaccard similarity of the two sets without the texts (Broder, 1997). Signatures are stored for years, so they are
made of integer arithmetic written out here: the same text gives the same bytes in every process, on every machine and
with every version of every library, until ``SIGNATURE`` changes. (Rensa, fast as it is, changed its signatures in 0.5.)

An index of many signatures holds each one's ``bands``, as rows (band number, band) of the store's own database: texts
that share a band are looked at with ``estimate``. Offline, ``datasketch.MinHashLSH`` takes signatures too; beside a
server it does not belong, since it imports SciPy.
"""

from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from features.text.normalise import normalise

SIGNATURE: Final = "minhash-5gram-128-1"
"""Stored beside signatures: only those made under one name can be compared."""

SHINGLE_CHARS: Final = 5
N_PLACES: Final = 128
SIGNATURE_BYTES: Final = 4 * N_PLACES
N_BANDS: Final = 32

_U64: TypeAlias = npt.NDArray[np.uint64]
_BLOCK: Final = 4096
_EMPTY: Final = b"\xff" * SIGNATURE_BYTES


def signature(text: str) -> bytes:
    """The ``SIGNATURE_BYTES`` bytes that stand for a text, normalised or not; 128 little-endian 32-bit minima.

    White space does not count. A text of fewer than five characters is one shingle.
    """
    shingles = _shingles("".join(normalise(text).text.split()))
    least = np.full(N_PLACES, np.iinfo(np.uint64).max, np.uint64)
    factors, offsets = _coefficients()
    for start in range(0, len(shingles), _BLOCK):
        np.minimum(least, (factors * shingles[start : start + _BLOCK] + offsets).min(axis=1), out=least)
    return (least >> np.uint64(32)).astype("<u4").tobytes()


def estimate(one: bytes, other: bytes) -> float:
    """The estimated Jaccard similarity of the texts of two signatures, 0 to 1; a text of nothing resembles nothing.

    The standard error is sqrt(J (1 - J) / 128): at most .044, and .035 at a similarity of .8.
    """
    if len(one) != SIGNATURE_BYTES or len(other) != SIGNATURE_BYTES:
        raise ValueError(f"signatures have {SIGNATURE_BYTES} bytes, got {len(one)} and {len(other)}")
    if _EMPTY in (one, other):
        return 0.0
    return float((np.frombuffer(one, "<u4") == np.frombuffer(other, "<u4")).mean())


def bands(of: bytes) -> tuple[bytes, ...]:
    """The ``N_BANDS`` stretches of a signature by which an index finds it, in order; none of a text of nothing.

    Two texts of similarity J share at least one of 32 bands of 4 places with probability 1 - (1 - J^4)^32: .9998 at
    J = .7, .87 at .5, .23 at .3.
    """
    if of == _EMPTY:
        return ()
    size = SIGNATURE_BYTES // N_BANDS
    return tuple(of[start : start + size] for start in range(0, SIGNATURE_BYTES, size))


def _shingles(text: str) -> _U64:
    """A well-mixed 64-bit number for each 5-gram, in order, repeats included."""
    points = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64)
    n = max(len(points) - SHINGLE_CHARS + 1, min(len(points), 1))
    numbers = np.zeros(n, np.uint64)
    for place in range(min(SHINGLE_CHARS, len(points))):
        numbers = _mixed(numbers + points[place : place + n] + np.uint64(1))
    return numbers


def _mixed(numbers: _U64) -> _U64:
    """SplitMix64's finaliser (Steele, Lea and Flood, 2014); sums and products are modulo 2^64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


@cache
def _coefficients() -> tuple[_U64, _U64]:
    """Odd factors and offsets, shape (N_PLACES, 1): each pair orders the shingles in another way."""
    drawn = _mixed(np.arange(1, 2 * N_PLACES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return (drawn[:N_PLACES] | np.uint64(1))[:, None], drawn[N_PLACES:, None]
