"""The OpenAPI document: FastAPI's, with every way in which a route can refuse or fail."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from serving.errors import (
    MEDIA_TYPE,
    BadRequestError,
    BodyTooLargeError,
    ErasedUserError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    NotReadyError,
    RateLimitedError,
    ServingError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
)
from serving.schemas.inference import InferError
from serving.schemas.problems import Problem
from serving.tensors import InferRequest

_REF: Final = "#/components/schemas/{model}"
_ADDED: Final[list[tuple[type[BaseModel], JsonSchemaMode]]] = [
    (Problem, "serialization"),
    (InferError, "serialization"),
    (InferRequest, "validation"),
]
_USER: Final = "/v1/users/{user_id}"
_NOTE: Final = "/v1/notes/{note_id}"
_FASTAPI_ONLY: Final = ("HTTPValidationError", "ValidationError")


class DescribedApi(FastAPI):
    """An app with such a document."""

    def openapi(self) -> dict[str, Any]:
        """The document; adding to it again changes nothing."""
        for route in self.routes:
            if isinstance(route, APIRoute):
                route.operation_id = route.name  # what generated clients call it
        document = super().openapi()
        schemas = document["components"]["schemas"]
        schemas.update(models_json_schema(_ADDED, ref_template=_REF)[1]["$defs"])
        for name in _FASTAPI_ONLY:
            schemas.pop(name, None)
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                _add_refusals(method, path, operation)
        return document


def _add_refusals(method: str, path: str, operation: dict[str, Any]) -> None:
    """Replace FastAPI's guess at what can go wrong by what does."""
    responses = operation["responses"]
    responses.pop("422", None)
    of_v2 = path.startswith("/v2")
    model, media_type = ("InferError", "application/json") if of_v2 else ("Problem", MEDIA_TYPE)
    content = {media_type: {"schema": {"$ref": _REF.format(model=model)}}}
    for kind in _refusals(method, path, operation):
        responses.setdefault(str(kind.status), {"description": kind.title, "content": content})
    responses["default"] = {"description": "Anything else that goes wrong", "content": content}


def _refusals(method: str, path: str, operation: dict[str, Any]) -> Iterator[type[ServingError]]:
    if "security" in operation:
        yield from (UnauthenticatedError, ForbiddenError, RateLimitedError, NotReadyError)
    if "requestBody" in operation:
        yield from (BadRequestError, BodyTooLargeError, UnsupportedMediaTypeError)
    if "requestBody" in operation or "parameters" in operation:
        yield InvalidError
    if path == "/v2/health/ready":
        yield NotReadyError
    if path.startswith("/v2/models") or (method, path) in (("get", _USER), ("get", _NOTE)):
        yield NotFoundError
    if (method, path) in (("put", _USER), ("put", _NOTE)):
        yield ErasedUserError
