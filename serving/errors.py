"""What can go wrong, and the only place that turns it into HTTP: RFC 9457 problems that never echo what was sent."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request

MEDIA_TYPE: Final = "application/problem+json"
BYTE_ORDER_MARK: Final = "a byte order mark stands before the JSON: leave it out"
NAMED_TWICE: Final = "a property is named twice"
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


class RateLimitedError(ServingError):
    """The key asks faster than it may: send less, or ask for a higher limit."""

    code = "rate_limited"
    status = 429
    title = "Too many requests with this key"
    retry_after_s = 1


class TooManySignInsError(RateLimitedError):
    """More people sign in at once than can be looked at: try again soon."""

    title = "Too many sign in at once"
    retry_after_s = 2


class NoModelError(ServingError):
    """No model is live for this: release one, or try again soon."""

    code = "no_model"
    status = 503
    title = "No model is live"
    retry_after_s = 5


class NotReadyError(ServingError):
    """Something that scoring needs does not answer: try again soon."""

    code = "not_ready"
    status = 503
    title = "The server is not ready"
    retry_after_s = 1


class StoreError(ServingError):
    """A store can't do its work now: try again soon."""

    code = "store_unavailable"
    status = 503
    title = "A store can't be reached"
    retry_after_s = 1


class SettingsError(ServingError):
    """The settings can't be used: change them, and start again."""


class ReadOnlyStoreError(StoreError):
    """A store takes no writes from here, as after a failover: another server may do better."""


class UnfitStoreError(StoreError):
    """A store can never do its work as it is set up: change its settings, or name another."""


class StoreInUseError(StoreError):
    """Another server has this database: stop it, or use another."""


class BusyError(ServingError):
    """As much waits for this as may: try again soon."""

    code = "busy"
    status = 503
    title = "Too much is asked for at once"
    retry_after_s = 1


class BadRequestError(ServingError):
    """The request is no HTTP or JSON that can be read."""

    code = "bad_request"
    status = 400
    title = "The request can't be read"


class NotFoundError(ServingError):
    """No route, or nothing kept, has this path."""

    code = "not_found"
    status = 404
    title = "There is nothing here"


class ConflictError(ServingError):
    """What is asked for does not fit what is: look at how things stand, and ask again."""

    code = "conflict"
    status = 409
    title = "This does not fit the present state"


class ErasedUserError(ServingError):
    """The user was erased, for good: a person who comes back comes under another id."""

    code = "erased_user"
    status = 410
    title = "This user was erased"


class MethodNotAllowedError(ServingError):
    """The route is for other methods: see the header Allow."""

    code = "method_not_allowed"
    status = 405
    title = "This method is not allowed here"


class BodyTooLargeError(ServingError):
    """The body is above the limit: send less at a time."""

    code = "body_too_large"
    status = 413
    title = "The body is too large"


class TimedOutError(ServingError):
    """The request did not come whole in time: send it again, faster."""

    code = "timed_out"
    status = 408
    title = "The request took too long to come"


class HeadersTooLargeError(ServingError):
    """The headers are above the limit: send less in them."""

    code = "headers_too_large"
    status = 431
    title = "The headers are too large"


class UnsupportedMediaTypeError(ServingError):
    """The body is in a form that is not read here: send another, and say in the headers which it is."""

    code = "unsupported_media_type"
    status = 415
    title = "The body has a type or an encoding that is not read here"


_BY_STATUS: Final = {
    kind.status: kind for kind in (BadRequestError, NotFoundError, MethodNotAllowedError, BodyTooLargeError)
}


FORESEEN: Final = (ServingError, RequestValidationError, HTTPException)
"""The errors that tell a caller something; any other is a mistake of ours."""


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """The problem that an error is to the caller; one not foreseen is a 500 that says nothing about it.

    Below ``/v2`` it is the ``{"error": ...}`` of the Open Inference Protocol instead.
    """
    known = known_error(error)
    if f"{request.scope['path']}/".startswith("/v2/"):
        return JSONResponse({"error": known.detail or known.title}, known.status, _headers(request, known, error))
    problem = problem_of(known, request.state.call.request_id)
    return JSONResponse(problem, known.status, _headers(request, known, error), MEDIA_TYPE)


def problem_of(error: ServingError, request_id: str) -> dict[str, Any]:
    """An error as JSON values (RFC 9457)."""
    return {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail or error.title,
        "request_id": request_id,
        "errors": [asdict(one) for one in error.errors],
    }


def known_error(error: Exception) -> ServingError:
    """An error as one of ours; what nobody foresaw is a ``ServingError`` that says nothing about it."""
    match error:
        case ServingError():
            return error
        case RequestValidationError():
            found = error.errors()
            detail = f"parts of the request that are not valid: {len(found)}"
            return InvalidError(detail, errors=[field_problem(one) for one in found[:_N_SHOWN]])
        case HTTPException():
            return _BY_STATUS.get(error.status_code, BadRequestError)()
        case _:
            return ServingError()


def _headers(request: Request, known: ServingError, error: Exception) -> dict[str, str]:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(known, MethodNotAllowedError):
        headers["Allow"] = _allowed(request)
    if known.retry_after_s:
        headers["Retry-After"] = str(known.retry_after_s)
    if isinstance(known, UnauthenticatedError):
        headers["WWW-Authenticate"] = "APIKey"
    return headers


def _allowed(request: Request) -> str:
    """The methods of all routes with this path: the framework names only the first's."""
    path = getattr(request.scope.get("route"), "path", None)
    routes = [one for one in iter_route_contexts(request.app.routes) if one.path == path]
    methods = {method for one in routes for method in one.methods or ()}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def field_problem(error: dict[str, Any]) -> FieldProblem:
    """A validation error by its place and rule; a property that the schema doesn't know is not named, its parent is."""
    where, *path = error["loc"]
    path = path[:-2] if path[-1:] == ["[key]"] else path
    if error["type"] == "json_invalid":
        why = error.get("ctx", {}).get("error")
        detail = why if why in (BYTE_ORDER_MARK, NAMED_TWICE) else "the body is not JSON"
        return FieldProblem("", "json_invalid", detail)
    if error["type"] == "extra_forbidden":
        path, detail = path[:-1], "has a property that the schema does not know"
    else:
        detail = error["msg"]
    return FieldProblem(json_pointer(path if where == "body" else [where, *path]), error["type"], detail)


def json_pointer(steps: Iterable[str | int]) -> str:
    """RFC 6901's pointer along these steps."""
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
    return pointer.encode(errors="replace").decode()
