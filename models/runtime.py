"""Runs a bundle's ONNX graph, checked against its contract."""

from collections.abc import Iterable
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.bundle import MODEL, Arrays, Bundle
from models.contract import Tensor
from models.errors import BundleError, ContractError

_FOLDER_OF_FILES: Final = "session.model_external_initializers_file_folder_path"
_DTYPES: Final = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}


class OnnxRunner:
    """A loaded graph; thread-safe, and one thread computes each call.

    Opening one raises BundleError for a graph that can't be loaded, ContractError where its tensors are not those of
    the contract.
    """

    def __init__(self, bundle: Bundle) -> None:
        if MODEL not in bundle.files:
            raise BundleError(f"no {MODEL} in the bundle")
        self._session = open_session(bundle.files[MODEL])
        self.contract = bundle.contract
        self._outputs = [tensor.name for tensor in self.contract.outputs]
        _require_same("inputs", self.contract.inputs, self._session.get_inputs())
        _require_same("outputs", self.contract.outputs, self._session.get_outputs())
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in self.contract.inputs}

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """The outputs by name; ContractError for inputs of other names, dtypes or shapes than the contract's."""
        if inputs.keys() != self._dtypes.keys():
            raise ContractError(f"the inputs are {sorted(inputs)}, expected {sorted(self._dtypes)}")
        for tensor in self.contract.inputs:
            array = inputs[tensor.name]
            if array.dtype != self._dtypes[tensor.name] or not _fits(array.shape, tensor.shape):
                raise ContractError(
                    f"input {tensor.name} is {array.dtype.name}{list(array.shape)}, "
                    f"expected {tensor.dtype}{list(tensor.shape)}"
                )
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


def verify_golden(runner: OnnxRunner, bundle: Bundle) -> None:
    """BundleError unless the graph gives the bundle's golden outputs for its golden inputs, and no NaN."""
    golden = bundle.golden
    for name, actual in runner.run(golden.inputs).items():
        if not np.isfinite(actual).all():
            raise BundleError(f"golden example: {name} holds NaN or infinity")
        expected = golden.outputs.get(name, np.empty(0))
        if actual.shape != expected.shape or not actual.size:
            raise BundleError(f"golden example: {name} has shape {actual.shape}, expected {expected.shape}, not empty")
        off = float(np.abs(actual - expected).max())
        if not off <= golden.tolerance:  # a NaN among the examples passes no bound
            raise BundleError(f"golden example: {name} is off by {off:.3g}, allowed {golden.tolerance:g}")


def open_session(graph: bytes, *, name: str = MODEL) -> ort.InferenceSession:
    """A graph, loaded; BundleError, which gives its name, for one that can't be.

    What a graph says that files hold of it is looked for in an empty folder: only verified bytes are ever loaded.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    with TemporaryDirectory() as empty:
        options.add_session_config_entry(_FOLDER_OF_FILES, empty)
        try:
            return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for each status code, with no common base
            raise BundleError(f"{name} can't be loaded: {str(error).splitlines()[0]}") from error


def _require_same(side: str, expected: Iterable[Tensor], actual: Iterable[Any]) -> None:
    named = [
        Tensor(arg.name, _DTYPES.get(arg.type, arg.type), tuple(n if isinstance(n, int) else None for n in arg.shape))
        for arg in actual
    ]
    if named != list(expected):
        raise ContractError(f"the graph's {side} are {named}, the contract's {list(expected)}")


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(b is None or a == b for a, b in zip(shape, expected, strict=True))
