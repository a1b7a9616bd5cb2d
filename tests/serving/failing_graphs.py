"""A real quality model that can't read notes with a certain word in them: its graph fails there, or has no number."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from features.ngrams import SHELVES, hashed_ngrams
from models.quality.reading import NGRAMS
from models.quality.settings import QUALITY

WORD = "氪金"
"""A note whose body holds it can't be read."""


def without(graph: bytes, *, how: str) -> bytes:
    """The graph, which for a note with the word in it ``raises``, or gives a quality that is ``nan``."""
    model = onnx.load_from_string(graph)
    (last,) = [node for node in model.graph.node if QUALITY in node.output]
    last.output[0] = "quality_of_others"
    whole, *parts = (hashed_ngrams(text, field=2)[0] for text in (WORD, *WORD))
    (bucket,) = (one for one in whole if one in SHELVES[2] and one not in np.concatenate(parts))
    constants = {"bucket": np.int64(bucket), "one": np.int64(1), "zero": np.int64(0), "nothing": np.float32([0])}
    constants |= {"bad": np.float32(np.nan), "good": np.float32(0)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items())
    counted = [
        helper.make_node("Equal", [NGRAMS, "bucket"], ["is_it"]),
        helper.make_node("Cast", ["is_it"], ["marks"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["marks"], ["n_marks"], keepdims=0),
        helper.make_node("Min", ["n_marks", "one"], ["n"]),
    ]
    failing = {
        "raises": [helper.make_node("Gather", ["nothing", "n"], ["more"])],  # of one row: the second is not there
        "nan": [
            helper.make_node("Greater", ["n", "zero"], ["is_there"]),
            helper.make_node("Where", ["is_there", "bad", "good"], ["more"]),
        ],
    }[how]
    adding = helper.make_node("Add", ["quality_of_others", "more"], [QUALITY])
    model.graph.node.extend([*counted, *failing, adding])
    onnx.checker.check_model(model)
    return model.SerializeToString()
