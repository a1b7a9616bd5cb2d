"""Reasons that people can read: the features' contributions in groups, each with the facts behind it in two languages.

The texts state facts of the user's state at the instant, and separately which way the group moved the score: a model
may well take a fact for the better in one user and for the worse in another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from features.schema import EVENT_KINDS
from features.state import UserStates, community_day, community_days
from features.user import (
    CATALOGUE,
    KIND_FEATURES,
    Feature,
    FloatColumn,
    Seen,
    compute_features,
    feature,
    n_active_days_within,
)
from features.wording import Text
from models.churn.explainer import Contributions

Values: TypeAlias = Mapping[str, float]

RECENT_DAYS: Final = 14
EARLIER_DAYS: Final = 84
"""How far back from the recent days "before" reaches: 12 weeks."""
_WEEK: Final = 7

_KINDS: Final = {
    "open": ("打开", "open", "opens"),
    "impression": ("曝光", "impression", "impressions"),
    "click": ("点击", "click", "clicks"),
    "read": ("阅读", "read", "reads"),
    "like": ("点赞", "like", "likes"),
    "collect": ("收藏", "collect", "collects"),
    "comment": ("评论", "comment", "comments"),
    "share": ("分享", "share", "shares"),
    "follow": ("关注", "follow", "follows"),
    "search": ("搜索", "search", "searches"),
    "publish": ("发布", "published note", "published notes"),
    "purchase": ("购买", "purchase", "purchases"),
    "report": ("举报", "report", "reports"),
    "hide": ("屏蔽", "hide", "hides"),
    "other": ("其他行为", "other event", "other events"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """What a group of features adds to a raw score, in logits; ``values`` are the facts its text states."""

    code: str
    text: Text
    contribution: float
    values: Values


@dataclass(frozen=True, slots=True)
class Explanation:
    """One user's raw score: ``base``, which the model expects of anyone, plus the reasons' contributions.

    Reasons come by size of contribution, then by code; a group that adds nothing is left out.
    """

    base: float
    raw_score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Features that people see as one reason: which, the facts shown for them, and the text that states those."""

    code: str
    features: tuple[str, ...]
    facts: tuple[Feature, ...]
    text: Callable[[Values], Text]


@feature(unit="days", facts=("last_at",), missing="no activity")
def community_days_since_last_activity(seen: Seen) -> FloatColumn:
    """Community days since the last activity, counted as for the kinds: two reasons never disagree on one event."""
    return (community_day(seen.as_of - 1) - community_days(seen.states.last_at)).astype(np.float32)


@feature(
    unit="days", facts=("tallies.day", "first_at"), missing=f"first active in the last {RECENT_DAYS + _WEEK - 1} days"
)
def earlier_active_days_per_week(seen: Seen) -> FloatColumn:
    """Active days per week in the 12 weeks before the recent 14 days, or in as much of them as the user was here."""
    recent, both = (n_active_days_within(days).compute(seen) for days in (RECENT_DAYS, RECENT_DAYS + EARLIER_DAYS))
    here = community_day(seen.as_of - 1) - community_days(seen.states.first_at) + 1
    days = np.clip(here - RECENT_DAYS, 0, EARLIER_DAYS)
    return np.where(days >= _WEEK, _WEEK * (both - recent) / np.maximum(days, 1), np.nan).astype(np.float32)


def recency_text(values: Values) -> Text:
    """When the user was last active."""
    zh, en = _ago(values["community_days_since_last_activity"])
    return Text(f"最近一次活跃在{zh}", f"Last active {en}")


def frequency_text(values: Values) -> Text:
    """How often the user is active of late, against before where that is known."""
    recent, earlier = values["n_active_days_14d"], values.get("earlier_active_days_per_week")
    if not recent:
        zh, en = _against(earlier, also="也", none="nor in", some="active days")
        return Text(f"最近 14 天没有活跃{zh}", f"Not active in the last 14 days{en}")
    zh, en = _against(earlier, also="", none="after none in", some="days")
    fallen = earlier is not None and recent * _WEEK / RECENT_DAYS < earlier / 2
    return Text(
        f"最近 14 天{'只' if fallen else ''}活跃 {_number(recent)} 天{zh}",
        f"Active on {'only ' if fallen else ''}{_count(recent, 'day')} of the last 14{en}",
    )


def history_text(values: Values) -> Text:
    """How much the user did in all."""
    days, events = values["n_active_days"], values["n_events"]
    return Text(
        f"近两年共活跃 {_number(days)} 天，有 {_number(events)} 次行为",
        f"Active on {_count(days, 'day')} in the last two years, with {_count(events, 'event')}",
    )


def tenure_text(values: Values) -> Text:
    """How long the user has been here."""
    days = int(values["tenure_days"])
    if days == 0:
        return Text("注册或首次活跃至今不到 1 天", "Registered or first active less than a day ago")
    return Text(f"注册或首次活跃至今 {days} 天", f"Registered or first active {_count(days, 'day')} ago")


def value_text(values: Values) -> Text:
    """What the values of the user's events come to."""
    total, per_day = _number(values["value_total"]), _number(values.get("value_per_active_day", 0))
    return Text(
        f"近两年行为的数值合计 {total}，平均每个活跃日 {per_day}",
        f"Values of events in the last two years add up to {total}, {per_day} per active day",
    )


def kind_text(kind: str, values: Values) -> Text:
    """How often, and when last, the user did one kind of thing."""
    zh, one, many = _KINDS[kind]
    n, days = values[f"n_{kind}"], values.get(f"days_since_last_{kind}")
    if not n or days is None:
        return Text(f"近两年没有{zh}", f"No {many} in the last two years")
    when = _ago(days)
    last = Text("", "") if n == 1 else Text("最近一次", "the latest ")
    return Text(
        f"近两年{zh} {_number(n)} 次，{last.zh}在{when.zh}",
        f"{_count(n, one, many)} in the last two years, {last.en}{when.en}",
    )


def _kind_group(kind: str) -> Group:
    pair = KIND_FEATURES[kind]
    return Group(f"kind_{kind}", tuple(one.name for one in pair), pair, lambda values: kind_text(kind, values))


def _group(code: str, features: Sequence[str], facts: Sequence[str], text: Callable[[Values], Text]) -> Group:
    return Group(code, tuple(features), tuple(CATALOGUE[name] for name in facts), text)


GROUPS: Final = (
    Group("recency", ("days_since_last_activity",), (community_days_since_last_activity,), recency_text),
    Group(
        "frequency",
        ("n_active_days_7d", "n_active_days_30d", "n_active_days_90d", "recent_active_days", "n_events_30d"),
        (n_active_days_within(RECENT_DAYS), earlier_active_days_per_week),
        frequency_text,
    ),
    _group("history", ["n_active_days", "n_events"], ["n_active_days", "n_events"], history_text),
    _group("tenure", ["tenure_days"], ["tenure_days"], tenure_text),
    _group("value", ["value_total", "value_per_active_day"], ["value_total", "value_per_active_day"], value_text),
    *map(_kind_group, EVENT_KINDS),
)
"""Every feature of the catalogue is in exactly one of them."""


def explain(
    features: Sequence[str],
    contributions: Contributions,
    states: UserStates,
    *,
    as_of: int,
    scored: npt.NDArray[np.bool_],
) -> tuple[Explanation | None, ...]:
    """An explanation per user, None for one who is not ``scored``; ``features`` name the columns of contributions."""
    groups = [group for group in GROUPS if not set(group.features).isdisjoint(features)]
    columns = [[place for place, name in enumerate(features) if name in group.features] for group in groups]
    sums = np.stack([contributions.of_features[:, of_group].sum(axis=1) for of_group in columns], axis=1)
    facts = [fact for group in groups for fact in group.facts]
    names = [fact.name for fact in facts]
    known = compute_features(facts, states, as_of).astype(np.float64).round(3)
    rows = zip(scored, sums.tolist(), known.tolist(), strict=True)
    return tuple(
        _explanation(contributions.base, groups, amounts, dict(zip(names, row, strict=True))) if one else None
        for one, amounts, row in rows
    )


def reason(group: Group, contribution: float, facts: Values) -> Reason:
    """The reason that a group is; a fact that is missing (NaN) is not among its values."""
    values = {one.name: facts[one.name] for one in group.facts if not isnan(facts[one.name])}
    zh, en = group.text(values)
    up = contribution > 0
    way = Text("推高流失风险" if up else "降低流失风险", "raises the risk" if up else "lowers the risk")
    return Reason(group.code, Text(f"{zh}：{way.zh}", f"{en}: {way.en}"), contribution, values)


def _explanation(base: float, groups: Sequence[Group], amounts: Sequence[float], facts: Values) -> Explanation:
    found = [reason(group, amount, facts) for group, amount in zip(groups, amounts, strict=True) if amount]
    found.sort(key=lambda one: (-abs(one.contribution), one.code))
    return Explanation(base, base + sum(one.contribution for one in found), tuple(found))


def _ago(days: float) -> Text:
    return Text("今天", "today") if days == 0 else Text(f" {_number(days)} 天前", f"{_count(days, 'day')} ago")


def _against(earlier: float | None, *, also: str, none: str, some: str) -> Text:
    """The second half of a comparison with the usual week: nothing where there is no such week."""
    if earlier is None:
        return Text("", "")
    if earlier == 0:
        return Text(f"，再往前 12 周{also}没有活跃", f", {none} the 12 weeks before")
    week = _count(earlier, some.removesuffix("s"), some)
    return Text(f"，此前平均每周活跃 {_number(earlier)} 天", f", against {week} a week before")


def _number(value: float) -> str:
    """At most six digits that count and one decimal: 5, 5.3, 12,345."""
    return f"{round(float(f'{value:.6g}'), 1) + 0.0:,.1f}".removesuffix(".0")  # + 0.0: never -0


def _count(n: float, one: str, many: str = "") -> str:
    number = _number(n)
    return f"{number} {one if number == '1' else many or f'{one}s'}"
