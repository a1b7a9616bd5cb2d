"""Exact export of LightGBM: trees worked out by hand, then random boosters against LightGBM itself."""

from collections.abc import Iterator, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto
from onnx.helper import make_graph, make_model, make_opsetid, make_tensor_value_info

from models.errors import ExportError
from models.trees import tree_ensemble

Json = dict[str, Any]
Floats = npt.NDArray[np.float32]

ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold
DENORMAL = np.float32(1e-45)
BEYOND_ZERO = np.nextafter(ZERO, np.float32(1))
AROUND_ZERO = [-BEYOND_ZERO, -ZERO, -DENORMAL, -0.0, 0.0, DENORMAL, ZERO, BEYOND_ZERO]


# By hand: one split, whose left leaf is 1 and right leaf is 2.


def leaf(value: float) -> Json:
    return {"leaf_value": value}


def split(
    threshold: float | str, *, missing: str = "None", default_left: bool = False, left: float = 1.0, right: float = 2.0
) -> Json:
    return {
        "split_feature": 1,
        "threshold": threshold,
        "decision_type": "==" if isinstance(threshold, str) else "<=",
        "missing_type": missing,
        "default_left": default_left,
        "left_child": leaf(left),
        "right_child": leaf(right),
    }


def booster(*trees: Json) -> Json:
    tree_info = [{"tree_structure": tree} for tree in trees]
    return {"num_tree_per_iteration": 1, "average_output": False, "max_feature_idx": 1, "tree_info": tree_info}


def open_session(nodes: list[NodeProto], *, n_features: int, outputs: Sequence[str]) -> ort.InferenceSession:
    features = make_tensor_value_info("features", TensorProto.FLOAT, ["n", n_features])
    scores = [make_tensor_value_info(output, TensorProto.FLOAT, ["n", 1]) for output in outputs]
    opsets = [make_opsetid("", 21), make_opsetid("ai.onnx.ml", 5)]
    model = make_model(make_graph(nodes, "test", [features], scores), opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options)


def score(dump: Json, rows: Floats) -> Floats:
    nodes = tree_ensemble(dump, features="features", output="score")
    session = open_session(nodes, n_features=rows.shape[1], outputs=["score"])
    scores: Floats = session.run(["score"], {"features": rows})[0]
    assert scores.shape == (len(rows), 1)
    return scores[:, 0]


def column(values: Sequence[float | np.float32]) -> Floats:
    """``values`` as the second of two features; the first is a decoy."""
    return np.array([(7.0, value) for value in values], np.float32)


def sides(tree: Json, values: Sequence[float | np.float32]) -> str:
    return "".join({1.0: "L", 2.0: "R"}[float(side)] for side in score(booster(tree), column(values)))


def test_a_threshold_is_not_rounded_to_float32() -> None:
    nearest = np.float32(0.1)
    below = np.nextafter(nearest, np.float32(0))
    assert float(below) < 0.1 < float(nearest)  # rounded to nearest, the threshold would send ``nearest`` left
    assert sides(split(0.1), [below, nearest]) == "LR"


@pytest.mark.parametrize("threshold", [0.0, float(ZERO), 1e-40])
def test_all_that_lightgbm_reads_as_zero_is_at_most_zero(threshold: float) -> None:
    assert sides(split(threshold), AROUND_ZERO) == "LLLLLLLR"


@pytest.mark.parametrize("threshold", [-float(ZERO), -1e-40])
def test_nothing_that_lightgbm_reads_as_zero_is_below_zero(threshold: float) -> None:
    assert sides(split(threshold), AROUND_ZERO) == "LRRRRRRR"


def test_zero_as_missing_goes_the_default_way() -> None:
    assert sides(split(5.0, missing="Zero", default_left=False), AROUND_ZERO) == "LRRRRRRL"
    assert sides(split(-5.0, missing="Zero", default_left=True), AROUND_ZERO) == "RLLLLLLR"


@pytest.mark.parametrize(
    ("missing", "default_left", "threshold", "side"),
    [
        ("NaN", True, -1.0, "L"),
        ("NaN", False, 1.0, "R"),
        ("Zero", True, -1.0, "L"),
        ("Zero", False, 1.0, "R"),
        ("None", False, 1.0, "L"),  # read as 0.0, whatever the default
        ("None", True, -1.0, "R"),
    ],
)
def test_nan_goes_where_lightgbm_sends_it(missing: str, default_left: bool, threshold: float, side: str) -> None:
    assert sides(split(threshold, missing=missing, default_left=default_left), [np.nan]) == side


def test_infinity_passes_a_threshold_that_float32_cannot_hold() -> None:
    values = [-np.inf, -3e38, 3e38, np.inf]
    assert sides(split(-1e39), values) == "LRRR"
    assert sides(split(1e39), values) == "LLLR"


@pytest.mark.parametrize("missing", ["NaN", "Zero"])
def test_an_infinite_threshold_parts_what_is_missing_from_all_else(missing: str) -> None:
    as_dumped = 1e300
    assert sides(split(as_dumped, missing=missing), [-np.inf, 3e38, np.inf, np.nan]) == "LLLR"


@pytest.mark.parametrize("codes", ["0", "0||2", "0||2||30", "0||2||31", "0||2||5000"])
def test_a_category_is_the_integer_part_of_a_value(codes: str) -> None:
    assert sides(split(codes), [-2.0, -1.0, -0.99, -0.0, 0.0, DENORMAL, 0.99, 1.0, 3.0]) == "RRLLLLLRR"
    assert sides(split(codes), [1.99, 2.0, 2.99]) == ("RRR" if codes == "0" else "RLL")
    assert sides(split(codes), [np.nan, np.inf, -np.inf, 2.0**31, 2.0**33, 3e38]) == "RRRRRR"


def test_a_category_that_float32_cannot_hold_matches_no_value() -> None:
    assert sides(split("16777217"), [16777216.0, 16777218.0]) == "RR"


def test_one_feature_may_be_missing_in_three_ways_and_a_category() -> None:
    trees = (
        split(5.0, missing="NaN", left=1, right=2),
        split(5.0, missing="Zero", left=10, right=20),
        split(5.0, missing="None", left=100, right=200),
        split("0||6", left=1000, right=2000),
        split("1||40", left=10000, right=20000),
    )
    assert score(booster(*trees), column([np.nan, 0.0, 1.0, 6.0])).tolist() == [22122, 21121, 12111, 21222]


def test_a_tree_of_one_leaf_is_a_constant() -> None:
    dump = booster(leaf(0.25), split(0.0), leaf(8.0), split(0.0, left=10, right=20), leaf(0.5))
    assert score(dump, column([-1.0, 1.0, np.nan])).tolist() == [19.75, 30.75, 19.75]


def test_a_booster_without_trees_scores_zero() -> None:
    assert score(booster(), column([-1.0, np.nan])).tolist() == [0.0, 0.0]


def test_one_graph_holds_several_boosters() -> None:
    boosters = {"a": booster(split(1.0, missing="Zero")), "b": booster(split("3")), "c": booster(leaf(5.0))}
    nodes = [node for name, dump in boosters.items() for node in tree_ensemble(dump, features="features", output=name)]
    session = open_session(nodes, n_features=2, outputs=[*boosters])
    a, b, c = session.run([*boosters], {"features": column([0.5, 3.0])})
    assert (a[:, 0].tolist(), b[:, 0].tolist(), c[:, 0].tolist()) == ([1.0, 2.0], [2.0, 1.0], [5.0, 5.0])


@pytest.mark.parametrize(
    ("dump", "reason"),
    [
        (booster() | {"num_tree_per_iteration": 3}, "1 output, got 3"),
        (booster() | {"average_output": True}, "random forest"),
        (booster({"leaf_value": 1.0, "leaf_const": 1.0}), "linear"),
        (booster(split(1.0, missing="Infinity")), "'<=', 'Infinity'"),
        (booster({**split(1.0), "decision_type": ">"}), "'>', 'None'"),
    ],
)
def test_a_booster_that_cannot_be_repeated_is_refused(dump: Json, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        tree_ensemble(dump, features="features", output="score")


# Against LightGBM.

SPECIAL = [np.nan, np.inf, -np.inf, *AROUND_ZERO, 0.5, -0.5, 1.5, 30.5, 3e38, -3e38, 2.0**31, 2.0**33]
COLUMNS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "negative": lambda rng, n: -rng.exponential(size=n),
    "wide": lambda rng, n: np.exp(20 * rng.normal(size=n)),
    "small": lambda rng, n: 10.0 ** rng.integers(-45, -30, n) * rng.choice([-1, 1], n),
    "around zero": lambda rng, n: rng.choice([*AROUND_ZERO, 0.1], n),
    "infinite": lambda rng, n: rng.choice([-np.inf, -1, 0, 2, np.inf], n),
    "counts": lambda rng, n: rng.integers(-3, 4, n),
    "categories to 30": lambda rng, n: rng.integers(0, 31, n),
    "categories to 100": lambda rng, n: rng.integers(0, 11, n) * 10,
    "categories to 50,000": lambda rng, n: rng.integers(0, 6, n) * 10_000,
}


@st.composite
def boosters(draw: st.DrawFn) -> lgb.Booster:
    """Boosters of a few features and few rows: every leaf may hold one row, so that thresholds are many and odd."""
    kinds = draw(st.lists(st.sampled_from([*COLUMNS]), min_size=1, max_size=4))
    n_rows = draw(st.sampled_from([5, 20, 100]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    features = np.column_stack([COLUMNS[kind](rng, n_rows) for kind in kinds]).astype(np.float64)
    features[rng.random(features.shape) < draw(st.sampled_from([0.0, 0.2]))] = np.nan
    features[rng.random(features.shape) < draw(st.sampled_from([0.0, 0.2]))] = 0.0
    target = np.arctan(np.nan_to_num(features)).sum(axis=1) + np.isnan(features).sum(axis=1) + rng.normal(size=n_rows)
    categorical = [place for place, kind in enumerate(kinds) if kind.startswith("categories")]
    parameters = {
        "objective": draw(st.sampled_from(["binary", "regression"])),
        "boosting": draw(st.sampled_from(["gbdt", "dart"])),
        "num_leaves": draw(st.sampled_from([2, 4, 31])),
        "learning_rate": draw(st.sampled_from([0.1, 1.0])),
        "zero_as_missing": draw(st.booleans()),
        "use_missing": draw(st.sampled_from([True, True, False])),
        "monotone_constraints": [0 if i in categorical else draw(st.integers(-1, 1)) for i in range(len(kinds))],
        "max_cat_to_onehot": draw(st.sampled_from([1, 4])),
        **dict.fromkeys(("min_data_in_leaf", "min_data_in_bin", "min_data_per_group", "num_threads"), 1),
        "cat_smooth": 0.0,
        "verbosity": -1,
    }
    if parameters["objective"] == "binary":
        target = (target > np.median(target)).astype(np.float64)
    data = lgb.Dataset(features, target, categorical_feature=categorical, params=parameters)
    return lgb.train(parameters, data, num_boost_round=draw(st.sampled_from([1, 3, 20])))


def splits(node: Json) -> Iterator[Json]:
    if "split_feature" in node:
        yield node
        yield from splits(node["left_child"])
        yield from splits(node["right_child"])


@np.errstate(over="ignore")
def rows_on_the_edges(dump: Json, rng: np.random.Generator) -> Floats:
    """Rows that hold, per feature, the special values and each threshold, with its neighbours in float32."""
    values = [[*SPECIAL] for _ in range(dump["max_feature_idx"] + 1)]
    for tree in dump["tree_info"]:
        for node in splits(tree["tree_structure"]):
            edges = np.array(str(node["threshold"]).split("||"), np.float64).astype(np.float32)
            for near in (edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))):
                values[node["split_feature"]] += near.tolist()
    n_rows = 2 * max(map(len, values))
    columns = [rng.permutation(np.resize(np.array(column, np.float32), n_rows)) for column in values]
    return np.column_stack(columns)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(boosters(), st.integers(0, 2**32 - 1))
def test_a_random_booster_scores_as_lightgbm_does(native: lgb.Booster, seed: int) -> None:
    dump = native.dump_model()
    rows = rows_on_the_edges(dump, np.random.default_rng(seed))
    # half a unit in the last place of float32: nothing is lost but the last rounding
    np.testing.assert_allclose(score(dump, rows), native.predict(rows, raw_score=True), rtol=2**-24, atol=1e-12)


def test_the_number_of_trees_does_not_add_to_the_error() -> None:
    rng = np.random.default_rng(7)
    features = rng.normal(size=(4_000, 30)).astype(np.float32)
    target = rng.random(4_000) < 1 / (1 + np.exp(-3 * features[:, 0] * features[:, 1] - features[:, 2]))
    parameters = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "num_threads": 1}
    native = lgb.train(parameters, lgb.Dataset(features, target), num_boost_round=300)
    dump = native.dump_model()
    rows = np.concatenate([features, rows_on_the_edges(dump, rng)])
    probability = 1 / (1 + np.exp(-score(dump, rows).astype(np.float64)))
    # a float32 raw score x is off by at most |x| / 2**24, and |x| times the sigmoid's slope at x is under 0.23
    assert np.abs(probability - native.predict(rows)).max() < 0.23 / 2**24


def test_a_row_scores_the_same_alone_as_in_a_crowd() -> None:
    rng = np.random.default_rng(8)
    features = rng.normal(size=(500, 5)).astype(np.float32)
    native = lgb.train({"verbosity": -1, "num_threads": 1}, lgb.Dataset(features, features.sum(axis=1)), 100)
    nodes = tree_ensemble(native.dump_model(), features="features", output="score")
    session = open_session(nodes, n_features=5, outputs=["score"])
    alone = [session.run(None, {"features": row[None]})[0] for row in features]
    np.testing.assert_array_equal(np.concatenate(alone), session.run(None, {"features": features})[0])
