"""Signing in and out, and the choice of language."""

import json
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from serving.console.languages import CHINESE, ENGLISH
from serving.console.pages import (
    COOKIE,
    HEADERS,
    LANGUAGE_COOKIE,
    FormRoute,
    failed,
    form_of,
    language_of,
    rendered,
    sign_in_page,
    signing_in,
)
from serving.console.routing import PageRoute
from serving.deps import services_of
from serving.errors import ForbiddenError, ServingError
from serving.reviewers import SignedIn

HOME: Final = "/console/reviews"
_YEAR_S: Final = 365 * 24 * 3600


async def home(_: Request) -> Response:
    """To the review desk."""
    return RedirectResponse(HOME, 303, HEADERS)


async def sign_in(request: Request) -> Response:
    """The page to sign in on, and its form."""
    if request.method == "GET":
        return signing_in(request, {})
    try:
        form = await _form(request)
        try:
            signed_in = await services_of(request).reviewers.sign_in(form.get("name", ""), form.get("password", ""))
        except ForbiddenError:
            again = {"path": form.get("path", ""), "form": form.get("form", "")}
            return sign_in_page(request, again, status=403, refused=True)
    except ServingError as error:
        return failed(request, error)
    return with_session(request, _onward(request, form, signed_in.csrf), signed_in)


async def go_on(request: Request) -> Response:
    """On to what was asked for when the session had ended, for those who signed in again beside it."""
    try:
        form = await _form(request)
        found = await services_of(request).reviewers.session(request.cookies.get(COOKIE, ""))
    except ServingError as error:
        return failed(request, error)
    if found is None:
        return sign_in_page(request, {"path": form.get("path", ""), "form": form.get("form", "")}, status=401)
    return _onward(request, form, found[0].csrf)


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in (await form_of(request)).items()}


def _onward(request: Request, form: Mapping[str, str], csrf: str) -> Response:
    """On to the path that a form names; if one was filled in there, by way of a page that shows it and sends it."""
    path = place(form.get("path", ""))
    if fields := _fields(form.get("form", "")):
        said = language_of(request)
        return rendered(request, said, "again.html", who=None, csrf=csrf, again_path=path, fields=fields)
    return RedirectResponse(path, 303, HEADERS)


def place(path: str) -> str:
    """A path in the console to go on to after signing in, the desk where it is none."""
    inside = path.startswith("/console/") and "//" not in path and "\\" not in path
    return path if inside and not path.startswith(("/console/sign-in", "/console/oidc")) else HOME


def with_session(request: Request, answer: Response, signed_in: SignedIn) -> Response:
    """An answer that begins a session."""
    secure = services_of(request).console_https
    answer.set_cookie(COOKIE, signed_in.token, path="/console", httponly=True, samesite="lax", secure=secure)
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
        await services_of(request).reviewers.sign_out(request.cookies.get(COOKIE, ""))
    except ServingError as error:
        return failed(request, error)
    answer = RedirectResponse("/console/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, path="/console")
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
    answer.set_cookie(LANGUAGE_COOKIE, chosen, max_age=_YEAR_S, path="/console", samesite="lax", httponly=True)
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
