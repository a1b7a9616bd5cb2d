"""Who is about to leave, and what may be done for them: the churn champion and the policy over users' states."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from features.schema import KIND_CODES
from features.state import DAY_US, Event, UserState, UserStates
from models.churn.reasons import Explanation
from models.churn.scorer import TASK, ChurnScorer, ChurnScores, ChurnStatus
from models.errors import BundleError, ExplainError
from models.policy.evaluation import PolicyEvaluator, UserOutcome
from serving.errors import BusyError, FieldProblem, InvalidError, NoModelError
from serving.folding import Folder
from serving.instants import SECOND_US, Clock, instant_of
from serving.metrics import Metrics
from serving.policies.judging import JudgedUsers, judge_users
from serving.policies.live import Policies
from serving.retention import Retention
from serving.slots import LiveModel, Slots, Task
from serving.together import Together
from serving.workers import Workers

_log = logging.getLogger(__name__)

MAX_EXPLAINED: Final = 100
"""How many users one request may have explained: a user takes up to a millisecond."""

_TOGETHER: Final = 32
"""How many users whom requests of their own ask for are scored in one go at most."""

_CANARY_AS_OF: Final = 20_000 * DAY_US
_CANARY: Final = UserState().fold([Event(KIND_CODES["open"], _CANARY_AS_OF - 1)]).encode()


def _canary(scorer: ChurnScorer, n_rows: int) -> None:
    scores = scorer.score(UserStates.decode([_CANARY] * n_rows), _CANARY_AS_OF)
    if not ((scores.probability >= 0) & (scores.probability <= 1)).all():
        raise BundleError("an active user's churn probability is not between 0 and 1")


CHURN: Final = Task(TASK, ChurnScorer, _canary)


@dataclass(frozen=True, slots=True, eq=False)
class ChurnAnswer:
    """Users scored by one model.

    ``user_ids`` are the different ones, with a row each in ``scores`` and in the policy's ``outcomes``; ``rows`` are
    the rows of those asked for, in order, and ``columns`` those of the horizons. ``explanations`` are of the last of
    these horizons, a row each, or none at all; ``degraded`` names what the answer has to do without.
    """

    model: LiveModel[ChurnScorer]
    as_of: int
    user_ids: Sequence[str]
    scores: ChurnScores
    policy: PolicyEvaluator
    outcomes: Sequence[UserOutcome]
    rows: Sequence[int]
    columns: Sequence[int]
    explanations: Sequence[Explanation | None] = ()
    degraded: Sequence[str] = ()

    def of(self, row: int) -> "ChurnAnswer":
        """The answer for one of the users alone."""
        scores = ChurnScores(self.scores.status[row : row + 1], self.scores.probability[row : row + 1])
        user_ids = self.user_ids[row : row + 1]
        of_user = user_ids, scores, self.policy, self.outcomes[row : row + 1]
        return ChurnAnswer(self.model, self.as_of, *of_user, [0], self.columns, degraded=self.degraded)


class ChurnScoring:
    """Scores users; it reads and changes nothing."""

    def __init__(
        self,
        slots: Slots,
        policies: Policies,
        folder: Folder,
        workers: Workers,
        retention: Retention,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._slots = slots
        self._policies = policies
        self._folder = folder
        self._workers = workers
        self._retention = retention
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
            answer = await self._together.ask(user_ids[0])
        else:
            answer, _ = await self._score(user_ids, instant_of(as_of, now=self._clock()))
        return self._choose(answer, horizon_days)

    async def explain(
        self, user_ids: Sequence[str], *, as_of: int | None, horizon_days: Sequence[int] | None
    ) -> ChurnAnswer:
        """Score, and explain the scores of the longest horizon asked for; where that can't be done, the scores alone.

        InvalidError for more than ``MAX_EXPLAINED`` users too.
        """
        if len(user_ids) > MAX_EXPLAINED:
            detail = f"at most {MAX_EXPLAINED} users in a request that asks to explain"
            raise InvalidError(detail, errors=[FieldProblem("/user_ids", "too_many_to_explain", detail)])
        scored, states = await self._score(user_ids, instant_of(as_of, now=self._clock()))
        answer = self._choose(scored, horizon_days)
        explain = answer.model.scorer.explain
        try:
            explanations = await self._workers.run_slow(explain, states, answer.as_of, answer.columns[-1])
        except (BusyError, ExplainError) as error:
            _log.warning("scores not explained", extra={"reason": str(error) or type(error).__name__})
            return replace(answer, degraded=[*answer.degraded, "explain"])
        return replace(answer, explanations=explanations)

    async def _score_each(self, user_ids: Sequence[str]) -> list[ChurnAnswer]:
        """Answers to requests that ask for one user each, as of now."""
        answer, _ = await self._score(user_ids, self._clock())
        return [answer.of(row) for row in answer.rows]

    async def _score(self, user_ids: Sequence[str], as_of: int) -> tuple[ChurnAnswer, UserStates]:
        """At all of the model's horizons."""
        model = self._slots.champion(CHURN)
        if model is None:
            raise NoModelError("no churn model has been released to this server")
        rows = {user_id: row for row, user_id in enumerate(dict.fromkeys(user_ids))}
        states = await self._folder.states_at(list(rows), as_of)
        active, shadow = self._policies.active, self._policies.shadow
        judged = await self._workers.run(len(states), judge_users, model.scorer, active, shadow, states, as_of)
        self._count(model, states, judged.scores, as_of)
        self._compare(len(states), judged)
        columns = range(len(model.scorer.settings.horizon_days))
        places = [rows[user_id] for user_id in user_ids]
        there = {"states": self._folder.is_level, "history": self._retention.holds_all_for(as_of)}
        degraded = [name for name, is_there in there.items() if not is_there]
        of_users = list(rows), judged.scores, judged.policy, judged.outcomes.each()
        return ChurnAnswer(model, as_of, *of_users, places, columns, degraded=degraded), states

    def _choose(self, answer: ChurnAnswer, horizon_days: Sequence[int] | None) -> ChurnAnswer:
        """The answer at the horizons asked for."""
        columns = _columns(answer.model.scorer.settings.horizon_days, horizon_days)
        return answer if columns == answer.columns else replace(answer, columns=columns)

    def _count(self, model: LiveModel[ChurnScorer], states: UserStates, scores: ChurnScores, as_of: int) -> None:
        labels = model.model, model.pointer.version
        self._metrics.batch_size.observe([len(states)], "score")
        for status, n in Counter(scores.status).items():
            self._metrics.scores.labels(*labels, status).inc(n)
        users = zip(scores.status, states.latest_at.tolist(), scores.probability.tolist(), strict=True)
        scored = [(latest_at, row) for status, latest_at, row in users if status is ChurnStatus.SCORED]
        self._metrics.feature_age.observe([(as_of - latest_at) / SECOND_US for latest_at, _ in scored])
        for place, days in enumerate(model.scorer.settings.horizon_days):
            self._metrics.probability.observe([row[place] for _, row in scored], *labels, str(days))

    def _compare(self, n_users: int, judged: JudgedUsers) -> None:
        for what, n_differ in (judged.differs or {}).items():
            self._metrics.policy_shadow.labels(what, "differs").inc(n_differ)
            self._metrics.policy_shadow.labels(what, "same").inc(n_users - n_differ)


def _columns(offered: Sequence[int], asked: Sequence[int] | None) -> Sequence[int]:
    if asked is None:
        return range(len(offered))
    if not set(asked) <= set(offered):
        detail = f"this model's horizons are {', '.join(map(str, offered))} days"
        raise InvalidError(detail, errors=[FieldProblem("/horizons", "unknown_horizon", detail)])
    return [place for place, days in enumerate(offered) if days in asked]
