"""The shipped policy, at each of its thresholds, on users and notes worked out by hand."""

import numpy as np
import pytest

from models.policy.facts import TIER_CODES
from models.policy.note_facts import LabelSaid, NoteKnown, note_facts
from models.policy.words import WORDS, ActionKind, Decision, Stage, Tier

RECENT = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]


@pytest.mark.parametrize(
    ("n_followers", "posts", "tier"),
    [
        (20_000, [80, 81, 82, 83], "head_creator"),
        (19_999, [80, 81, 82, 83], "koc"),
        (20_000, [80, 81, 82], "koc"),
        (20_000, [80, 81, 82, 95], "koc"),  # the fourth was over 90 days ago
        (1_000, [80, 81, 82], "koc"),
        (999, [80, 81, 82], "ordinary"),
        (1_000, [80, 81], "ordinary"),
        (999, [20], "active"),
        (-1, [80, 81, 82, 83], "ordinary"),  # -1: no profile says how many
        (-1, [29.3], "active"),  # the window is of calendar days in the community, where it is 08:00
        (0, [29.4], "ordinary"),
    ],
)
def test_tiers_by_followers_and_posts(person, outcomes, n_followers, posts, tier):
    assert outcomes(person(n_followers=n_followers, did={"publish": posts}))["tier"] == tier


@pytest.mark.parametrize(
    ("likes", "opens", "tier"),
    [
        ([1.5] * 15, RECENT, "active"),
        ([1.5] * 14, RECENT, "ordinary"),
        ([1.5] * 15, RECENT[:5], "ordinary"),
        ([31] * 15, RECENT, "ordinary"),
    ],
)
def test_tiers_by_engagement(person, outcomes, likes, opens, tier):
    assert outcomes(person(did={"like": likes, "open": opens}))["tier"] == tier


STEADY = [5 * n + 0.5 for n in range(15)]  # 15 days, the first 70.5 days ago


@pytest.mark.parametrize(
    ("user", "probability", "rule", "stage"),
    [
        ({"registered": 3}, np.nan, "not_seen_active", "explore"),
        ({"registered": 13.9, "did": {"open": [1]}}, 0.9, "newcomer", "explore"),
        ({"registered": 14, "did": {"open": [1]}}, 0.9, "at_risk", "churn_warning"),
        ({"did": {"open": [1]}}, 0.5, "at_risk", "churn_warning"),
        ({"did": {"open": [1]}}, 0.49, "finding_interests", "nurture"),
        ({"did": {"open": [30]}}, np.nan, "away", "churn_warning"),
        ({"did": {"open": [29.9]}}, np.nan, "finding_interests", "nurture"),
        ({"registered": 60, "did": {"share": [5] * 5}}, 0.1, "spreads_the_word", "advocate"),
        ({"registered": 59, "did": {"share": [5] * 5}}, 0.1, "takes_part", "engage"),
        ({"registered": 60, "did": {"share": [5] * 4}}, 0.1, "finding_interests", "nurture"),
        ({"registered": 90, "did": {"open": STEADY}}, 0.1, "steady", "loyal"),
        ({"registered": 89, "did": {"open": STEADY}}, 0.1, "finding_interests", "nurture"),
        ({"registered": 90, "did": {"open": STEADY[:14]}}, 0.1, "finding_interests", "nurture"),
        ({"did": {"like": [1, 1, 1], "collect": [1], "follow": [1]}}, 0.1, "takes_part", "engage"),
        ({"did": {"like": [1, 1, 1], "collect": [1], "read": [1]}}, 0.1, "finding_interests", "nurture"),
    ],
)
def test_stages(person, outcomes, user, probability, rule, stage):
    found = outcomes(person(**user), probability)
    assert (found["stage_rule"], found["stage"]) == (rule, stage)


KOC = {"n_followers": 5_000, "did": {"publish": [1, 2, 3], "like": [1] * 5}}
HEAD = {"n_followers": 50_000, "did": {"publish": [1, 2, 3, 4], "like": [1] * 5}}


@pytest.mark.parametrize(
    ("user", "probability", "actions"),
    [
        ({"registered": 1, "did": {"open": [0.5]}}, 0.1, ["newcomer_guide", "newcomer_tasks"]),
        ({"registered": 9, "did": {"open": [1, 2, 3]}}, 0.1, ["newcomer_tasks"]),
        ({"registered": 9, "did": {"publish": [1, 2, 3]}}, 0.1, []),
        ({"did": {"open": [1]}}, 0.9, ["win_back"]),
        ({"did": {"open": [180]}}, np.nan, ["win_back"]),
        ({"did": {"open": [181]}}, np.nan, []),
        (KOC, 0.1, ["traffic_support", "business_training"]),
        ({"registered": 89} | KOC, 0.1, ["traffic_support"]),
        (KOC, 0.9, ["win_back_creator"]),
        (HEAD, 0.1, ["dedicated_service"]),
        (HEAD, 0.9, ["win_back_creator", "dedicated_service"]),
        ({"did": {"publish": [1], "share": [2] * 5}}, 0.1, ["community_honours"]),
    ],
)
def test_actions_by_tier_and_stage_the_highest_priority_first(person, outcomes, user, probability, actions):
    assert outcomes(person(**user), probability)["actions"] == actions


def test_who_opted_out_gets_no_action_and_keeps_tier_and_stage(person, outcomes):
    found = outcomes(person(personalisation_opt_out=True, **HEAD), 0.9)
    assert (found["tier"], found["stage"], found["actions"]) == ("head_creator", "churn_warning", [])


def test_a_minor_is_helped_and_honoured_and_never_marketed_to(person, outcomes):
    def actions(probability=0.1, **user):
        return outcomes(person(is_minor=True, **user), probability)["actions"]

    assert actions(**HEAD, probability=0.9) == []
    assert actions(**KOC) == []
    assert actions(registered=1, did={"open": [0.5]}) == ["newcomer_guide", "newcomer_tasks"]
    assert actions(did={"publish": [1], "share": [2] * 5}) == ["community_honours"]


def decision(shipped, labels=(), quality=50.0, **beside):
    known = NoteKnown([LabelSaid(*one) for one in labels], quality, beside)
    facts = note_facts(shipped.note_facts, [known], promote_from=70, limit_below=25)
    return shipped.note_rule(shipped.notes(facts)[0]).outcome


@pytest.mark.parametrize(
    ("labels", "quality", "expected"),
    [
        ([("spam", "harm", 0.6, True)], 99, "review"),
        ([("spam", "harm", 0.6, False)], 99, "promote"),
        ([("useful", "merit", 0.9, True), ("story", "neutral", 0.9, True)], 50, "pass"),
        ([], 24.99, "limit"),
        ([], 25, "pass"),
        ([], 69.99, "pass"),
        ([], 70, "promote"),
        ([], None, "pass"),  # nothing to read in it
        ([("spam", "harm", 0.999, True)], 5, "review"),  # the machine alone blocks nothing
    ],
)
def test_decisions_from_what_the_model_says(shipped, labels, quality, expected):
    assert decision(shipped, labels, quality) == expected


@pytest.mark.parametrize(
    ("tier", "probability", "expected"),
    [("koc", 0.7, "review"), ("koc", 0.69, "pass"), ("head_creator", 0.7, "review"), ("active", 0.7, "pass")],
)
def test_who_has_wide_reach_is_looked_at_sooner(shipped, tier, probability, expected):
    spam = [("spam", "harm", probability, False)]
    assert decision(shipped, spam, author_tier=TIER_CODES[Tier(tier)]) == expected


@pytest.mark.parametrize(
    ("beside", "probability", "expected"),
    [
        ({"n_reports": 3, "author_credibility": 0.29}, 0.98, "block"),
        ({"n_reports": 2, "author_credibility": 0.29}, 0.98, "pass"),
        ({"n_reports": 3, "author_credibility": 0.3}, 0.98, "pass"),
        ({"n_reports": 3, "author_credibility": 0.29}, 0.97, "pass"),
        ({"n_reports": 5}, 0.0, "review"),
        ({"reach": 10_000}, 0.3, "review"),
        ({"reach": 9_999}, 0.3, "pass"),
    ],
)
def test_reports_reach_and_credibility_count_once_they_are_known(shipped, beside, probability, expected):
    assert decision(shipped, [("spam", "harm", probability, False)], **beside) == expected


def test_everything_a_policy_can_say_has_words_in_both_languages():
    assert {*WORDS} == {*Tier, *Stage, *ActionKind, *Decision}
    assert all(text.zh and text.en for text in WORDS.values())


def test_the_shipped_policy_knows_every_tier_stage_action_and_decision(shipped):
    policy = shipped.policy
    assert {one.outcome for one in policy.tiers} == {*Tier}
    assert {one.outcome for one in policy.stages} == {*Stage}
    assert {one.outcome for one in policy.notes} == {*Decision}
    assert {one.kind for one in policy.actions} == {*ActionKind}
