"""What a fitted quality model is made of beside its encoder, as plain arrays; K columns, one for each thing judged.

A column's score is a blend of two logits, each in units of its own spread on the tuning notes, then calibrated:

    logit = slope * (deep_weight * deep / deep_spread + (1 - deep_weight) * wide / wide_spread) + intercept
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class WidePart:
    """A linear model over hashed n-grams and signals.

    wide = sum(count * weight[bucket]) / sqrt(sum((count * norm[bucket])^2)) + standardised signals . signal_weight
    + intercept; an n-gram with ``norm`` 0 is not read. ``weight`` and ``norm`` are (n_buckets, K), in 16 bits.
    """

    weight: Halves
    norm: Halves
    signal_mean: Floats
    signal_spread: Floats
    signal_weight: Floats
    intercept: Floats


@dataclass(frozen=True, slots=True, eq=False)
class DeepPart:
    """A head a column over what the encoder says of a window: relu(x W + b) . v + c.

    ``hidden`` (dim, K, H) is W, ``hidden_bias`` (K, H) b, ``output`` (K, H) v, ``output_bias`` (K,) c. A note's logit
    is the largest of its windows'.
    """

    hidden: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """How both parts become a calibrated probability: each of shape (K,)."""

    deep_weight: Floats
    deep_spread: Floats
    wide_spread: Floats
    slope: Floats
    intercept: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The note's vector for finding like notes: the encoder's, centred, turned to its main axes and cut, of norm 1."""

    mean: Floats
    axes: Floats


@dataclass(frozen=True, slots=True, eq=False)
class QualityParts:
    """All of it; without a tower there is no ``deep`` part and no ``embedding``."""

    wide: WidePart
    blend: Blend
    deep: DeepPart | None = None
    embedding: Embedding | None = None
