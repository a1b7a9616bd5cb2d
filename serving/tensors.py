"""Tensors as the Open Inference Protocol writes them: in JSON, or in bytes behind it (Triton's extension)."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from types import NoneType
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic.config import JsonDict
from pydantic_core import to_json

from features.user import CHURN_FEATURES
from models.bundle import Arrays
from models.contract import Contract, Tensor
from serving.errors import BadRequestError, json_pointer
from serving.json_body import load_json

MAX_ROWS: Final = 1_000

_DATATYPES: Final = {"float32": "FP32", "float64": "FP64", "int64": "INT64"}
_OF_ARRAY: Final = {np.dtype(name): datatype for name, datatype in _DATATYPES.items()}
_KINDS: Final[Mapping[str, set[type]]] = {
    "float32": {float, int, NoneType},
    "float64": {float, int, NoneType},
    "int64": {int},
}

_EXAMPLE: Final[JsonDict] = {
    "id": "1",
    "inputs": [
        {
            "name": "features",
            "shape": [1, len(CHURN_FEATURES)],
            "datatype": "FP32",
            "data": [2.5, 400, 120, 3, 14, 31, 9.6, 840, 77, None, None],
        }
    ],
}
"""For a model that reads what every churn model reads, and nothing more."""

Size = Annotated[int, Strict(), Field(ge=0)]
Switch = Annotated[bool, Strict()]


class Parameters(BaseModel):
    """Frozen, for pydantic copies a default that could change, for each request."""

    model_config = ConfigDict(frozen=True)


class InputParameters(Parameters):
    """What the binary data extension says of an input; other parameters are ignored."""

    binary_data_size: Size | None = Field(
        default=None, description="How many of the bytes behind the JSON are this tensor."
    )


class OutputParameters(Parameters):
    """What the binary data extension says of an output; other parameters are ignored."""

    binary_data: Switch | None = Field(
        default=None, description="Whether to answer this tensor as bytes behind the JSON."
    )


class RequestParameters(Parameters):
    """What the binary data extension says of a request; other parameters are ignored."""

    binary_data_output: Switch = Field(
        default=False, description="Whether to answer every tensor as bytes behind the JSON."
    )


class InferInput(BaseModel):
    """A tensor to infer on."""

    name: str
    shape: list[Size] = Field(min_length=1, max_length=8)
    datatype: str
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = Field(
        default=None, description="Row by row, flat or nested; null where a float is missing."
    )


class InferOutput(BaseModel):
    """A tensor to answer."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferRequest(BaseModel):
    """Tensors in, and which to give back (all, unless named)."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: str | None = Field(default=None, max_length=128)
    parameters: RequestParameters = RequestParameters()
    inputs: list[InferInput] = Field(min_length=1, max_length=64)
    outputs: list[InferOutput] = Field(default_factory=list, max_length=64, json_schema_extra={"default": []})


class Framed(NamedTuple):
    """A body: JSON, and how long it is where bytes of tensors follow it."""

    body: bytes
    n_json: int | None


def read_request(framed: Framed) -> tuple[InferRequest, bytes]:
    """The request, and the bytes behind it; BadRequestError for what is none."""
    n_json = len(framed.body) if framed.n_json is None else framed.n_json
    if n_json > len(framed.body):
        raise BadRequestError("the JSON is said to be longer than the body")
    try:
        asked = InferRequest.model_validate(load_json(framed.body[:n_json]))
    except ValidationError as error:
        found = "; ".join(f"{json_pointer(one['loc'])}: {one['msg']}" for one in error.errors()[:20])
        raise BadRequestError(f"not an inference request: {found}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    return asked, framed.body[n_json:]


def read_inputs(asked: InferRequest, behind: bytes, contract: Contract) -> dict[str, npt.NDArray[Any]]:
    """The arrays that a model of this contract takes; BadRequestError where they don't fit it."""
    expected = {tensor.name: tensor for tensor in contract.inputs}
    if sorted(given.name for given in asked.inputs) != sorted(expected):
        raise BadRequestError(f"this model's inputs are {', '.join(expected)}")
    arrays, start = {}, 0
    for given in asked.inputs:
        tensor, n_bytes = expected[given.name], given.parameters.binary_data_size
        _require_fit(given, tensor, n_rows=asked.inputs[0].shape[0])
        if n_bytes is None:
            array = _of_json(given.data or [], tensor, given.shape)
        else:
            array = _of_bytes(behind[start : start + n_bytes], tensor, prod(given.shape))
            start += n_bytes
        if np.count_nonzero(np.isinf(array)):
            raise BadRequestError(f"input {tensor.name} holds a number that {_DATATYPES[tensor.dtype]} can't")
        arrays[tensor.name] = array.reshape(given.shape)
    if start != len(behind):
        raise BadRequestError("the inputs' binary_data_size don't add up to the bytes behind the JSON")
    return arrays


def require_outputs(asked: InferRequest, contract: Contract) -> None:
    """BadRequestError for an output that the model doesn't have."""
    known = [tensor.name for tensor in contract.outputs]
    if not {one.name for one in asked.outputs} <= set(known):
        raise BadRequestError(f"this model's outputs are {', '.join(known)}")


def write_answer(asked: InferRequest, arrays: Arrays, head: Mapping[str, Any]) -> Framed:
    """The answer: ``head``, the request's id, and its outputs; null for a number that JSON can't write."""
    outputs, behind = [], []
    for one in asked.outputs or [InferOutput(name=name) for name in arrays]:
        array, as_bytes = arrays[one.name], one.parameters.binary_data
        output = {"name": one.name, "datatype": _OF_ARRAY[array.dtype], "shape": array.shape}
        if asked.parameters.binary_data_output if as_bytes is None else as_bytes:
            behind.append(array.tobytes())
            outputs.append({**output, "parameters": {"binary_data_size": array.nbytes}})
        else:
            outputs.append({**output, "data": array.ravel().tolist()})
    answer = {**head, **({} if asked.id is None else {"id": asked.id}), "outputs": outputs}
    encoded = to_json(answer, inf_nan_mode="null")
    return Framed(b"".join([encoded, *behind]), len(encoded) if behind else None)


def describe(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    """A contract's tensors for metadata; a size that may vary is -1."""
    return [
        {
            "name": tensor.name,
            "datatype": _DATATYPES[tensor.dtype],
            "shape": [-1 if n is None else n for n in tensor.shape],
        }
        for tensor in tensors
    ]


def _require_fit(given: InferInput, tensor: Tensor, *, n_rows: int) -> None:
    [expected] = describe([tensor])
    fits = len(given.shape) == len(tensor.shape) and all(
        known in (None, n) for n, known in zip(given.shape, tensor.shape, strict=True)
    )
    if given.datatype != expected["datatype"] or not fits:
        raise BadRequestError(f"input {tensor.name} must be {expected['datatype']} of shape {expected['shape']}")
    if not 1 <= n_rows <= MAX_ROWS or given.shape[0] != n_rows:
        raise BadRequestError(f"inputs must have the same number of rows, 1 to {MAX_ROWS}")


def _of_json(data: list[Any], tensor: Tensor, shape: Sequence[int]) -> npt.NDArray[Any]:
    values = _unnested(data, shape) if list in map(type, data) else data
    if values is None or len(values) != prod(shape) or not {*map(type, values)} <= _KINDS[tensor.dtype]:
        raise BadRequestError(f"input {tensor.name} needs numbers in data, flat or nested just as its shape says")
    try:
        with np.errstate(over="ignore"):
            return np.array(values, np.int64 if tensor.dtype == "int64" else np.float64).astype(tensor.dtype)
    except OverflowError as error:
        raise BadRequestError(f"input {tensor.name} holds a number that {_DATATYPES[tensor.dtype]} can't") from error


def _unnested(data: list[Any], shape: Sequence[int]) -> list[Any] | None:
    """The numbers of lists that are nested as a shape says; None for any others."""
    values: list[Any] = [data]
    for size in shape:
        if any(type(one) is not list or len(one) != size for one in values):
            return None
        values = list(chain.from_iterable(values))
    return values


def _of_bytes(data: bytes, tensor: Tensor, size: int) -> npt.NDArray[Any]:
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    if len(data) != size * dtype.itemsize:
        raise BadRequestError(f"input {tensor.name} needs as many bytes as its shape and datatype say")
    return np.frombuffer(data, dtype).astype(tensor.dtype, copy=False)
