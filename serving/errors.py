"""What can go wrong, and the only place that turns it into HTTP: RFC 9457 problems that never echo what was sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

MEDIA_TYPE: Final = "application/problem+json"
_N_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one part of a request, which a JSON pointer names."""

    pointer: str
    code: str
    detail: str


class ServingError(Exception):
    """A request that can't be met; each subclass is one kind of problem."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The server failed"
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, detail: str = "", *, errors: Sequence[FieldProblem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidError(ServingError):
    """The request breaks a rule that its schema can't express: change it."""

    code = "invalid"
    status = 422
    title = "The request is not valid"


class UnauthenticatedError(ServingError):
    """No key, or none that is in force: send one."""

    code = "unauthenticated"
    status = 401
    title = "A valid API key is needed"


class ForbiddenError(ServingError):
    """The key is good, for other things: use one with the scope."""

    code = "forbidden"
    status = 403
    title = "The API key does not allow this"


class NoModelError(ServingError):
    """No model is live for this: release one, or try again soon."""

    code = "no_model"
    status = 503
    title = "No model is live"
    retry_after_s = 5


class StoreError(ServingError):
    """A store can't do its work now: try again soon."""

    code = "store_unavailable"
    status = 503
    title = "A store can't be reached"
    retry_after_s = 1


class StoreInUseError(StoreError):
    """Another server has this database: stop it, or use another."""


_HTTP: Final = {
    400: ("bad_request", "The request can't be read"),
    404: ("not_found", "There is nothing here"),
    405: ("method_not_allowed", "This method is not allowed here"),
    413: ("body_too_large", "The body is too large"),
}


def _strings(*names: str) -> dict[str, Any]:
    return {name: {"type": "string"} for name in names}


PROBLEM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "code", "detail", "request_id", "errors"],
                    "properties": {
                        **_strings("type", "title", "code", "detail", "request_id"),
                        "status": {"type": "integer"},
                        "errors": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": _strings("pointer", "code", "detail"),
                            },
                        },
                    },
                },
                "example": {
                    "type": "/problems/no_model",
                    "title": "No model is live",
                    "status": 503,
                    "code": "no_model",
                    "detail": "no churn model has been released to this server",
                    "request_id": "3f2a9c0d5b7e4f16",
                    "errors": [],
                },
            }
        },
    }
}
"""What every route may answer instead, for the OpenAPI document."""


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """The problem that an error is to the caller; one not foreseen is a 500 that says nothing about it."""
    match error:
        case RequestValidationError():
            error = InvalidError(_summary(error), errors=[_field_problem(one) for one in error.errors()[:_N_SHOWN]])
        case HTTPException():
            code, title = _HTTP.get(error.status_code, ("http", "The request failed"))
            return _response(request, error.status_code, code, title, headers=error.headers)
    known = error if isinstance(error, ServingError) else ServingError()
    headers = {"Retry-After": str(known.retry_after_s)} if known.retry_after_s else {}
    if known.status == UnauthenticatedError.status:
        headers["WWW-Authenticate"] = "APIKey"
    return _response(
        request, known.status, known.code, known.title, detail=known.detail, errors=known.errors, headers=headers
    )


def _response(
    request: Request,
    status: int,
    code: str,
    title: str,
    *,
    detail: str = "",
    errors: Sequence[FieldProblem] = (),
    headers: Any = None,
) -> JSONResponse:
    problem = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request.state.call.request_id,
        "errors": [asdict(one) for one in errors],
    }
    return JSONResponse(problem, status, headers, MEDIA_TYPE)


def _summary(error: RequestValidationError) -> str:
    n = len(error.errors())
    return f"{n} parts of the request are not valid" if n > 1 else "a part of the request is not valid"


def _field_problem(error: dict[str, Any]) -> FieldProblem:
    """A validation error by its place and rule; a property that the schema doesn't know is not named, its parent is."""
    where, *path = error["loc"]
    if error["type"] == "json_invalid":
        return FieldProblem("", "json_invalid", "the body is not JSON")
    if error["type"] == "extra_forbidden":
        path, detail = path[:-1], "has a property that the schema does not know"
    else:
        detail = error["msg"]
    steps = path if where == "body" else [where, *path]
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
    return FieldProblem(pointer, error["type"], detail)
