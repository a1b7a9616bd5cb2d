"""A graph is opened and run only as its contract says, and trusted only once it repeats its golden examples."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle import GOLDEN, MODEL, Bundle, Golden
from models.contract import Contract, Tensor
from models.errors import BundleError, ContractError
from models.runtime import OnnxRunner, open_session, verify_golden

PAIRS = (None, 2)


def graph(op: str) -> bytes:
    """Y = op(x), of float32 pairs."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
    made = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "one", [x], [y])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def bundle() -> Callable[..., Bundle]:
    """A bundle of one operator, ``Abs`` unless told otherwise; tensors, files and golden output can be chosen."""

    def make(
        op: str = "Abs",
        *,
        x: Tensor | None = None,
        y: Tensor | None = None,
        golden: Golden | None = None,
        files: dict[str, bytes] | None = None,
    ) -> Bundle:
        contract = Contract("task", (x or Tensor("x", "float32", PAIRS),), (y or Tensor("y", "float32", PAIRS),))
        examples = golden or Golden({"x": row(-1, 4)}, {"y": row(1, 4)})
        return Bundle("0" * 64, contract, {MODEL: graph(op), GOLDEN: examples.encode()} if files is None else files)

    return make


def row(*values: float) -> npt.NDArray[np.float32]:
    return np.array([values], np.float32)


def test_outputs_come_by_name(bundle: Callable[..., Bundle]) -> None:
    assert OnnxRunner(bundle()).run({"x": row(-2, 3)})["y"].tolist() == [[2, 3]]


def with_file(place: str, location: str) -> bytes:
    """Gives 6 bytes that a file holds, as an initializer, a constant, or an initializer of a branch."""
    held = TensorProto(name="held", data_type=TensorProto.UINT8, dims=[6], data_location=TensorProto.EXTERNAL)
    held.external_data.add(key="location", value=location)
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, [6])
    give = helper.make_node("Identity", ["held"], ["y"])
    if place == "constant":
        constant = helper.make_node("Constant", [], ["held"], value=held)
        made = helper.make_graph([constant, give], "one", [], [y])
    elif place == "branch":
        branch = helper.make_graph([give], "branch", [], [y], [held])
        yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
        choose = helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
        z = helper.make_tensor_value_info("z", TensorProto.UINT8, [6])
        made = helper.make_graph([choose], "one", [], [z], [yes])
    else:
        made = helper.make_graph([give], "one", [], [y], [held])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.mark.parametrize("place", ["initializer", "constant", "branch"])
@pytest.mark.parametrize("location", ["secret", "../{here}/secret", "{folder}/secret"])
def test_a_graph_that_takes_its_weights_from_a_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, location: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    monkeypatch.chdir(tmp_path)
    graph_of_a_file = with_file(place, location.format(here=tmp_path.name, folder=tmp_path))
    with pytest.raises(BundleError, match="can't be loaded"):
        open_session(graph_of_a_file)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": np.zeros((1, 2))}, r"x is float64\[1, 2\], expected float32\[None, 2\]"),
        ({"x": np.zeros((1, 3), np.float32)}, r"x is float32\[1, 3\]"),
        ({"x": np.zeros(2, np.float32)}, r"x is float32\[2\]"),
        ({}, r"the inputs are \[\], expected \['x'\]"),
        ({"x": row(1, 2), "z": row(1, 2)}, r"the inputs are \['x', 'z'\]"),
    ],
)
def test_other_inputs_than_the_contracts_are_refused(
    bundle: Callable[..., Bundle], inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        OnnxRunner(bundle()).run(inputs)


@pytest.mark.parametrize(
    "tensors",
    [
        {"x": Tensor("features", "float32", PAIRS)},
        {"x": Tensor("x", "float64", PAIRS)},
        {"x": Tensor("x", "float32", (None, 3))},
        {"y": Tensor("y", "int64", PAIRS)},
        {"y": Tensor("y", "float32", (2,))},
    ],
)
def test_a_graph_with_other_tensors_than_the_contracts_is_refused(
    bundle: Callable[..., Bundle], tensors: dict[str, Tensor]
) -> None:
    with pytest.raises(ContractError, match=r"the graph's (in|out)puts are"):
        OnnxRunner(bundle(**tensors))


@pytest.mark.parametrize(
    ("files", "message"), [({}, "no model.onnx"), ({MODEL: b""}, "can't be loaded"), ({MODEL: b"\x08"}, "be loaded")]
)
def test_what_is_no_graph_is_refused(bundle: Callable[..., Bundle], files: dict[str, bytes], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        OnnxRunner(bundle(files=files))


def verify(made: Bundle) -> None:
    verify_golden(OnnxRunner(made), made)


def test_golden_examples_may_differ_by_their_tolerance(bundle: Callable[..., Bundle]) -> None:
    verify(bundle(golden=Golden({"x": row(-1, 4)}, {"y": row(1, 4.25)}, tolerance=0.25)))


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (Golden({"x": row(-1, 4)}, {"y": row(1, 4.5)}), r"y is off by 0.5, allowed 1e-05"),
        (Golden({"x": row(-1, 4)}, {"y": row(1, np.nan)}), r"y is off by nan"),
        (Golden({"x": row(-1, 4)}, {"y": row(1, 4, 5)}), r"y has shape \(1, 2\), expected \(1, 3\)"),
        (Golden({"x": row(-1, 4)}, {}), r"y has shape \(1, 2\)"),
        (Golden({"x": np.empty((0, 2), np.float32)}, {"y": np.empty((0, 2), np.float32)}), "not empty"),
    ],
)
def test_golden_examples_that_prove_nothing_or_fail_are_refused(
    bundle: Callable[..., Bundle], golden: Golden, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        verify(bundle(golden=golden))


def test_a_graph_that_answers_nan_is_refused(bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(BundleError, match="y holds NaN or infinity"):
        verify(bundle("Log"))  # of -1


def test_many_threads_may_ask_one_runner(bundle: Callable[..., Bundle]) -> None:
    runner = OnnxRunner(bundle())
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda n: runner.run({"x": row(-n, n)})["y"].tolist(), range(500))
    assert list(answers) == [[[n, n]] for n in range(500)]
