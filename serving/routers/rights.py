"""People's rights: what is held of a user, and erasing them."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from features.state import INSTANTS, NEVER, UserState, is_readable
from serving.churn import CHURN
from serving.deps import GuardedRoute, UserRights
from serving.instants import to_datetime
from serving.middleware import call_of
from serving.routers.users import UserId
from serving.schemas.base import Id
from serving.schemas.lists import ScoredBy
from serving.schemas.rights import (
    AssignmentsHeld,
    EventsHeld,
    NotesHeld,
    ProfileHeld,
    RecommendationsHeld,
    ReviewsHeld,
    ScoreHeld,
    SegmentHeld,
    StateHeld,
    UserErased,
    UserHeld,
)
from serving.store.assignments import AssignmentsHeld as AssignmentsKept
from serving.store.journal import EventsHeld as EventsKept
from serving.store.notes import NotesHeld as NotesKept
from serving.store.recommendations import RecommendationsHeld as RecommendationsKept
from serving.store.reviews import ReviewsHeld as ReviewsKept
from serving.store.scores import Score
from serving.store.state import StoredState

router = APIRouter(prefix="/v1", tags=["users"], route_class=GuardedRoute)


@router.get("/users/{user_id}")
async def get_user(user_id: UserId, rights: UserRights, request: Request) -> UserHeld:
    """Say all that is held of a user, in every store."""
    facts, state, scores, notes, reviews, recommendations, assignments, segment = await rights.held(user_id)
    return UserHeld(
        **call_of(request).meta,
        user_id=user_id,
        profile=_profile(facts.profile) if facts.profile else None,
        n_profiles=facts.n_profiles,
        events=[_events(one) for one in facts.events],
        n_mentions=facts.n_mentions,
        state=_state(state) if state else None,
        scores=[_score(one) for one in scores],
        notes=_notes(notes) if notes else None,
        reviews=_reviews(reviews) if reviews else None,
        deleted_interests=list(facts.deleted_interests),
        recommendations=_recommendations(recommendations) if recommendations else None,
        assignments=_assignments(assignments) if assignments else None,
        segment=SegmentHeld(tier=segment.tier, stage=segment.stage) if segment else None,
    )


@router.delete("/users/{user_id}")
async def erase_user(
    user_id: Annotated[Id, Path(examples=["u-to-erase"])], rights: UserRights, request: Request
) -> UserErased:
    """Erase a user from every store, for good: later events and profiles under this id are refused.

    To erase again, or a user never heard of, is answered the same.
    """
    erased_at, unreached = await rights.erase(user_id)
    return UserErased(
        **call_of(request).meta,
        degraded=unreached,
        user_id=user_id,
        erased_at=to_datetime(erased_at),
        complete=not unreached,
    )


def _profile(profile: Mapping[str, Any]) -> ProfileHeld:
    registered_at = profile["registered_at"]
    return ProfileHeld(**{**profile, "registered_at": None if registered_at is None else to_datetime(registered_at)})


def _events(kept: EventsKept) -> EventsHeld:
    return EventsHeld(
        event=kept.event, n=kept.n, first_at=to_datetime(kept.first_at), last_at=to_datetime(kept.last_at)
    )


def _notes(kept: NotesKept) -> NotesHeld:
    return NotesHeld(n=kept.n_notes, first_at=to_datetime(kept.first_at), last_at=to_datetime(kept.last_at))


def _reviews(kept: ReviewsKept) -> ReviewsHeld:
    instants = {"first_at": to_datetime(kept.first_at), "last_at": to_datetime(kept.last_at)}
    return ReviewsHeld(**kept._asdict() | instants)


def _recommendations(kept: RecommendationsKept) -> RecommendationsHeld:
    return RecommendationsHeld(n=kept.n, first_at=to_datetime(kept.first_at), last_at=to_datetime(kept.last_at))


def _assignments(kept: AssignmentsKept) -> AssignmentsHeld:
    return AssignmentsHeld(n=kept.n, first_at=to_datetime(kept.first_at), last_at=to_datetime(kept.last_at))


def _score(score: Score) -> ScoreHeld:
    return ScoreHeld(
        horizon_days=score.horizon_days,
        status=score.status,
        probability=score.probability,
        last_active_at=None if score.last_active_at is None else to_datetime(score.last_active_at),
        changed_at=to_datetime(score.changed_at),
        as_of=to_datetime(score.run.as_of),
        model=ScoredBy(name=CHURN.model, version=score.run.version, digest=score.run.digest),
    )


def _state(stored: StoredState) -> StateHeld:
    if not is_readable(stored.encoded):
        return StateHeld(first_at=None, last_at=None, latest_at=None, registered_at=None, n_days=None)
    state = UserState.decode(stored.encoded)
    instants = {name: getattr(state, name) for name in INSTANTS}
    return StateHeld(
        **{name: None if at == NEVER else to_datetime(at) for name, at in instants.items()},
        n_days=len({day for day, _ in state.tallies}),
    )
