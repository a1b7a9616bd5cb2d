"""A policy file is good, or every line that is not is named."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policy.errors import PolicyError
from models.policy.lines import read_document
from models.policy.schema import MAX_CONDITIONS, MAX_CONDITIONS_IN_ALL, MAX_ENTRIES, read_policy


def problems(text):
    with pytest.raises(PolicyError) as caught:
        read_policy(text)
    return [(one.line, one.code) for one in caught.value.problems]


def line_of(text, fragment):
    """The number of the only line that holds this."""
    (found,) = [number for number, line in enumerate(text.split("\n"), 1) if fragment in line]
    return found


def test_the_version_is_of_what_the_file_says_not_of_how_it_is_laid_out(policy_text):
    text = policy_text(tiers=[("koc", ["n_followers >= 5"])])
    same = text.replace("'n_followers >= 5'", '\n  "n_followers >= 5",  # five\n')
    assert read_policy(text).version == read_policy(same).version
    assert read_policy(text).version != read_policy(text.replace(">= 5", ">= 6")).version


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('name = "least"', "name = 3", "bad_type"),
        ('name = "least"', 'name = " "', "bad_type"),
        ("format = 1", "format = 2", "bad_format"),
        ('tier = "ordinary"', 'tier = "vip"', "unknown_name"),
        ('stage = "nurture"', 'stage = "koc"', "unknown_name"),
        ('decision = "pass"', 'decision = "delete"', "unknown_name"),
        ('kind = "newcomer_guide"', 'kind = "coupon"', "unknown_name"),
        ("priority = 1", "priority = 1.5", "bad_type"),
        ("priority = 1", "priority = true", "bad_type"),
        ("priority = 1", "priority = 1001", "out_of_range"),
        ("cooldown_days = 1", "cooldown_days = -1", "out_of_range"),
        ("cooldown_days = 1", "cooldown = 1", "unknown_key"),
        ("priority = 1", "priority = 1\ndaily_cap = 0", "out_of_range"),
        ("priority = 1", "priority = 1\nmoney = nan", "out_of_range"),
        ("priority = 1", 'priority = 1\ntiers = ["koc", "vip"]', "unknown_name"),
        ("priority = 1", "priority = 1\ntiers = []", "bad_type"),
        ("priority = 1", 'priority = 1\nwhen = "n_share_30d > 1"', "bad_type"),
        ("priority = 1", "priority = = 1", "not_toml"),
    ],
)
def test_a_bad_key_or_value_is_named_by_its_line(policy_text, old, new, code):
    text = policy_text().replace(old, new)
    assert (line_of(text, new.split("\n")[-1]), code) in problems(text)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("n_followers is many", "bad_condition"),
        ("n_followers => 3", "bad_condition"),
        ("n_followers >= inf", "bad_condition"),
        ("n_followers >= n_followers", "bad_condition"),
        ("followers >= 3", "unknown_fact"),
        ("n_followers >= 3 users", "bad_condition"),
        ("n_followers >= -1", "out_of_range"),
        ("n_followers < 0", "out_of_range"),
        ("n_active_days_30d > 30", "out_of_range"),
        ("churn_probability >= 0.5", "unknown_fact"),  # tiers are of states alone
        ("quality > 50", "unknown_fact"),
    ],
)
def test_a_bad_condition_is_named_by_its_own_line_also_in_a_list_of_many_lines(policy_text, condition, code):
    text = policy_text(tiers=[("koc", ["WHEN"])])
    text = text.replace("['WHEN']", f'[\n  "n_publish_90d >= 3", # a comment ]\n  "{condition}",\n]')
    assert problems(text) == [(line_of(text, condition), code)]


def test_every_problem_is_told_at_once_in_the_order_of_the_lines(policy_text):
    text = (
        policy_text()
        .replace("priority = 1", "priority = 1001")
        .replace('"ordinary"', '"vip"')
        .replace("= 1\n", "= 7\n", 1)
    )
    assert [code for _, code in problems(text)] == ["bad_format", "unknown_name", "out_of_range"]


def test_sections_rules_and_texts_that_are_missing_are_told(policy_text):
    assert {code for _, code in problems("format = 1")} == {"bad_type", "missing_section"}
    assert [code for _, code in problems("tiers = 3\n" + policy_text().replace("[[tiers]]", "[x]"))][:1] == [
        "missing_section"
    ]
    text = policy_text().replace('zh = "引导"\n', "")
    assert problems(text) == [(line_of(text, "[[actions]]"), "bad_type")]


def test_two_rules_of_one_name_and_too_many_rules_are_refused(policy_text):
    twice = policy_text(tiers=[("koc", ["n_followers >= 5"])]).replace('rule = "r0"', 'rule = "all"')
    assert [code for _, code in problems(twice)] == ["duplicate_name"]
    many = policy_text(tiers=[("koc", [f"n_followers >= {n}"]) for n in range(MAX_ENTRIES, 0, -1)])
    assert [code for _, code in problems(many)] == ["too_many"]


def test_too_many_conditions_of_a_rule_or_of_all_rules_are_refused(policy_text):
    long = [f"n_followers > {n}" for n in range(MAX_CONDITIONS + 1)]
    text = policy_text(tiers=[("koc", long)])
    assert problems(text) == [(line_of(text, "n_followers > 20"), "too_many")]
    most, rule = MAX_CONDITIONS_IN_ALL // MAX_CONDITIONS, long[:MAX_CONDITIONS]
    rules = [("koc", [*rule[1:], f"n_share = {n}"]) for n in range(most)]
    assert len(read_policy(policy_text(tiers=rules)).tiers) == most + 1
    one_more = policy_text(tiers=rules, stages=[("loyal", ["n_share > 1"])])
    assert [code for _, code in problems(one_more)] == ["too_many"]


@pytest.mark.parametrize(
    ("rules", "fires_never"),
    [
        ([("koc", ["n_followers >= 10"]), ("active", ["n_followers >= 20"])], 1),
        ([("koc", ["n_followers > 10"]), ("active", ["n_followers >= 11", "n_share > 1"])], 1),
        ([("koc", ["n_followers >= 10", "n_followers < 10"])], 0),
        ([("koc", ["n_followers >= 10", "n_followers is unknown"])], 0),
        ([("koc", ["n_share >= n_like", "n_like > n_share"])], 0),
        ([("koc", ["n_followers is known"]), ("active", ["n_followers = 3"])], 1),
        ([("koc", ["n_followers is unknown"]), ("active", ["n_followers is unknown", "n_share > 1"])], 1),
    ],
)
def test_a_rule_that_can_never_fire_is_named(policy_text, rules, fires_never):
    text = policy_text(tiers=rules)
    assert problems(text) == [(line_of(text, f'rule = "r{fires_never}"') - 1, "never_fires")]


@pytest.mark.parametrize(
    "rules",
    [
        [("koc", ["n_followers >= 20"]), ("active", ["n_followers >= 10"])],
        [("koc", ["n_followers >= 10", "n_share > 1"]), ("active", ["n_followers >= 20"])],
        [("koc", ["n_followers >= 10"]), ("active", ["n_followers is unknown"])],
        [("koc", ["n_share >= n_like"]), ("active", ["n_like > 3"])],
    ],
)
def test_a_rule_that_may_fire_is_left_alone(policy_text, rules):
    assert len(read_policy(policy_text(tiers=rules)).tiers) == 3


def test_the_last_rule_alone_is_for_the_rest(policy_text):
    text = policy_text(stages=[("loyal", [])])
    assert problems(text) == [(line_of(text, 'rule = "r0"') - 1, "catch_all_not_last")]
    text = policy_text().replace('decision = "pass"', 'decision = "pass"\nwhen = ["quality > 5"]')
    assert problems(text) == [(line_of(text, "[[notes]]"), "no_catch_all")]


def test_an_action_for_a_tier_that_no_rule_gives_is_named(policy_text):
    text = policy_text(action='tiers = ["koc"]')
    assert problems(text) == [(line_of(text, "[[actions]]"), "never_fires")]
    text = policy_text(action='when = ["n_share > 3", "n_share < 3"]')
    assert problems(text) == [(line_of(text, "[[actions]]"), "never_fires")]


SPENDING = [("koc", ["n_purchase_90d >= 3"])]


@pytest.mark.parametrize(
    ("action", "tiers"),
    [
        ('money = 5\nwhen = ["value_total > 100"]', []),
        ('money = 5\nwhen = ["n_share > days_since_last_purchase"]', []),
        ('money = 5\ntiers = ["ordinary"]', SPENDING),
    ],
)
def test_money_that_varies_by_spending_power_is_flagged(policy_text, action, tiers):
    text = policy_text(action=action, tiers=tiers)
    assert problems(text) == [(line_of(text, "[[actions]]"), "money_by_spending")]


@pytest.mark.parametrize(
    ("action", "tiers"),
    [
        ("money = 5", SPENDING),  # the same for every tier
        ('money = 5\nwhen = ["n_share > 3"]', []),
        ('tiers = ["ordinary"]', SPENDING),  # no money
        ('money = 0\ntiers = ["ordinary"]', SPENDING),
    ],
)
def test_money_for_all_alike_and_spending_without_money_are_allowed(policy_text, action, tiers):
    assert len(read_policy(policy_text(action=action, tiers=tiers)).actions) == 1


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "a = 1" + "0" * 5_000, "[[a]]\n[a]\n", 'a = "x\n', "\x00", "["])
def test_what_is_no_toml_is_refused_and_nothing_breaks(text):
    assert [code for _, code in problems(text)] == ["not_toml"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{'.'.join('a' * 9)} = 1", "bad_type"),
        (f"[{'.'.join('a' * 9)}]", "bad_type"),
        (f"a = {'[' * 9}{']' * 9}", "bad_type"),
        ("a" + ".a" * 90_000 + " = 1", "not_toml"),  # tomllib alone takes minutes to read it
        ("a" + '."a"' * 45_000 + " = 1", "not_toml"),
        ("x = {a" + ".a" * 90_000 + " = 1}", "not_toml"),
    ],
)
def test_tables_and_arrays_that_lie_too_deep_in_each_other_are_refused(text, code):
    assert problems(text) == [(1, code)]


@pytest.mark.parametrize("number", ["0x" + "f" * 5_000, "0b1" + "0" * 63, "-9223372036854775809"])
def test_a_whole_number_of_more_than_64_bits_is_named_by_its_line(policy_text, number):
    text = policy_text().replace("priority = 1", f"priority = [\n1,\n{number}]")
    assert problems(text) == [(line_of(text, number[:40]), "out_of_range")]


ONE_LINE = ['"{}"', "'{}'", '[ # {}\n  "x"\n]', "1 # {}"]
MANY_LINES = ['"""{}"""', "'''{}'''"]
WITHIN = st.text("[]{},#= a", max_size=12)


@given(
    st.lists(
        st.tuples(st.sampled_from(ONE_LINE), WITHIN)
        | st.tuples(st.sampled_from(MANY_LINES), st.lists(WITHIN).map("\n".join)),
        max_size=12,
    )
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_what_strings_and_comments_hold_moves_no_line(written):
    lines, text = [], ""
    for place, (form, within) in enumerate(written):
        lines.append(text.count("\n") + 1)
        text += f"k{place} = {form.format(within)}\n"
    document = read_document(text)
    assert [document.line((f"k{place}",)) for place in range(len(written))] == lines


@pytest.mark.parametrize(
    ("begin", "unit", "end"), [('a = """\n', "[\n", '"""'), ("a = [\n", "1,\n", "]"), ("", '[[r]]\nb = "x"\n', "")]
)
def test_the_time_grows_with_the_text_and_not_with_its_square(begin, unit, end):
    def seconds(n_chars):
        text = begin + unit * (n_chars // len(unit)) + end
        began = time.process_time()
        read_document(text)
        return time.process_time() - began

    assert seconds(200_000) < 300 * min(seconds(4_000) for _ in range(5))  # linear is 50, quadratic 2,500


def test_lines_are_those_of_keys_headers_and_entries():
    text = 'a = 1\n\n[t.u]\nb = """\n[x]\n"""\nc.d = [\n  1, 2,\n  3]\n[[r]]\ne = {f = 1}\n[[r]]\n[r.s]\ng = 2\n'
    document = read_document(text)
    assert document.data == {
        "a": 1,
        "t": {"u": {"b": "[x]\n", "c": {"d": [1, 2, 3]}}},
        "r": [{"e": {"f": 1}}, {"s": {"g": 2}}],
    }
    expected = {
        ("a",): 1, ("t", "u"): 3, ("t", "u", "b"): 4, ("t", "u", "c", "d"): 7, ("t", "u", "c", "d", 1): 8,
        ("t", "u", "c", "d", 2): 9, ("r", 0): 10, ("r", 0, "e", "f"): 11, ("r", 1): 12, ("r", 1, "s", "g"): 14,
    }  # fmt: skip
    assert {path: document.line(path) for path in expected} == expected
    assert document.line(("r", 1, "missing")) == 12


@given(st.text(max_size=300))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_text_is_a_policy_or_has_problems_with_lines_in_it(text):
    with pytest.raises(PolicyError) as caught:
        read_policy(text)
    assert all(1 <= one.line <= text.count("\n") + 1 for one in caught.value.problems)
