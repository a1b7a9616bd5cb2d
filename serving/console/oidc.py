"""Signing in with the organisation's account: to the identity provider, and back."""

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.acting import ActorKind
from serving.console.pages import HEADERS, cookie_name, failed, forget_cookie, keep_cookie, language_of
from serving.console.refusals import refusal
from serving.console.routing import PageRoute
from serving.console.signing import home_of, place, with_session
from serving.deps import act_in, services_of
from serving.errors import ForbiddenError, NotFoundError, NotReadyError, ServingError

if TYPE_CHECKING:
    from serving.oidc import IdentityProvider  # it needs more than is installed where nobody signs in this way

ATTEMPT_COOKIE: Final = "mingjian_oidc"
_PATH: Final = "/console/oidc"
_ATTEMPT_S: Final = 600


async def leave(request: Request) -> Response:
    """To the provider; the browser keeps what the way back needs."""
    try:
        url, kept = await _provider(request).begin()
    except ServingError as error:
        return _failed(request, error)
    answer = RedirectResponse(url, 303, HEADERS)
    value = urlencode({**kept, "path": place(request.query_params.get("path", ""))})
    keep_cookie(request, answer, ATTEMPT_COOKIE, value, path=_PATH, max_age=_ATTEMPT_S)
    return answer


async def come_back(request: Request) -> Response:
    """From the provider, which says who it is."""
    act_in(request, ActorKind.ANONYMOUS)
    asked = request.query_params
    kept = dict(parse_qsl(request.cookies.get(cookie_name(request, ATTEMPT_COOKIE), "")))
    try:
        identity = await _provider(request).finish(kept, state=asked.get("state", ""), code=asked.get("code", ""))
        signed_in = await services_of(request).reviewers.sign_in_as(identity)
    except ServingError as error:
        answer = _failed(request, error)
    else:
        answer = with_session(
            request, RedirectResponse(place(kept.get("path", ""), home=home_of(signed_in.who)), 303, HEADERS), signed_in
        )
    forget_cookie(request, answer, ATTEMPT_COOKIE, path=_PATH)
    return answer


def _provider(request: Request) -> "IdentityProvider":
    provider = services_of(request).identity_provider
    if provider is None:
        raise NotFoundError("no identity provider is set")
    return provider


def _failed(request: Request, error: ServingError) -> Response:
    """The page that says why nobody was signed in, in the language that was chosen."""
    said = language_of(request)
    if isinstance(error, ForbiddenError):
        refused = said.say("单位账号没有登录成功：它不在审核人员之列、已停用，或登录没有完成。请联系管理员。")
        error = ForbiddenError(f"{refused} ({refusal(said, error)})")
    elif isinstance(error, NotReadyError):
        error = NotReadyError(said.say("单位的身份服务没有应答，请稍后再试。"))
    return failed(request, error)


ROUTES: Final = [
    PageRoute(_PATH, leave, methods=["GET"]),
    PageRoute(f"{_PATH}/callback", come_back, methods=["GET"]),
]
