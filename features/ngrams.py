"""Hashed character n-grams: what a linear model reads of a text, without a vocabulary to keep."""

from typing import Final

import numpy as np
import numpy.typing as npt

SHELVES: Final = {1: range(1 << 15), 2: range(1 << 15, 5 << 15), 3: range(5 << 15, 1 << 18)}
"""By the length of an n-gram, the buckets that it may fall into: some share one (Weinberger et al. 2009)."""
N_BUCKETS: Final = SHELVES[3].stop

NGRAMS: Final = "char-1-3-hash18-v1"
"""Named in the contract of every model that reads these: the same text must fall into the same buckets for ever."""

_START, _END = "\x02", "\x03"
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_PRIME: Final = np.uint64(0x100000001B3)
_HALF: Final = np.uint64(32)
_WHOLE: Final = np.uint64(1 << 32)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def hashed_ngrams(text: str, *, field: int) -> tuple[Ints, Floats]:
    """The buckets that a text's n-grams fall into, ascending, and how often each does, as 1 + ln n.

    Equal n-grams of different fields (a title's, a body's) fall into different buckets. An empty text has none.
    """
    if not text:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    marked = f"{_START}{text}{_END}".encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(marked, np.uint32).astype(np.uint64)
    hashed = [_hash(codes, size, seed=np.uint64(field * 16 + size)) for size in SHELVES]
    buckets, counts = np.unique(np.concatenate(hashed).astype(np.int64), return_counts=True)
    return buckets, (1 + np.log(counts)).astype(np.float32)


def _hash(codes: npt.NDArray[np.uint64], size: int, *, seed: np.uint64) -> npt.NDArray[np.uint64]:
    """A bucket for each run of ``size`` codes: FNV-1a over the codes, then Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    n = max(0, len(codes) - size + 1)
    state = np.full(n, seed, np.uint64)
    for place in range(size):
        state = (state ^ codes[place : place + n]) * _PRIME
        state ^= state >> _HALF
    shelf = SHELVES[size]
    return ((state * _MULTIPLIER) >> _HALF) * np.uint64(len(shelf)) // _WHOLE + np.uint64(shelf.start)
