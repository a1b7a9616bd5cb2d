"""Signing in and out, and the choice of language."""

import json
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.acting import ActorKind
from serving.console.languages import CHINESE, ENGLISH
from serving.console.pages import (
    HEADERS,
    LANGUAGE_COOKIE,
    FormRoute,
    Page,
    Pages,
    cookie_name,
    failed,
    forget_cookie,
    form_of,
    keep_cookie,
    language_of,
    rendered,
    session_cookie,
    sign_in_page,
    signing_in,
)
from serving.console.routing import PageRoute
from serving.deps import act_in, services_of
from serving.errors import ForbiddenError, ServingError
from serving.reviewers import SignedIn
from serving.store.reviewers import Permission, Reviewer

HOME: Final = "/console"
SESSION: Final = "mingjian_session"
_DEVICE: Final = "mingjian_device"
_SIGN_IN: Final = "/console/sign-in"
_YEAR_S: Final = 365 * 24 * 3600

PAGES: Final = Pages()


async def home(request: Request) -> Response:
    """To where a person's work begins."""
    try:
        found = await services_of(request).reviewers.session(request.cookies.get(session_cookie(request), ""))
    except ServingError as error:
        return failed(request, error)
    return RedirectResponse(home_of(found[1]) if found else _SIGN_IN, 303, HEADERS)


def home_of(who: Reviewer) -> str:
    """Where a person's work begins."""
    return "/console/reviews" if who.may(Permission.REVIEW) else "/console/overview"


async def sign_in(request: Request) -> Response:
    """The page to sign in on, and its form."""
    if request.method == "GET":
        return signing_in(request, {})
    act_in(request, ActorKind.ANONYMOUS)
    reviewers, device = services_of(request).reviewers, request.cookies.get(cookie_name(request, _DEVICE), "")
    try:
        form = await _form(request)
        try:
            signed_in = await reviewers.sign_in(form.get("name", ""), form.get("password", ""), device=device)
            device = await reviewers.device_token(signed_in.who)
        except ForbiddenError:
            again = {"path": form.get("path", ""), "form": form.get("form", "")}
            return sign_in_page(request, again, status=403, refused=True)
    except ServingError as error:
        return failed(request, error)
    answer = _onward(request, form, signed_in.csrf, home=home_of(signed_in.who))
    keep_cookie(request, answer, _DEVICE, device, path=_SIGN_IN, max_age=_YEAR_S)
    return with_session(request, answer, signed_in)


async def go_on(request: Request) -> Response:
    """On to what was asked for when the session had ended, for those who signed in again beside it."""
    try:
        form = await _form(request)
        found = await services_of(request).reviewers.session(request.cookies.get(session_cookie(request), ""))
    except ServingError as error:
        return failed(request, error)
    if found is None:
        return sign_in_page(request, {"path": form.get("path", ""), "form": form.get("form", "")}, status=401)
    return _onward(request, form, found[0].csrf, home=home_of(found[1]))


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in (await form_of(request)).items()}


def _onward(request: Request, form: Mapping[str, str], csrf: str, *, home: str) -> Response:
    """On to the path that a form names; if one was filled in there, by way of a page that shows it and sends it."""
    path = place(form.get("path", ""), home=home)
    if fields := _fields(form.get("form", "")):
        said = language_of(request)
        return rendered(request, said, "again.html", who=None, csrf=csrf, again_path=path, fields=fields)
    return RedirectResponse(path, 303, HEADERS)


def place(path: str, *, home: str = HOME) -> str:
    """A path in the console to go on to after signing in, where work begins where it is none."""
    inside = path.startswith("/console/") and "//" not in path and "\\" not in path
    return path if inside and not path.startswith((_SIGN_IN, "/console/oidc")) else home


def with_session(request: Request, answer: Response, signed_in: SignedIn) -> Response:
    """An answer that begins a session."""
    keep_cookie(request, answer, SESSION, signed_in.token, path=HOME)
    return answer


def _fields(written: str) -> dict[str, list[str]]:
    """The form that was filled in when the session had ended; empty for none, or one that this page did not write."""
    try:
        match json.loads(written):
            case dict(fields):
                return {str(name): [str(one) for one in own] for name, own in fields.items() if isinstance(own, list)}
    except ValueError:
        pass
    return {}


async def sign_out(request: Request) -> Response:
    """End the session."""
    try:
        await form_of(request)
        reviewers, token = services_of(request).reviewers, request.cookies.get(session_cookie(request), "")
        if found := await reviewers.session(token):
            act_in(request, ActorKind.PERSON, found[1].reviewer_id)
        await reviewers.sign_out(token)
    except ServingError as error:
        return failed(request, error)
    answer = RedirectResponse("/console/sign-in", 303, HEADERS)
    forget_cookie(request, answer, SESSION, path=HOME)
    return answer


@PAGES.page("/sign-out/everywhere", method="POST", needs=Permission.OWN)
async def sign_out_everywhere(page: Page) -> Response:
    """End all sessions of who asks."""
    await page.services.reviewers.sign_out_everywhere(page.who)
    answer = page.go(_SIGN_IN)
    forget_cookie(page.request, answer, SESSION, path=HOME)
    return answer


async def choose_language(request: Request) -> Response:
    """Change the language, and go back to where that was asked."""
    try:
        form = await _form(request)
    except ServingError as error:
        return failed(request, error)
    path = form.get("path", "")
    answer = RedirectResponse(path if path.startswith("/console/sign-in") else place(path), 303, HEADERS)
    chosen = ENGLISH if form.get("language") == ENGLISH else CHINESE
    secure = services_of(request).console_https
    answer.set_cookie(LANGUAGE_COOKIE, chosen, _YEAR_S, path=HOME, samesite="lax", httponly=True, secure=secure)
    return answer


ROUTES: Final = [
    PageRoute("/console", home, methods=["GET"]),
    PageRoute("/console/sign-in", sign_in, methods=["GET", "POST"]),
    FormRoute("/console/sign-in/again", go_on, methods=["POST"]),
    PageRoute("/console/sign-out", home, methods=["GET"]),
    FormRoute("/console/sign-out", sign_out, methods=["POST"]),
    PageRoute("/console/language", home, methods=["GET"]),
    FormRoute("/console/language", choose_language, methods=["POST"]),
]
