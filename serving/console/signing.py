"""Signing in and out, and the choice of language."""

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from serving.console.languages import CHINESE, ENGLISH
from serving.console.pages import COOKIE, HEADERS, LANGUAGE_COOKIE, form_of, language_of, rendered, signing_in
from serving.deps import services_of
from serving.errors import ForbiddenError, ServingError

HOME: Final = "/console/reviews"
_YEAR_S: Final = 365 * 24 * 3600


async def home(_: Request) -> Response:
    """To the review desk."""
    return RedirectResponse(HOME, 303, HEADERS)


async def sign_in(request: Request) -> Response:
    """The page to sign in on, and its form."""
    said = language_of(request)
    if request.method == "GET":
        return signing_in(request, said, {})
    try:
        form = {name: values[0] for name, values in (await form_of(request)).items()}
        try:
            signed_in = await services_of(request).reviewers.sign_in(form.get("name", ""), form.get("password", ""))
        except ForbiddenError:
            again = {"path": form.get("path", ""), "form": form.get("form", "")}
            return rendered(request, said, "sign_in.html", status=403, who=None, csrf="", again=again, failed=True)
    except ServingError as error:
        return rendered(request, said, "error.html", status=error.status, error=error, who=None, csrf="")
    path = form.get("path", "")
    path = path if path.startswith("/console/") and "//" not in path and path != "/console/sign-in" else HOME
    if fields := _fields(form.get("form", "")):
        answer = rendered(request, said, "again.html", who=None, csrf=signed_in.csrf, again_path=path, fields=fields)
    else:
        answer = RedirectResponse(path, 303, HEADERS)
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
    await form_of(request)
    await services_of(request).reviewers.sign_out(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/console/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, path="/console")
    return answer


async def choose_language(request: Request) -> Response:
    """Change the language, and go back to where that was asked."""
    form = {name: values[0] for name, values in (await form_of(request)).items()}
    path = form.get("path", "")
    answer = RedirectResponse(path if path.startswith("/console") and "//" not in path else HOME, 303, HEADERS)
    chosen = ENGLISH if form.get("language") == ENGLISH else CHINESE
    answer.set_cookie(LANGUAGE_COOKIE, chosen, max_age=_YEAR_S, path="/console", samesite="lax", httponly=True)
    return answer


ROUTES: Final = [
    Route("/console", home, methods=["GET"]),
    Route("/console/sign-in", sign_in, methods=["GET", "POST"]),
    Route("/console/sign-out", sign_out, methods=["POST"]),
    Route("/console/language", choose_language, methods=["POST"]),
]
