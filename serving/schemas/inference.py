"""The Open Inference Protocol's answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class InferError(BaseModel):
    """Why a request was not met (Open Inference Protocol)."""

    error: str


class Live(BaseModel):
    """The process answers (Open Inference Protocol)."""

    live: bool


class Ready(BaseModel):
    """Everything that scoring needs answers (Open Inference Protocol)."""

    ready: bool


class ModelReady(Ready):
    """A live model."""

    name: str


class ServerMetadata(BaseModel):
    """The server, and what it understands beside the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorOut(BaseModel):
    """A tensor of a model; the first size, -1, is the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's live versions and tensors; ``parameters`` say what the columns of the tensors are."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorOut]
    outputs: list[TensorOut]
    parameters: dict[str, Any]


class InferTensor(TensorOut):
    """An inferred tensor, row by row; its ``data`` is missing where it lies in the bytes behind the JSON."""

    data: list[float | None] | None = None
    parameters: dict[str, int] | None = None


class InferAnswer(BaseModel):
    """What the model says of the rows."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferTensor]
