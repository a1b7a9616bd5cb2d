"""Words of Chinese text: jieba's segmentation, by its Rust port."""

from typing import Final

import rjieba

SEGMENTER: Final = "rjieba-0.2.2"
"""Named in the contract of every model that reads words: training and serving must cut alike."""


def segment(text: str) -> list[str]:
    """The words of normalised text in order, spaces and punctuation included: joined, they are the text again.

    Jieba's dictionary and its hidden Markov model for unknown words. The text may hold no half of a surrogate pair;
    normalised text never does.
    """
    return rjieba.cut(text)
