"""Many at once are what each is alone, and rules fire just where their conditions hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schema import EVENT_KINDS, IMPRESSION
from features.state import DAY_US, Event, UserState, UserStates
from features.user import WINDOWS, Seen
from models.policy.conditions import Conjunctions, read_condition
from models.policy.facts import ENGAGEMENT, NOTE_FACTS, USER_FACTS, Fact, note_fact
from models.policy.note_facts import LabelSaid, NoteKnown, note_facts
from models.policy.user_facts import ChurnKnown, UserFacts

NOW = 20_000 * DAY_US


@pytest.fixture(scope="module")
def crowd():
    """1,000 users of every sort, as they are stored."""
    rng = np.random.default_rng(3)

    def one(n):
        days = int(rng.integers(1, 300))
        ages = rng.gamma(1.0, 40 * DAY_US, rng.integers(0, 120)).astype(np.int64) % (days * DAY_US) + 1
        events = [
            Event(int(kind), NOW - int(age)) for kind, age in zip(rng.integers(0, 15, len(ages)), ages, strict=True)
        ]
        profile = {"n_followers": int(10 ** rng.uniform(0, 5)) if n % 3 else -1, "is_minor": n % 7 == 0}
        return UserState(registered_at=NOW - days * DAY_US, personalisation_opt_out=n % 11 == 0, **profile).fold(events)

    return [one(n).encode() for n in range(1_000)]


def test_a_thousand_users_at_once_are_what_each_is_alone(crowd, shipped):
    probability = np.random.default_rng(4).random(1_000).astype(np.float32)
    probability[::9] = np.nan
    whole = shipped.users(Seen(UserStates.decode(crowd), NOW), ChurnKnown(probability, 0.6))
    assert len({*whole.tier.tolist()}) == len(shipped.policy.tiers)
    assert len({*whole.stage.tolist()}) == len(shipped.policy.stages)
    assert whole.eligible.any(axis=0).all()
    each = whole.each()
    for row in range(0, 1_000, 7):
        alone = shipped.users(
            Seen(UserStates.decode(crowd[row : row + 1]), NOW), ChurnKnown(probability[row : row + 1], 0.6)
        )
        assert (alone.tier[0], alone.stage[0]) == (whole.tier[row], whole.stage[row])
        assert alone.eligible[0].tolist() == whole.eligible[row].tolist()
        assert [each[row]] == alone.each()


def test_no_users_and_no_notes_give_no_outcomes(shipped):
    none = shipped.users(Seen(UserStates.decode([]), NOW), ChurnKnown(np.empty(0, np.float32), 0.5))
    assert (none.tier.shape, none.eligible.shape) == ((0,), (0, len(shipped.actions)))
    assert shipped.notes(note_facts(shipped.note_facts, [], promote_from=70, limit_below=25)).shape == (0,)


def test_the_law_holds_for_everyone_whatever_the_file_says(crowd, shipped):
    states = UserStates.decode(crowd)
    found = shipped.users(Seen(states, NOW), ChurnKnown(np.full(1_000, 0.7, np.float32), 0.6))
    marketing = [one.kind not in ("newcomer_guide", "newcomer_tasks", "community_honours") for one in shipped.actions]
    assert not found.eligible[states.personalisation_opt_out].any()
    assert not found.eligible[states.is_minor][:, marketing].any()
    assert found.eligible[~states.is_minor & ~states.personalisation_opt_out][:, marketing].any()


def test_a_thousand_notes_at_once_are_what_each_is_alone(shipped):
    rng = np.random.default_rng(5)
    notes = [
        NoteKnown(
            [LabelSaid("spam", "harm", chance, chance > 0.8), LabelSaid("useful", "merit", 1 - chance, chance < 0.3)],
            float(rng.uniform(0, 100)),
            {"author_tier": float(rng.integers(0, 4))} if n % 2 else {},
        )
        for n, chance in enumerate(rng.random(1_000).tolist())
    ]
    levels = {"promote_from": 70.0, "limit_below": 25.0}
    whole = shipped.notes(note_facts(shipped.note_facts, notes, **levels))
    assert {shipped.note_rule(one).name for one in whole.tolist()} == {
        "flagged_harm", "creator_and_doubtful", "poor_quality", "good_quality", "sound",
    }  # fmt: skip
    alone = [shipped.notes(note_facts(shipped.note_facts, [one], **levels))[0] for one in notes]
    assert alone == whole.tolist()


def test_every_fact_of_users_is_what_its_name_says(crowd):
    names = [*USER_FACTS]
    states = [UserState.decode(one) for one in crowd[:50]]
    churn = ChurnKnown(np.linspace(0, 1, 50, dtype=np.float32), 0.25)
    table = UserFacts(names).read(Seen(UserStates.decode(crowd[:50]), NOW), churn)
    columns = dict(zip(names, table.T, strict=False))
    today = (NOW - 1 + 8 * DAY_US // 24) // DAY_US
    for days in WINDOWS:
        by_kind = {
            kind: [
                sum(t.n for (day, code), t in one.tallies.items() if code == place and today - day < days)
                for one in states
            ]
            for place, kind in enumerate(EVENT_KINDS)
        }
        for kind, expected in by_kind.items():
            assert columns[f"n_{kind}_{days}d"].tolist() == expected
        assert (
            columns[f"n_engagement_{days}d"].tolist() == np.sum([by_kind[kind] for kind in ENGAGEMENT], axis=0).tolist()
        )
    assert np.nan_to_num(columns["n_followers"], nan=-1).tolist() == [one.n_followers for one in states]
    assert columns["churn_probability"].tolist() == churn.probability.tolist()
    assert (table[:, -1] == 0).all()
    assert EVENT_KINDS.index("impression") == IMPRESSION


def test_without_a_churn_model_what_it_says_is_unknown(crowd):
    table = UserFacts(["churn_probability", "churn_threshold"]).read(Seen(UserStates.decode(crowd[:2]), NOW), None)
    assert np.isnan(table[:, :2]).all()


def test_a_fact_without_a_definition_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="no fact of users is called n_smiles"):
        UserFacts(["n_smiles", "n_share"])


def test_every_fact_says_what_it_is():
    for one in [*USER_FACTS.values(), *NOTE_FACTS.values()]:
        assert one.unit
        assert one.source
        assert one.missing
        assert one.low < one.high
    assert note_fact("probability.spam").high == 1
    assert note_fact("probability.") is None


def test_a_neutral_label_decides_nothing():
    known = NoteKnown([LabelSaid("story", "neutral", 0.9, True), LabelSaid("spam", "harm", 0.2, False)], 50.0)
    names = ("probability.story", "probability.spam", "n_harms", "harm_probability")
    row = note_facts(names, [known], promote_from=70, limit_below=25)[0].tolist()
    assert np.isnan(row[0])
    assert row[1:] == [0.2, 0, 0.2]


FACTS = {name: Fact(name, "x", "x", "x", low=-100) for name in "abc"}
_values = st.one_of(st.none(), st.integers(-5, 5))
_conditions = st.one_of(
    st.tuples(st.sampled_from("abc"), st.sampled_from([">=", "<=", ">", "<", "="]), st.integers(-5, 5).map(str)),
    st.tuples(st.just("a"), st.sampled_from([">=", "<=", ">", "<", "="]), st.sampled_from("bc")),
    st.tuples(st.sampled_from("abc"), st.just("is"), st.sampled_from(["unknown", "known"])),
)
COMPARE = {">=": np.greater_equal, "<=": np.less_equal, ">": np.greater, "<": np.less, "=": np.equal}


def holds(condition, row):
    """A condition as a person reads it."""
    name, operator, value = condition
    left = row[name]
    if operator == "is":
        return (left is None) == (value == "unknown")
    right = row[value] if value in row else int(value)
    return left is not None and right is not None and bool(COMPARE[operator](left, right))


@given(
    st.lists(st.lists(_conditions, max_size=3), min_size=1, max_size=6),
    st.lists(st.tuples(_values, _values, _values), min_size=1, max_size=8),
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_rules_fire_where_a_person_would_say_so(rules, rows):
    compiled = Conjunctions([[read_condition(" ".join(one), FACTS.get) for one in rule] for rule in rules])
    people = [dict(zip("abc", row, strict=True)) for row in rows]
    facts = [[np.nan if one[name] is None else one[name] for name in compiled.facts] + [0] for one in people]
    expected = [[all(holds(one, person) for one in rule) for rule in rules] for person in people]
    assert compiled.fired(np.array(facts, np.float64)).tolist() == expected
