"""What a policy says otherwise, and how many users it puts where."""

import numpy as np

from models.policy.diff import diff
from models.policy.evaluation import UserOutcomes
from models.policy.populations import Populations, markdown
from models.policy.schema import read_policy


def test_a_policy_differs_from_itself_in_nothing(shipped):
    assert diff(shipped.policy, shipped.policy) == []


def test_what_changed_came_went_and_moved_is_said_rule_by_rule(policy_text):
    before = policy_text(tiers=[("koc", ["n_followers >= 10"]), ("active", ["n_share >= 1"])])
    after = policy_text(tiers=[("koc", ["n_followers >= 20", "n_like >= 1"]), ("active", ["n_share >= 1"])])
    after = after.replace("priority = 1", "priority = 2").replace('en = "Guide"', 'en = "Lead"')
    assert diff(read_policy(before), read_policy(after)) == [
        "tiers: r0: when was [n_followers >= 10], is [n_followers >= 20, n_like >= 1]",
        "actions: guide: priority was 1, is 2",
        "actions: guide: text was 引导 / Guide, is 引导 / Lead",
    ]
    moved = before.replace('"r0"', '"x"').replace('"r1"', '"r0"').replace('"x"', '"r1"')
    assert "tiers: the order was r0, r1, all, is r1, r0, all" in diff(read_policy(before), read_policy(moved))
    less = policy_text(tiers=[("koc", ["n_followers >= 10"])])
    assert diff(read_policy(before), read_policy(less)) == ["tiers: r1 is gone"]
    assert diff(read_policy(less), read_policy(before)) == ["tiers: r1 is new, active when [n_share >= 1]"]


def test_populations_count_users_by_tier_stage_and_action(shipped):
    stages = {rule.name: place for place, rule in enumerate(shipped.policy.stages)}
    tiers = {rule.name: place for place, rule in enumerate(shipped.policy.tiers)}
    tier = np.array([tiers["koc"], tiers["active_by_posting"], tiers["active_by_engagement"]])
    stage = np.array([stages["steady"], stages["away"], stages["at_risk"]])
    eligible = np.zeros((3, len(shipped.actions)), np.bool_)
    eligible[:2, 0] = True
    nobody = np.zeros(3, np.bool_)
    before, after = Populations(), Populations()
    for _ in range(2):
        after.add(shipped, UserOutcomes(tier, stage, eligible, nobody))
    before.add(shipped, UserOutcomes(tier, stage, eligible, nobody))
    rows = after.rows(before)
    assert rows[0] == ["", "explore", "nurture", "engage", "loyal", "advocate", "churn_warning", "all"]
    assert rows[2] == ["active", "0", "0", "0", "0", "0", "4 (+2)", "4 (+2)"]
    assert rows[3] == ["koc", "0", "0", "0", "2 (+1)", "0", "0", "2 (+1)"]
    assert rows[-1][-1] == "6 (+3)"
    assert after.action_rows()[1] == [shipped.actions[0].name, "4"]
    assert markdown([["a", "bc"], ["d", "e"]]) == "| a | bc |\n| --- | --- |\n| d | e  |"
