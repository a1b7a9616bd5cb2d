"""From a note's text to the arrays that the model takes; the same code reads for training and for serving."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from features.ngrams import hashed_ngrams
from features.text.lexicons import Lexicons
from features.text.signals import N_SIGNALS, Signals, find_signals

IDS: Final = "input_ids"
MASK: Final = "attention_mask"
WINDOW_NOTE: Final = "window_note"
NGRAMS: Final = "ngrams"
NGRAM_COUNTS: Final = "ngram_counts"
NGRAM_NOTE: Final = "ngram_note"
SIGNALS: Final = "signals"

MAX_TOKENS: Final = 24_000
"""How many tokens of a note the tower reads: 20,000 Chinese characters have fewer, whatever they say."""

OVERLAP: Final = 8
"""A window repeats this part (an eighth) of the one before, so that no phrase is cut by both."""

TITLE, BODY = 1, 2
"""The fields of a note as n-grams tell them apart."""


class NoteText(NamedTuple):
    """What is judged of a note; an absent title is empty."""

    title: str
    body: str


class ReadNotes(NamedTuple):
    """Notes as the model takes them, in order, and what was found on the surface of each."""

    arrays: dict[str, npt.NDArray[Any]]
    signals: Sequence[Signals]


class NoteReader:
    """Reads notes for one model: with its lexicons, and with its tokenizer if it has a tower.

    A long note is read by windows of ``window_tokens``, all of it. Of a note with more than ``MAX_TOKENS``, as many
    windows as that allows are read, spread evenly; n-grams and signals are of the whole note all the same.
    """

    def __init__(self, lexicons: Lexicons, tokenizer: Tokenizer | None, *, window_tokens: int) -> None:
        self._lexicons = lexicons
        self._tokenizer = tokenizer
        self._max_windows = MAX_TOKENS // max(1, window_tokens)
        if tokenizer:
            tokenizer.no_padding()
            tokenizer.enable_truncation(window_tokens, stride=window_tokens // OVERLAP)

    def read(self, notes: Sequence[NoteText]) -> ReadNotes:
        """The arrays of notes.

        With n notes, w windows of up to t tokens in all and g n-grams in all: ``input_ids`` and ``attention_mask``
        int64 (w, t), ``window_note`` int64 (w,); ``ngrams`` and ``ngram_note`` int64 (g,), ``ngram_counts`` float32
        (g,); ``signals`` float32 (n, N_SIGNALS).
        """
        signals = [find_signals(note.title, note.body, self._lexicons) for note in notes]
        arrays = {**_ngrams(signals), SIGNALS: _rows(signals)}
        if self._tokenizer:
            arrays |= _windows(self._tokenizer, [_text(one) for one in signals], self._max_windows)
        return ReadNotes(arrays, signals)


def _text(signals: Signals) -> str:
    """What the tower reads: the normalised title, if there is one, above the body."""
    title, body = (field.normalised.text for field in signals.note.fields)
    return f"{title}\n{body}" if title else body


def _rows(signals: Sequence[Signals]) -> npt.NDArray[np.float32]:
    return np.stack([one.row for one in signals]) if signals else np.empty((0, N_SIGNALS), np.float32)


def _ngrams(signals: Sequence[Signals]) -> dict[str, npt.NDArray[Any]]:
    read = [_ngrams_of(one) for one in signals]
    return {
        NGRAMS: np.concatenate([np.empty(0, np.int64), *(buckets for buckets, _ in read)]),
        NGRAM_COUNTS: np.concatenate([np.empty(0, np.float32), *(counts for _, counts in read)]),
        NGRAM_NOTE: np.repeat(np.arange(len(read)), [len(buckets) for buckets, _ in read]),
    }


def _ngrams_of(signals: Signals) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """A note's buckets, each once: where the title and the body share one by chance, their counts are summed."""
    title, body = (field.normalised.text for field in signals.note.fields)
    ours, theirs = hashed_ngrams(title, field=TITLE), hashed_ngrams(body, field=BODY)
    if not title:
        return theirs
    buckets, places = np.unique(np.concatenate([ours[0], theirs[0]]), return_inverse=True)
    counts = np.bincount(places, np.concatenate([ours[1], theirs[1]]), len(buckets))
    return buckets, counts.astype(np.float32)


def _windows(tokenizer: Tokenizer, texts: Sequence[str], max_windows: int) -> dict[str, npt.NDArray[Any]]:
    windows, owners = [], []
    for note, encoding in enumerate(tokenizer.encode_batch(texts)):
        own = _spread([encoding, *encoding.overflowing], max_windows)
        windows += [one.ids for one in own]
        owners += [note] * len(own)
    lengths = np.array([len(ids) for ids in windows], np.int64)
    mask = np.arange(lengths.max(initial=1)) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate([*windows, np.empty(0, np.int64)])
    return {IDS: ids, MASK: mask.astype(np.int64), WINDOW_NOTE: np.array(owners, np.int64)}


def _spread(windows: Sequence[Encoding], most: int) -> Sequence[Encoding]:
    """All windows, or ``most`` of them at even distances, the first and the last among them."""
    if len(windows) <= most:
        return windows
    return [windows[place] for place in np.linspace(0, len(windows) - 1, most).round().astype(int)]
