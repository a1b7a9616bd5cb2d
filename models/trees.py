"""LightGBM to ONNX: a ``TreeEnsemble`` (``ai.onnx.ml`` 5) that takes the branch LightGBM takes, for every float32.

It computes in float64, so that each threshold and leaf is LightGBM's own and the sum is rounded once, at the end. In
float32 every threshold would have to be rounded *down*, and the rounding of the sum grows with the number of trees
(1e-6 of probability at 2,000); it would save 5% of the time.

Two of LightGBM's habits are not in the operator: zero as a missing value, and a category cut to an integer. A booster
that has them gets further *views* of its features: all columns once more, rewritten, to the right of the given ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, nan, nextafter
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from models.errors import ExportError

_ZERO = float(np.float32(1e-35))  # kZeroThreshold: LightGBM reads every value from -_ZERO to _ZERO as 0.0
_INFINITE = 1e300  # what dump_model() writes for an infinite threshold
_BRANCH_LEQ, _BRANCH_MEMBER = 0, 6  # the operator's codes


def tree_ensemble(dump: Mapping[str, Any], *, features: str, output: str) -> list[NodeProto]:
    """Nodes from ``features``, float32 (n, n_features), to ``output``, the booster's raw score, float32 (n, 1).

    ``dump`` is ``booster.dump_model()``; a link (the sigmoid of a binary objective) is the graph's to add. A column
    of categories holds LightGBM's integer codes. The graph imports opset 13 or later and ``ai.onnx.ml`` 5; the names
    made up here begin with ``output`` and a slash, so one graph can hold many ensembles.

    Raises ExportError for several outputs, a random forest, linear leaves, and a split of unknown kind.
    """
    _require_one_sum(dump)
    forest = _Forest()
    for tree in dump["tree_info"] or [{"tree_structure": {"leaf_value": 0.0}}]:
        forest.plant(tree["tree_structure"])
    views = sorted({_View.AS_GIVEN, *(split.rule.view for split in forest.splits)})
    n_features = dump["max_feature_idx"] + 1
    attributes = _attributes(forest, first_column={view: i * n_features for i, view in enumerate(views)})
    before = _view_nodes(features, views, scope=output)
    return [
        *before,
        make_node("TreeEnsemble", before[-1].output, [f"{output}/sum"], domain="ai.onnx.ml", **attributes),
        make_node("Cast", [f"{output}/sum"], [output], to=TensorProto.FLOAT),
    ]


def _require_one_sum(dump: Mapping[str, Any]) -> None:
    if dump["num_tree_per_iteration"] != 1:
        raise ExportError(f"a booster must have 1 output, got {dump['num_tree_per_iteration']}")
    if dump["average_output"]:
        raise ExportError("a booster must add up its trees, got a random forest that averages them")


class _View(StrEnum):
    """What a split compares: the features, or a rewriting of them."""

    AS_GIVEN = "as_given"
    TRUNCATED = "truncated"
    ZERO_IS_NAN = "zero_is_nan"


@dataclass(frozen=True)
class _Rule:
    """Go left if the value is one of ``members`` or, where there are none, at most ``threshold``."""

    feature: int
    view: _View = _View.AS_GIVEN
    threshold: float = 0.0
    members: tuple[float, ...] = ()
    nan_goes_left: bool = False


class _Child(NamedTuple):
    number: int
    is_leaf: bool


class _Split(NamedTuple):
    rule: _Rule
    left: _Child
    right: _Child


@dataclass
class _Forest:
    """All trees, flat; children come before their split, so a root is the last split of its tree."""

    leaves: list[float] = field(default_factory=list)
    splits: list[_Split] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def plant(self, tree: Mapping[str, Any]) -> None:
        root = self._add(tree)
        if root.is_leaf:
            self.splits.append(_Split(_Rule(feature=0), root, root))  # how the operator writes a tree of one leaf
        self.roots.append(len(self.splits) - 1)

    def _add(self, node: Mapping[str, Any]) -> _Child:
        if "leaf_const" in node:
            raise ExportError("a leaf must be a constant, got a linear one (linear_tree)")
        if "leaf_value" in node:
            self.leaves.append(node["leaf_value"])
            return _Child(len(self.leaves) - 1, is_leaf=True)
        self.splits.append(_Split(_rule(node), self._add(node["left_child"]), self._add(node["right_child"])))
        return _Child(len(self.splits) - 1, is_leaf=False)


def _rule(split: Mapping[str, Any]) -> _Rule:
    """One decision, as Tree::NumericalDecision and Tree::CategoricalDecision take it (LightGBM 4.7, tree.h)."""
    feature, default_left = split["split_feature"], split["default_left"]
    if split["decision_type"] == "==":
        members = tuple(float(code) for code in split["threshold"].split("||"))
        return _Rule(feature, _View.TRUNCATED, members=members)
    threshold = _plain_threshold(split["threshold"])
    match split["decision_type"], split["missing_type"]:
        case "<=", "Zero":
            return _Rule(feature, _View.ZERO_IS_NAN, threshold, nan_goes_left=default_left)
        case "<=", "NaN":
            return _Rule(feature, threshold=threshold, nan_goes_left=default_left)
        case "<=", "None":  # NaN is read as 0.0
            return _Rule(feature, threshold=threshold, nan_goes_left=threshold >= 0.0)
        case kind:
            raise ExportError(f"a split must be == or <= with missing None, NaN or Zero, got {kind}")


def _plain_threshold(threshold: float) -> float:
    """The threshold that parts plain values as ``threshold`` parts values read as LightGBM reads them."""
    if threshold >= _INFINITE:
        return inf
    if abs(threshold) > _ZERO:
        return threshold
    return _ZERO if threshold >= 0.0 else nextafter(-_ZERO, -inf)


def _view_nodes(features: str, views: Sequence[_View], *, scope: str) -> list[NodeProto]:
    """Nodes whose last output holds the ``views`` side by side, in float64."""
    given = f"{scope}/{_View.AS_GIVEN}"
    nodes = [make_node("Cast", [features], [given], to=TensorProto.DOUBLE)]
    if _View.TRUNCATED in views:
        nodes += _truncated(given, f"{scope}/{_View.TRUNCATED}")
    if _View.ZERO_IS_NAN in views:
        nodes += _zero_is_nan(given, f"{scope}/{_View.ZERO_IS_NAN}")
    if len(views) > 1:
        nodes.append(make_node("Concat", [f"{scope}/{view}" for view in views], [f"{scope}/views"], axis=1))
    return nodes


def _truncated(given: str, output: str) -> list[NodeProto]:
    """Towards zero, like a cast to int. onnxruntime does so to some sets of members itself, but not to all."""
    sign, size, floor = (f"{output}/{part}" for part in ("sign", "size", "floor"))
    return [
        make_node("Sign", [given], [sign]),
        make_node("Abs", [given], [size]),
        make_node("Floor", [size], [floor]),
        make_node("Mul", [sign, floor], [output]),
    ]


def _zero_is_nan(given: str, output: str) -> list[NodeProto]:
    size, limit, is_zero, missing = (f"{output}/{part}" for part in ("size", "limit", "is_zero", "missing"))
    return [
        make_node("Abs", [given], [size]),
        make_node("Constant", [], [limit], value=_tensor([_ZERO])),
        make_node("LessOrEqual", [size, limit], [is_zero]),
        make_node("Constant", [], [missing], value=_tensor([nan])),
        make_node("Where", [is_zero, missing, given], [output]),
    ]


def _attributes(forest: _Forest, *, first_column: Mapping[_View, int]) -> dict[str, Any]:
    """What the operator wants to know of ``forest``, one list a property."""
    rules = [split.rule for split in forest.splits]
    members = [member for rule in rules if rule.members for member in (*rule.members, nan)]  # NaN ends a set
    modes = [_BRANCH_MEMBER if rule.members else _BRANCH_LEQ for rule in rules]
    attributes = {
        "n_targets": 1,
        "tree_roots": forest.roots,
        "nodes_featureids": [first_column[rule.view] + rule.feature for rule in rules],
        "nodes_modes": from_array(np.array(modes, np.uint8)),
        "nodes_splits": _tensor(rule.threshold for rule in rules),
        "nodes_missing_value_tracks_true": [int(rule.nan_goes_left) for rule in rules],
        "nodes_truenodeids": [split.left.number for split in forest.splits],
        "nodes_trueleafs": [int(split.left.is_leaf) for split in forest.splits],
        "nodes_falsenodeids": [split.right.number for split in forest.splits],
        "nodes_falseleafs": [int(split.right.is_leaf) for split in forest.splits],
        "leaf_targetids": [0] * len(forest.leaves),
        "leaf_weights": _tensor(forest.leaves),
    }
    return attributes | ({"membership_values": _tensor(members)} if members else {})


def _tensor(values: Iterable[float]) -> TensorProto:
    return from_array(np.array([*values], np.float64))
