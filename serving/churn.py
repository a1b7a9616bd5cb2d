"""Who is about to leave: the churn champion over users' states."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from features.schema import KIND_CODES
from features.state import DAY_US, Event, UserState, UserStates
from models.churn.scorer import TASK, ChurnScorer, ChurnStatus
from models.errors import BundleError
from serving.errors import FieldProblem, InvalidError, NoModelError
from serving.folding import Folder
from serving.instants import CLOCK_SKEW_US, Clock
from serving.metrics import Metrics
from serving.slots import LiveModel, Slots, Task
from serving.together import Together
from serving.workers import Workers

_CANARY_AS_OF: Final = 20_000 * DAY_US
_CANARY: Final = UserState().fold([Event(KIND_CODES["open"], _CANARY_AS_OF - 1)]).encode()


def _canary(scorer: ChurnScorer, n_rows: int) -> None:
    scores = scorer.score(UserStates.decode([_CANARY] * n_rows), _CANARY_AS_OF)
    if not ((scores.probability >= 0) & (scores.probability <= 1)).all():
        raise BundleError("an active user's churn probability is not between 0 and 1")


CHURN: Final = Task(TASK, ChurnScorer, _canary)


_TOGETHER: Final = 32
"""How many users who are asked for one by one are scored in one go at most."""


class UserChurn(NamedTuple):
    """One user's score; ``probability`` has a place per horizon of the model, NaN where the user is not ``scored``."""

    user_id: str
    status: ChurnStatus
    probability: Sequence[float]


@dataclass(frozen=True, slots=True)
class Scored:
    """Users scored by one model as of one instant."""

    model: LiveModel[ChurnScorer]
    as_of: int
    users: Sequence[UserChurn]


@dataclass(frozen=True, slots=True)
class ChurnAnswer(Scored):
    """The users asked for, in order; ``columns`` are the places of the horizons asked for."""

    columns: Sequence[int]


class ChurnScoring:
    """Scores users; it reads and changes nothing."""

    def __init__(self, slots: Slots, folder: Folder, workers: Workers, *, metrics: Metrics, clock: Clock) -> None:
        self._slots = slots
        self._folder = folder
        self._workers = workers
        self._metrics = metrics
        self._clock = clock
        self._together = Together(self._score_each, at_most=_TOGETHER)

    async def score(
        self, user_ids: Sequence[str], *, as_of: int | None, horizon_days: Sequence[int] | None
    ) -> ChurnAnswer:
        """Score users as of an instant, now by default, at some of the model's horizons, all by default.

        NoModelError while no champion is live; InvalidError for an instant or a horizon that can't be answered.
        """
        if as_of is None and len(user_ids) == 1:
            scored = await self._together.ask(user_ids[0])
        else:
            scored = await self._score(user_ids, self._instant(as_of))
        model = scored.model
        columns = _columns(model.scorer.settings.horizon_days, horizon_days)
        for status, n in Counter(user.status for user in scored.users).items():
            self._metrics.scores.labels(model.model, model.pointer.version, status).inc(n)
        return ChurnAnswer(model, scored.as_of, scored.users, columns)

    async def _score_each(self, user_ids: Sequence[str]) -> list[Scored]:
        """Users asked for by requests of their own."""
        scored = await self._score(user_ids, self._clock())
        return [Scored(scored.model, scored.as_of, [user]) for user in scored.users]

    async def _score(self, user_ids: Sequence[str], as_of: int) -> Scored:
        model = self._slots.champion(CHURN)
        if model is None:
            raise NoModelError("no churn model has been released to this server")
        different = list(dict.fromkeys(user_ids))
        states = await self._folder.states_at(different, as_of)
        scores = await self._workers.run(len(states), model.scorer.score, states, as_of)
        users = dict(zip(different, map(UserChurn, different, scores.status, scores.probability.tolist()), strict=True))
        return Scored(model, as_of, [users[user_id] for user_id in user_ids])

    def _instant(self, as_of: int | None) -> int:
        now = self._clock()
        if as_of is not None and not 0 <= as_of <= now + CLOCK_SKEW_US:
            detail = "must lie between 1970 and five minutes from now"
            raise InvalidError("as_of is out of range", errors=[FieldProblem("/as_of", "out_of_range", detail)])
        return now if as_of is None else as_of


def _columns(offered: Sequence[int], asked: Sequence[int] | None) -> Sequence[int]:
    if asked is None:
        return range(len(offered))
    if not set(asked) <= set(offered):
        detail = f"this model's horizons are {', '.join(map(str, offered))} days"
        raise InvalidError(detail, errors=[FieldProblem("/horizons", "unknown_horizon", detail)])
    return [place for place, days in enumerate(offered) if days in asked]
