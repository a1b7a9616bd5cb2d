"""Writes a fitted quality model as one ONNX graph.

The encoder comes as a graph of its own, perhaps quantised; all around it is written here, in float32. Windows and
n-grams of all notes lie one after the other, with the note of each beside it, so that a long note costs what it holds
and pads no other: sums and maxima by note are ``ScatterElements`` with a reduction. The encoder reads a few windows at
a time, in a ``Loop``: what a run needs of memory does not grow with the length of a note.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
from onnx import GraphProto, TensorProto, compose, helper

from features.text.signals import SIGNALS as SIGNAL_CATALOGUE
from models.onnx_graph import GraphBuilder
from models.quality.parts import DeepPart, Embedding, Floats, Halves, QualityParts, WidePart
from models.quality.reading import IDS, MASK, NGRAM_COUNTS, NGRAM_NOTE, NGRAMS, SIGNALS, WINDOW_NOTE
from models.quality.settings import EMBEDDING, PROBABILITY, QUALITY, LabelKind, QualitySettings

SIGNAL_CLIP: Final = 4.0
"""How many spreads from its mean a signal may count."""

FULL_BITS: Final = 6.0
"""Bits a character from which a text counts as full of information: what 200 characters of prose have."""

_LOWEST: Final = -1e4

POOLED: Final = "pooled"
"""What an encoder's graph gives: a row a window."""

WINDOWS_AT_ONCE: Final = 16
"""How many windows the encoder reads at a time: the built-in one takes some 3 MB for each of 160 tokens."""


def quality_graph(settings: QualitySettings, parts: QualityParts, encoder: onnx.ModelProto | None) -> onnx.ModelProto:
    """The graph, from the inputs to the outputs of ``settings``.

    ``encoder`` gives ``pooled`` (w, dim) of ``input_ids`` and ``attention_mask``. Where the parts have two columns
    more than there are labels, those are P(at least fair) and P(good), and the quality score is made of them.
    """
    graph = GraphBuilder()
    if encoder:
        _encode(graph, encoder)
    n_columns = len(parts.blend.slope)
    zeros = _zeros(graph, n_columns)
    logit = _blended(graph, parts, zeros)
    every = graph.add("Sigmoid", logit)
    n_labels = len(settings.labels)
    graph.add("Slice", every, *_bounds(graph, 0, n_labels), output=PROBABILITY)
    kinds = [label.kind for label in settings.labels]
    has_grades = n_columns > n_labels
    score = _graded(graph, every, n_labels) if has_grades else _composed(graph, every, kinds)
    graph.add("Mul", score, graph.constant(100, np.float32), output=QUALITY)
    if parts.embedding:
        _embed(graph, parts.embedding)
    return graph.model("quality", settings.inputs, settings.outputs)


def _encode(graph: GraphBuilder, encoder: onnx.ModelProto) -> None:
    """``pooled`` of all windows: the encoder over ``WINDOWS_AT_ONCE`` after the other."""
    dim = encoder.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    size = graph.constant([WINDOWS_AT_ONCE], np.int64)
    n_windows = graph.add("Slice", graph.add("Shape", IDS), *_bounds(graph, 0, 1, axis=0))
    rounded_up = graph.add("Add", n_windows, graph.constant([WINDOWS_AT_ONCE - 1], np.int64))
    n_groups = graph.add("Squeeze", graph.add("Div", rounded_up, size))
    none, first_axis = graph.constant(np.zeros((0, dim)), np.float32), graph.constant([0], np.int64)
    own = compose.add_prefix(encoder, "encoder/").graph
    graph.constants += own.initializer
    body = _one_group(own, dim, size=size, first_axis=first_axis)
    graph.add("Loop", n_groups, "", none, output=POOLED, body=body)


def _one_group(encoder: GraphProto, dim: int, *, size: str, first_axis: str) -> GraphProto:
    """The body of the ``Loop``: what was pooled before it, and below it what the encoder gives of the next windows."""
    nodes = [
        helper.make_node("Mul", ["group", size], ["group_start"]),
        helper.make_node("Add", ["group_start", size], ["group_end"]),
        *(
            helper.make_node("Slice", [name, "group_start", "group_end", first_axis], [f"encoder/{name}"])
            for name in (IDS, MASK)
        ),
        *encoder.node,
        helper.make_node("Concat", ["pooled_before", f"encoder/{POOLED}"], ["pooled_after"], axis=0),
        helper.make_node("Identity", ["go_on"], ["go_on_after"]),
    ]
    rows = {name: _info(name, TensorProto.FLOAT, [None, dim]) for name in ("pooled_before", "pooled_after")}
    flags = {name: _info(name, TensorProto.BOOL, []) for name in ("go_on", "go_on_after")}
    inputs = [_info("group", TensorProto.INT64, []), flags["go_on"], rows["pooled_before"]]
    outputs = [flags["go_on_after"], rows["pooled_after"]]
    return helper.make_graph(nodes, "group", inputs, outputs)


def _info(name: str, kind: int, shape: Sequence[int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _zeros(graph: GraphBuilder, n_columns: int) -> str:
    """Zeros of shape (n_notes, n_columns)."""
    n_notes = graph.add("Slice", graph.add("Shape", SIGNALS), *_bounds(graph, 0, 1, axis=0))
    shape = graph.add("Concat", n_notes, graph.constant([n_columns], np.int64), axis=0)
    return graph.add("Expand", graph.constant(0, np.float32), shape)


def _bounds(graph: GraphBuilder, start: int, end: int, *, axis: int = 1) -> list[str]:
    return [graph.constant([one], np.int64) for one in (start, end, axis)]


def _by_note(graph: GraphBuilder, into: str, values: str, note: str, reduction: str) -> str:
    """``values`` (m, K) reduced by note into (n_notes, K)."""
    column = graph.add("Unsqueeze", note, graph.constant([1], np.int64))
    owners = graph.add("Expand", column, graph.add("Shape", values))
    return graph.add("ScatterElements", into, owners, values, axis=0, reduction=reduction)


def _blended(graph: GraphBuilder, parts: QualityParts, zeros: str) -> str:
    """The calibrated logits, (n_notes, K)."""
    blend = parts.blend
    logit = _scaled(graph, _wide(graph, parts.wide, zeros), (1 - blend.deep_weight) / blend.wide_spread)
    if parts.deep:
        deep = _scaled(graph, _deep(graph, parts.deep, zeros), blend.deep_weight / blend.deep_spread)
        logit = graph.add("Add", logit, deep)
    return graph.add("Add", _scaled(graph, logit, blend.slope), graph.constant(blend.intercept, np.float32))


def _scaled(graph: GraphBuilder, value: str, factor: Floats) -> str:
    return graph.add("Mul", value, graph.constant(factor, np.float32))


def _wide(graph: GraphBuilder, wide: WidePart, zeros: str) -> str:
    counts = graph.add("Unsqueeze", NGRAM_COUNTS, graph.constant([1], np.int64))

    def gathered(table: Halves) -> str:
        rows = graph.add("Gather", graph.constant(table, np.float16), NGRAMS, axis=0)
        return graph.add("Mul", graph.add("Cast", rows, to=TensorProto.FLOAT), counts)

    total = _by_note(graph, zeros, gathered(wide.weight), NGRAM_NOTE, "add")
    length = gathered(wide.norm)
    square = _by_note(graph, zeros, graph.add("Mul", length, length), NGRAM_NOTE, "add")
    norm = graph.add("Max", graph.add("Sqrt", square), graph.constant(1e-12, np.float32))
    centred = graph.add("Sub", SIGNALS, graph.constant(wide.signal_mean, np.float32))
    standard = graph.add("Div", centred, graph.constant(wide.signal_spread, np.float32))
    limits = graph.constant(-SIGNAL_CLIP, np.float32), graph.constant(SIGNAL_CLIP, np.float32)
    signals = graph.add("MatMul", graph.add("Clip", standard, *limits), graph.constant(wide.signal_weight, np.float32))
    surface = graph.add("Add", signals, graph.constant(wide.intercept, np.float32))
    return graph.add("Add", graph.add("Div", total, norm), surface)


def _deep(graph: GraphBuilder, deep: DeepPart, zeros: str) -> str:
    dim, n_columns, n_hidden = deep.hidden.shape
    product = graph.add("MatMul", POOLED, graph.constant(deep.hidden.reshape(dim, -1), np.float32))
    shape = graph.constant([-1, n_columns, n_hidden], np.int64)
    hidden = graph.add("Add", graph.add("Reshape", product, shape), graph.constant(deep.hidden_bias, np.float32))
    weighted = graph.add("Mul", graph.add("Relu", hidden), graph.constant(deep.output, np.float32))
    summed = graph.add("ReduceSum", weighted, graph.constant([2], np.int64), keepdims=0)
    windows = graph.add("Add", summed, graph.constant(deep.output_bias, np.float32))
    lowest = graph.add("Add", zeros, graph.constant(_LOWEST, np.float32))
    return _by_note(graph, lowest, windows, WINDOW_NOTE, "max")


def _graded(graph: GraphBuilder, probability: str, first: int) -> str:
    """(P(at least fair) + P(good)) / 2; a good note is at least fair."""
    fair = graph.add("Slice", probability, *_bounds(graph, first, first + 1))
    good = graph.add("Min", graph.add("Slice", probability, *_bounds(graph, first + 1, first + 2)), fair)
    return graph.add("Mul", graph.add("Add", fair, good), graph.constant(0.5, np.float32))


def _composed(graph: GraphBuilder, probability: str, kinds: Sequence[LabelKind]) -> str:
    """P(no harm) * (1 + 3 * worth) / 4: worth is the mean P(merit), or how full of information the text is."""
    of_kind = {kind: np.array([one is kind for one in kinds], np.float32) for kind in LabelKind}
    harms = graph.add("Mul", probability, graph.constant(of_kind[LabelKind.HARM], np.float32))
    spared = graph.add("Sub", graph.constant(1, np.float32), harms)
    none = graph.add("ReduceProd", spared, graph.constant([1], np.int64), keepdims=1)
    merits = of_kind[LabelKind.MERIT]
    if merits.any():
        worth = graph.add("MatMul", probability, graph.constant((merits / merits.sum())[:, None], np.float32))
    else:
        worth = _information(graph)
    quarters = graph.add("Add", graph.add("Mul", worth, graph.constant(3, np.float32)), graph.constant(1, np.float32))
    return graph.add("Mul", none, graph.add("Mul", quarters, graph.constant(0.25, np.float32)))


def _information(graph: GraphBuilder) -> str:
    """Entropy a character as a share of ``FULL_BITS``, less what repeats; 0 to 1."""
    names = [signal.name for signal in SIGNAL_CATALOGUE]

    def signal(name: str) -> str:
        return graph.add("Slice", SIGNALS, *_bounds(graph, names.index(name), names.index(name) + 1))

    one = graph.constant(1, np.float32)
    full = graph.add("Min", graph.add("Div", signal("entropy_bits"), graph.constant(FULL_BITS, np.float32)), one)
    return graph.add("Mul", full, graph.add("Sub", one, signal("repeated_share")))


def _embed(graph: GraphBuilder, embedding: Embedding) -> None:
    """The mean of a note's windows, on the main axes, of norm 1."""
    zeros = _zeros(graph, len(embedding.mean))
    summed = _by_note(
        graph, zeros, graph.add("Sub", POOLED, graph.constant(embedding.mean, np.float32)), WINDOW_NOTE, "add"
    )
    turned = graph.add("MatMul", summed, graph.constant(embedding.axes, np.float32))
    norm = graph.add("ReduceL2", turned, graph.constant([1], np.int64), keepdims=1)
    graph.add("Div", turned, graph.add("Max", norm, graph.constant(1e-12, np.float32)), output=EMBEDDING)
