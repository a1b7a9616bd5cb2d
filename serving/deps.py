"""What routers depend on."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Self, TypeVar

from fastapi import Depends, Request, Response
from fastapi.dependencies.utils import request_params_to_args
from fastapi.openapi.models import APIKey
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.types import Message, Receive, Send
from starlette.types import Scope as ASGIScope

from serving.acting import Actor, ActorKind, act_as
from serving.addresses import Network, client_address
from serving.assigning import Assigning
from serving.audit import AuditLog
from serving.background import Jobs
from serving.catalogue import Catalogues
from serving.churn import ChurnScoring
from serving.compression import inflated
from serving.contacts import Contacts
from serving.errors import FieldProblem, InvalidError
from serving.folding import Folder
from serving.health import Health
from serving.inference import Inference
from serving.ingest import Ingest
from serving.instants import Clock
from serving.interests import Interests
from serving.json_body import JsonRequest, load_json, require_json
from serving.kpis.rolling import Rolling
from serving.lists import UserLists
from serving.members import Members
from serving.metrics import Metrics
from serving.middleware import call_of
from serving.model_changes import ModelChanges
from serving.note_lists import NoteLists
from serving.note_reading import NoteReading
from serving.notes import Notes
from serving.paths import unescaped
from serving.policies.live import Policies
from serving.policies.simulation import Replay
from serving.quality import NoteScoring
from serving.queues import Queues
from serving.recommend import Recommending
from serving.recommendation_log import RecommendationWriter
from serving.reports import Reports
from serving.retention import Retention
from serving.reviewers import Reviewers
from serving.reviews.callbacks import Callbacks
from serving.reviews.desk import Desk
from serving.reviews.reported import ReportedNotes
from serving.reviews.summary import Summaries
from serving.reviews.voices import Voices
from serving.rights import Rights
from serving.security import KeyRing, Scope
from serving.slots import Slots
from serving.store.journal import Journal
from serving.store.state import StateStore
from serving.troubles import Troubles
from serving.uplift import Uplifts
from serving.workers import Workers

if TYPE_CHECKING:
    from serving.oidc import IdentityProvider

S = TypeVar("S")
T = TypeVar("T")

HEADER: Final = "X-API-Key"
_OPENED: Final = "mingjian.opened"
"""Where a request's scope keeps the services behind the doors that it opened."""


@dataclass(frozen=True, slots=True)
class Services:
    """What one running app is made of."""

    journal: Journal
    states: StateStore
    key_ring: KeyRing
    audit: AuditLog
    model_changes: ModelChanges
    slots: Slots
    folder: Folder
    ingest: Ingest
    churn: ChurnScoring
    notes: Notes
    quality: NoteScoring
    note_lists: NoteLists
    policies: Policies
    replay: Replay
    assigning: Assigning
    uplifts: Uplifts
    kpis: Rolling
    reading: NoteReading
    desk: Desk
    callbacks: Callbacks | None
    reported: ReportedNotes
    voices: Voices
    reviewers: Reviewers
    identity_provider: "IdentityProvider | None"
    summaries: Summaries
    catalogues: Catalogues
    recommending: Recommending
    recommendation_log: RecommendationWriter
    reports: Reports
    interests: Interests
    health: Health
    rights: Rights
    retention: Retention
    lists: UserLists
    contacts: Contacts
    members: Members
    inference: Inference
    workers: Workers
    jobs: Jobs
    queues: Queues
    troubles: Troubles
    metrics: Metrics
    clock: Clock
    max_body_bytes: int
    console_https: bool
    trusted_proxies: Sequence[Network]


class Door(SecurityBase, Generic[S]):
    """A dependency that hands out a service, to requests whose key has one of the scopes.

    Being a coroutine matters: FastAPI would run a plain function on a thread.
    """

    def __init__(self, pick: Callable[[Services], S], *scopes: Scope) -> None:
        self.model = APIKey.model_validate({"in": "header", "name": HEADER})
        self.scheme_name = "key"
        self._pick = pick
        self._scopes = scopes

    async def open(self, request: Request) -> S:
        """The service; UnauthenticatedError or ForbiddenError for a request whose key may not pass."""
        services = services_of(request)
        who = await services.key_ring.require(_key_of(request), self._scopes)
        call_of(request).who = who
        act_in(request, ActorKind.KEY, who)
        return self._pick(services)

    async def __call__(self, request: Request) -> S:
        """The service. A route that did not open this door before is a mistake of ours, and stays shut."""
        opened: dict[Self, S] = request.scope.get(_OPENED, {})
        if self not in opened:
            raise RuntimeError("a route with a door must be a GuardedRoute")
        return opened[self]


class GuardedRoute(APIRoute):
    """A route that asks for the key before it reads the body: nobody learns anything of a door that is shut to them.

    FastAPI describes the route, and refuses for it: a request with anything amiss is handed over whole, so that one
    reader says what was wrong. What is in order is answered here, since FastAPI searches every request for all that a
    route could depend on, which takes longer than a score.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        needs = self.dependant.dependencies
        self._doors = {one.name: one.call for one in needs if one.name and isinstance(one.call, Door)}
        if len(self._doors) < len(needs):
            raise TypeError(f"{path} may depend on nothing but doors, each an argument")
        self._by_fastapi, self.app = self.app, self._answer

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See ``APIRoute``."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            await self._open(request)
            return await handle(JsonRequest(request.scope, request.receive))

        return guarded

    async def _open(self, request: Request) -> dict[str, Any]:
        """The services behind the route's doors, each opened once, by the names that the endpoint has for them."""
        opened = request.scope.setdefault(_OPENED, {})
        for door in self._doors.values():
            if door not in opened:
                opened[door] = await door.open(request)
        return {name: opened[door] for name, door in self._doors.items()}

    async def _answer(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        scope["path_params"] = unescaped(scope["path_params"])
        request = Request(scope, receive)
        services = await self._open(request)
        body = await _body_of(request) if self.body_field else None
        if self.dependant.query_params:
            _refuse_repeated(request)
        try:
            arguments = services | self._arguments(request, body)
        except (ValueError, RecursionError):
            await self._by_fastapi(scope, receive if body is None else _again(body), send)
        else:
            response = self._response(await self.endpoint(**arguments))
            await response(scope, receive, send)

    def _arguments(self, request: Request, body: bytes | None) -> dict[str, Any]:
        """The endpoint's other arguments; ValueError or RecursionError where anything is amiss."""
        of, arguments = self.dependant, dict[str, Any]()
        if of.request_param_name:
            arguments[of.request_param_name] = request
        for field in of.path_params:
            arguments[field.name] = _valid(field.validate(request.path_params[field.alias]))
        if of.query_params:
            arguments |= _valid(request_params_to_args(of.query_params, request.query_params))
        if of.header_params:
            arguments |= _valid(request_params_to_args(of.header_params, request.headers))
        if self.body_field and body is not None:
            arguments[self.body_field.name] = _valid(self.body_field.validate(load_json(body)))
        return arguments

    def _response(self, answer: Any) -> Response:
        if isinstance(answer, Response):
            return answer
        if self.response_field is None:
            return Response(status_code=self.status_code or 204)
        content = self.response_field.serialize_json(answer)
        return Response(content, self.status_code or 200, media_type="application/json")


def _valid(found: tuple[T, list[Any]]) -> T:
    value, errors = found
    if errors:
        raise ValueError
    return value


def _key_of(request: Request) -> str | None:
    """The key that was sent; None for none or several, of which two readers might take different ones."""
    sent = request.headers.getlist(HEADER)
    return sent[0].strip() if len(sent) == 1 else None


async def _body_of(request: Request) -> bytes:
    """The body, which is JSON by its headers, as it was before it was compressed."""
    body = await request.body()
    if body:
        require_json(request.headers.get("content-type", ""))
    limit = services_of(request).max_body_bytes
    return inflated(body, request.headers.get("content-encoding", ""), limit=limit)


def _refuse_repeated(request: Request) -> None:
    named = Counter(name for name, _ in request.query_params.multi_items())
    if repeated := [name for name, n in named.items() if n > 1]:
        problems = [FieldProblem(f"/query/{name}", "repeated", "is given more than once") for name in repeated]
        raise InvalidError("a parameter of the query is given more than once", errors=problems)


def _again(body: bytes) -> Receive:
    """Receives a body that was read before."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    return receive


def services_of(request: Request) -> Services:
    """All of the app, for routes that are open to everyone."""
    services: Services = request.app.state.services
    return services


def act_in(request: Request, kind: ActorKind, name: str = "") -> None:
    """Let all that a request does from here on be done by somebody."""
    address = client_address(request, services_of(request).trusted_proxies)
    act_as(Actor(kind, name, address, call_of(request).request_id))


UserScoring = Annotated[ChurnScoring, Depends(Door(attrgetter("churn"), Scope.SCORE))]
Feedbacks = Annotated[Services, Depends(Door(lambda services: services, Scope.INGEST))]
FactIngest = Annotated[Ingest, Depends(Door(attrgetter("ingest"), Scope.INGEST))]
NoteIngest = Annotated[Notes, Depends(Door(attrgetter("notes"), Scope.INGEST))]
StoredNotes = Annotated[Notes, Depends(Door(attrgetter("notes"), Scope.SCORE, Scope.ADMIN))]
QualityScoring = Annotated[NoteScoring, Depends(Door(attrgetter("quality"), Scope.SCORE))]
ListedNotes = Annotated[NoteLists, Depends(Door(attrgetter("note_lists"), Scope.SCORE, Scope.ADMIN))]
Feeds = Annotated[Recommending, Depends(Door(attrgetter("recommending"), Scope.SCORE))]
RecommendationReports = Annotated[Reports, Depends(Door(attrgetter("reports"), Scope.SCORE, Scope.ADMIN))]
UserInterestsOf = Annotated[Interests, Depends(Door(attrgetter("interests"), Scope.PRIVACY))]
UserRights = Annotated[Rights, Depends(Door(attrgetter("rights"), Scope.PRIVACY))]
LiveSlots = Annotated[Slots, Depends(Door(attrgetter("slots"), Scope.SCORE, Scope.ADMIN))]
ListServices = Annotated[Services, Depends(Door(lambda services: services, Scope.SCORE, Scope.ADMIN))]
PolicyAdmin = Annotated[Policies, Depends(Door(attrgetter("policies"), Scope.ADMIN))]
AuditAdmin = Annotated[AuditLog, Depends(Door(attrgetter("audit"), Scope.ADMIN))]
ActionAssigning = Annotated[Assigning, Depends(Door(attrgetter("assigning"), Scope.INGEST))]
UpliftReports = Annotated[Uplifts, Depends(Door(attrgetter("uplifts"), Scope.SCORE, Scope.ADMIN))]
KpiReports = Annotated[Rolling, Depends(Door(attrgetter("kpis"), Scope.SCORE, Scope.ADMIN))]
Reviewing = Annotated[Services, Depends(Door(lambda services: services, Scope.REVIEW))]
AppealVoices = Annotated[Voices, Depends(Door(attrgetter("voices"), Scope.INGEST))]
OpenModels = Annotated[Services, Depends(Door(lambda services: services, Scope.SCORE))]
