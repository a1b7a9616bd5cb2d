"""What every page is made with: who is signed in, in which language, what their form says, and how it is answered.

A form must carry the session's token. Whose session ended meanwhile signs in again and finds the form as it was.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match

from features.ids import is_id
from serving.acting import ActorKind
from serving.console.languages import Language, language
from serving.console.refusals import refusal
from serving.console.routing import PageRoute
from serving.deps import Services, act_in, services_of
from serving.errors import ForbiddenError, InvalidError, NotFoundError, ServingError, known_error
from serving.middleware import call_of
from serving.paths import path_of, unescaped
from serving.store.audit import Action, ActionOutcome, Target, TargetKind
from serving.store.reviewers import Permission, Reviewer

LANGUAGE_COOKIE: Final = "mingjian_language"
MAX_FIELDS: Final = 100
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_READS: Final = frozenset(("GET", "HEAD"))


@dataclass(frozen=True, slots=True)
class Page:
    """A request for a page by somebody who is signed in."""

    request: Request
    services: Services
    language: Language
    who: Reviewer
    csrf: str
    form: Mapping[str, Sequence[str]]

    def field(self, name: str) -> str:
        """A field of the form, empty where it is not there."""
        return next(iter(self.form.get(name, ())), "")

    def path(self, name: str) -> str:
        """A part of the path; NotFoundError for what can't be an id."""
        part = str(unescaped(self.request.path_params)[name])
        if not is_id(part):
            raise NotFoundError
        return part

    def asked(self, name: str) -> str:
        """A part of the query, empty where it is not there."""
        return _without_nul(self.request.query_params.get(name, ""))

    def may(self, permission: Permission) -> bool:
        """Whether this person has a permission."""
        return self.who.may(permission)

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page."""
        return rendered(self.request, self.language, template, status=status, who=self.who, csrf=self.csrf, **values)

    def go(self, path: str) -> Response:
        """On to another page, after a form."""
        return RedirectResponse(path, 303, HEADERS)


Handler = Callable[[Page], Awaitable[Response]]


class FormRoute(PageRoute):
    """Where a form is sent. Nothing is shown there: who opens its address is led to the page that the form is on."""


class Pages:
    """The pages of one part of the console; ``routes`` serve them."""

    def __init__(self) -> None:
        self.routes: list[PageRoute] = []

    def page(self, path: str, *, method: str = "GET", needs: Permission) -> Callable[[Handler], Handler]:
        """Serve a page to people with a permission."""

        def add(handler: Handler) -> Handler:
            async def endpoint(request: Request) -> Response:
                return await _answer(request, handler, needs)

            kind = FormRoute if method == "POST" else PageRoute
            self.routes.append(kind(f"/console{path}", endpoint, methods=[method], name=handler.__name__))
            return handler

        return add


async def _answer(request: Request, handler: Handler, needs: Permission) -> Response:
    services, said, page = services_of(request), language_of(request), None
    try:
        found = await services.reviewers.session(request.cookies.get(session_cookie(request), ""))
        if found:
            page = Page(request, services, said, found[1], found[0].csrf, {})
        form = await form_of(request) if request.method == "POST" else {}
        if page is None:
            return signing_in(request, form)
        page = replace(page, form=form)
        if request.method == "POST" and not hmac.compare_digest(page.field("csrf").encode(), page.csrf.encode()):
            raise ForbiddenError(said.say("表单已失效：请返回上一页刷新后重试"))
        call_of(request).who = page.who.reviewer_id
        act_in(request, ActorKind.PERSON, page.who.reviewer_id)
        if not page.may(needs):
            template = Target(TargetKind.PAGE, request.scope["route"].path)
            await services.audit.record(Action.PAGE_REFUSE, template, outcome=ActionOutcome.REFUSED)
            raise ForbiddenError(said.say("您的角色无权查看此页"))
        return await handler(page)
    except (ServingError, HTTPException) as error:
        return failed(request, known_error(error), page)


async def lost(request: Request) -> Response:
    """The answer at an address that no page has."""
    page = None
    try:
        if found := await services_of(request).reviewers.session(request.cookies.get(session_cookie(request), "")):
            page = Page(request, services_of(request), language_of(request), found[1], found[0].csrf, {})
        raise NotFoundError
    except ServingError as error:
        return failed(request, error, page)


def signing_in(request: Request, form: Mapping[str, Sequence[str]]) -> Response:
    """The page to sign in on; what was asked for comes after that, a form as it was filled in."""
    kept = {name: own for name, own in form.items() if name != "csrf"}
    path = path_of(request) if kept else place_of(request)
    again = {"path": path, "form": json.dumps(kept, ensure_ascii=False) if kept else ""}
    return sign_in_page(request, again, status=401 if kept else 200)


def sign_in_page(request: Request, again: Mapping[str, str], *, status: int, refused: bool = False) -> Response:
    """The page to sign in on; ``again`` is the path to go on to after that, and the form to send there, as JSON."""
    elsewhere = services_of(request).identity_provider is not None
    values = {"who": None, "csrf": "", "again": again, "refused": refused, "elsewhere": elsewhere}
    return rendered(request, language_of(request), "sign_in.html", status=status, **values)


def failed(request: Request, error: ServingError, page: Page | None = None) -> Response:
    """The page of what can't be done, to whoever asked."""
    if isinstance(error, NotFoundError) and request.method in _READS and _is_of_form(request):
        return RedirectResponse(_page_of_form(request), 303, HEADERS)
    said = language_of(request)
    values = {"who": page and page.who, "csrf": page.csrf if page else "", "problem": refusal(said, error)}
    answer = rendered(request, said, "error.html", status=error.status, **values)
    if error.retry_after_s:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def rendered(request: Request, said: Language, template: str, *, status: int = 200, **values: Any) -> Response:
    """A template filled in."""
    same = {"_": said.say, "said": said, "path": place_of(request), "now": services_of(request).clock()}
    return HTMLResponse(_environment().get_template(template).render(**same, **values), status, HEADERS)


def place_of(request: Request) -> str:
    """Where what is shown can be opened again: where it is, or the page of the form that drew it."""
    if request.method not in _READS:
        return _page_of_form(request)
    return f"{path_of(request)}?{request.url.query}" if request.url.query else path_of(request)


def _page_of_form(request: Request) -> str:
    """The page of a form is the first step of where it is sent: ``/console/policy`` of ``/console/policy/check``."""
    return "/".join(path_of(request).split("/")[:3])


def _is_of_form(request: Request) -> bool:
    sent = {**request.scope, "method": "POST"}
    forms = (one for one in request.app.router.routes if isinstance(one, FormRoute))
    return any(one.matches(sent)[0] is Match.FULL for one in forms)


def session_cookie(request: Request) -> str:
    """The name of the cookie that holds a session's token."""
    return cookie_name(request, "mingjian_session")


def cookie_name(request: Request, name: str) -> str:
    """A cookie's name: over HTTPS browsers take one so called from this host alone, over HTTPS, for all its paths."""
    return f"__Host-{name}" if services_of(request).console_https else name


def keep_cookie(
    request: Request, answer: Response, name: str, value: str, *, path: str, max_age: int | None = None
) -> None:
    """Let a browser keep what is for the server alone; without an age until it is closed."""
    secure = services_of(request).console_https
    path = "/" if secure else path
    own = cookie_name(request, name)
    answer.set_cookie(own, value, max_age, path=path, httponly=True, samesite="lax", secure=secure)


def forget_cookie(request: Request, answer: Response, name: str, *, path: str) -> None:
    """Let a browser forget it."""
    keep_cookie(request, answer, name, "", path=path, max_age=0)


def language_of(request: Request) -> Language:
    """The language that was chosen, Chinese at first."""
    return language(request.cookies.get(LANGUAGE_COOKIE, ""))


async def form_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form, as it was sent.

    ForbiddenError for one from another site, InvalidError for one of more fields than any page has.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForbiddenError("this form comes from another site")
    fields: dict[str, list[str]] = {}
    body = (await request.body()).decode("utf-8", "replace")
    try:
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidError(f"a form has at most {MAX_FIELDS} fields") from error
    for name, value in pairs:
        fields.setdefault(name, []).append(_without_nul(value))
    return fields


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise InvalidError("text holds no U+0000")
    return text


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("serving.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
