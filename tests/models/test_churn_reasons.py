"""Reasons: every feature in one group, facts worked out by hand, and what people read in both languages."""

from collections import Counter

import numpy as np
import pytest

from features.schema import EVENT_KINDS, KIND_CODES
from features.state import COMMUNITY_OFFSET_US, DAY_US, Event, UserState, UserStates
from features.user import CATALOGUE, Seen
from models.churn.explainer import Contributions
from models.churn.reasons import (
    GROUPS,
    Explanation,
    earlier_active_days_per_week,
    explain,
    frequency_text,
    history_text,
    kind_text,
    reason,
    recency_text,
    tenure_text,
    value_text,
)

AS_OF = 20_000 * DAY_US - COMMUNITY_OFFSET_US
"""Midnight in community time: half a day before is the same community day."""
NAMES = ("days_since_last_activity", "n_active_days_7d", "n_active_days_30d", "n_purchase", "days_since_last_purchase")


def user(*days_before: float, kind: str = "open") -> UserState:
    """A user with one event on each of these days before the instant."""
    return UserState().fold(Event(KIND_CODES[kind], AS_OF - round(days * DAY_US), 0) for days in days_before)


def explained(state: UserState, amounts: list[float]) -> Explanation:
    contributions = Contributions(-1.0, np.array([amounts]))
    states = UserStates.decode([state.encode()])
    [found] = explain(NAMES, contributions, states, as_of=AS_OF, scored=np.array([True]))
    assert found is not None
    return found


def earlier(state: UserState) -> float:
    return float(earlier_active_days_per_week.compute(Seen(UserStates.decode([state.encode()]), AS_OF))[0])


def test_every_feature_is_in_exactly_one_group() -> None:
    assert Counter(name for group in GROUPS for name in group.features) == Counter(list(CATALOGUE))
    assert len({group.code for group in GROUPS}) == len(GROUPS)


def test_a_group_adds_up_its_features_and_the_largest_comes_first() -> None:
    found = explained(user(1), [0.25, -1.0, -0.5, 2.0, -1.75])
    amounts = [(one.code, one.contribution) for one in found.reasons]
    assert amounts == [("frequency", -1.5), ("kind_purchase", 0.25), ("recency", 0.25)]  # equal ones by their code
    assert found.raw_score == -2.0


def test_a_group_that_adds_nothing_is_left_out() -> None:
    assert [one.code for one in explained(user(1), [0.0, 0.0, 0.0, 0.5, 0.0]).reasons] == ["kind_purchase"]


def test_recent_days_are_told_against_the_usual_week() -> None:
    # five days a week in the twelve weeks from day 14 on, then one day of the last 14
    usual = [14.5 + 7 * week + day for week in range(12) for day in range(5)]
    found = explained(user(3.5, *usual, 150), [0.0, 0.5, 0.5, 0.0, 0.0]).reasons[0]
    assert found.text.zh == "最近 14 天只活跃 1 天，此前平均每周活跃 5 天：推高流失风险"
    assert found.text.en == "Active on only 1 day of the last 14, against 5 days a week before: raises the risk"
    assert found.values == {"n_active_days_14d": 1.0, "earlier_active_days_per_week": 5.0}


def test_the_usual_week_counts_only_the_days_since_the_user_came() -> None:
    assert earlier(user(*(14.5 + day for day in range(7)))) == 7.0  # a week of daily visits, a week of being here
    assert earlier(user(1.5, 34.5)) == pytest.approx(7 / 21)  # one active day in the 21 between day 14 and day 34


def test_there_is_no_usual_week_of_a_user_who_is_new() -> None:
    assert np.isnan(earlier(user(1.5, 19.5)))
    assert frequency_text({"n_active_days_14d": 3.0}) == ("最近 14 天活跃 3 天", "Active on 3 days of the last 14")


def test_a_user_without_activity_for_twelve_weeks_is_told_so() -> None:
    assert earlier(user(1.5, 120.5)) == 0.0
    assert frequency_text({"n_active_days_14d": 2.0, "earlier_active_days_per_week": 0.0}) == (
        "最近 14 天活跃 2 天，再往前 12 周没有活跃",
        "Active on 2 days of the last 14, after none in the 12 weeks before",
    )
    assert frequency_text({"n_active_days_14d": 0.0, "earlier_active_days_per_week": 0.0}) == (
        "最近 14 天没有活跃，再往前 12 周也没有活跃",
        "Not active in the last 14 days, nor in the 12 weeks before",
    )


@pytest.mark.parametrize(
    ("recent", "usual", "zh", "en"),
    [
        (0, 1.26, "没有活跃，此前平均每周活跃 1.3 天",
         "Not active in the last 14 days, against 1.3 active days a week before"),
        (5, 5, "活跃 5 天，此前平均每周活跃 5 天", "Active on 5 days of the last 14, against 5 days a week before"),
        (4, 5, "只活跃 4 天，此前平均每周活跃 5 天",
         "Active on only 4 days of the last 14, against 5 days a week before"),
        (14, 1, "活跃 14 天，此前平均每周活跃 1 天", "Active on 14 days of the last 14, against 1 day a week before"),
    ],
)  # fmt: skip
def test_only_is_said_where_less_than_half_is_left(recent: float, usual: float, zh: str, en: str) -> None:
    values = {"n_active_days_14d": float(recent), "earlier_active_days_per_week": usual}
    assert frequency_text(values) == (f"最近 14 天{zh}", en)


@pytest.mark.parametrize(
    ("days", "zh", "en"),
    [(0.0, "今天", "today"), (1.0, " 1 天前", "1 day ago"), (12.0, " 12 天前", "12 days ago")],
)
def test_recency_counts_community_days(days: float, zh: str, en: str) -> None:
    found = recency_text({"community_days_since_last_activity": days})
    assert found == (f"最近一次活跃在{zh}", f"Last active {en}")


def test_tenure_counts_whole_days() -> None:
    assert tenure_text({"tenure_days": 0.2}).zh == "注册或首次活跃至今不到 1 天"
    assert tenure_text({"tenure_days": 1.2}).en == "Registered or first active 1 day ago"
    assert tenure_text({"tenure_days": 400.0}) == (
        "注册或首次活跃至今 400 天",
        "Registered or first active 400 days ago",
    )


def test_history_and_value_name_their_amounts() -> None:
    assert history_text({"n_active_days": 1.0, "n_events": 12345.0}) == (
        "近两年共活跃 1 天，有 12,345 次行为",
        "Active on 1 day in the last two years, with 12,345 events",
    )
    assert value_text({"value_total": 99.5, "value_per_active_day": 33.167}) == (
        "近两年行为的数值合计 99.5，平均每个活跃日 33.2",
        "Values of events in the last two years add up to 99.5, 33.2 per active day",
    )
    assert value_text({"value_total": -0.04}).zh == "近两年行为的数值合计 0，平均每个活跃日 0"


@pytest.mark.parametrize(
    ("kind", "n", "days", "zh", "en"),
    [
        ("collect", 0, None, "没有收藏", "No collects in the last two years"),
        ("purchase", 1, 3, "购买 1 次，在 3 天前", "1 purchase in the last two years, 3 days ago"),
        ("search", 2, 1, "搜索 2 次，最近一次在 1 天前", "2 searches in the last two years, the latest 1 day ago"),
        ("publish", 12, 0, "发布 12 次，最近一次在今天", "12 published notes in the last two years, the latest today"),
    ],
)  # fmt: skip
def test_a_kind_says_how_often_and_when_last(kind: str, n: float, days: float | None, zh: str, en: str) -> None:
    values = {f"n_{kind}": float(n)} | ({} if days is None else {f"days_since_last_{kind}": float(days)})
    assert kind_text(kind, values) == (f"近两年{zh}", en)


def test_every_kind_has_its_words() -> None:
    texts = [kind_text(kind, {f"n_{kind}": 0.0}) for kind in EVENT_KINDS]
    assert len({text.zh for text in texts}) == len({text.en for text in texts}) == len(EVENT_KINDS)


def test_a_missing_fact_is_not_among_the_values_and_the_way_follows_the_sign() -> None:
    collects = next(group for group in GROUPS if group.code == "kind_collect")
    found = reason(collects, -0.5, {"n_collect": 0.0, "days_since_last_collect": float("nan")})
    assert found.values == {"n_collect": 0.0}
    assert found.text == ("近两年没有收藏：降低流失风险", "No collects in the last two years: lowers the risk")


def test_days_are_those_of_the_community_for_every_reason() -> None:
    found = explained(user(2.5, 9.5, kind="purchase"), [1.0, 0.0, 0.0, 0.5, 0.0])
    assert [one.text.zh for one in found.reasons] == [
        "最近一次活跃在 2 天前：推高流失风险",
        "近两年购买 2 次，最近一次在 2 天前：推高流失风险",
    ]
