"""A challenger becomes champion if it holds its own on the same held-out users, and only then."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.errors import DataError
from features.sources import Dataset
from models.bundle import Bundle, read_bundle
from models.churn.scorer import ChurnScorer
from training.churn.comparison import compare
from training.churn.config import ChurnConfig
from training.churn.evaluation import Evaluation
from training.errors import GateError, ReleaseError
from training.gates import Gate
from training.promotion import Reason, promote, rollback
from training.tracking import CHAMPION, Registry, Version

Register = Callable[[str], Version]
Promote = Callable[[], Version]

REASON = Reason(by="mei", why="为什么: the spring model")


@pytest.fixture
def try_promotion(
    registry: Registry, community: Path, open_dataset: Callable[[Path], Dataset], configure: Callable[..., ChurnConfig]
) -> Promote:
    """Promote the challenger, judged on the community."""

    def on_the_community(ours: Bundle, theirs: Bundle | None) -> list[Gate]:
        champion = ChurnScorer(theirs) if theirs else None
        return compare(ChurnScorer(ours), champion, open_dataset(community), configure())

    return lambda: promote(registry, "churn", on_the_community, REASON).version


def test_the_first_model_needs_no_champion_to_beat(
    register: Register, try_promotion: Promote, registry: Registry
) -> None:
    version = register("model")
    assert try_promotion() == version == registry.find("churn", CHAMPION)


def test_a_challenger_as_good_as_the_champion_takes_its_place(
    register: Register, try_promotion: Promote, registry: Registry
) -> None:
    register("model")
    try_promotion()
    register("twin")
    assert try_promotion().number == "2"
    assert registry.find("churn", CHAMPION).number == "2"


def test_a_worse_challenger_leaves_the_champion_where_it_is(
    register: Register, try_promotion: Promote, registry: Registry
) -> None:
    champion = register("model")
    try_promotion()
    worse = register("wrong")
    with pytest.raises(GateError, match=r"auc_difference_to_champion -0\.\d+, required at least -0\.005"):
        try_promotion()
    assert registry.find("churn", CHAMPION) == champion
    assert registry.moves(worse) == []


def test_a_first_model_out_of_calibration_is_no_champion(
    register: Register, try_promotion: Promote, registry: Registry
) -> None:
    register("fearful")
    with pytest.raises(GateError, match=r"^ece 0\.\d+, required at most 0\.1$"):
        try_promotion()
    assert registry.find("churn", CHAMPION) is None


def test_the_champion_cannot_be_promoted_again(register: Register, try_promotion: Promote) -> None:
    register("model")
    try_promotion()
    with pytest.raises(ReleaseError, match="version 1 is the champion already"):
        try_promotion()


def test_without_a_challenger_there_is_nothing_to_promote(try_promotion: Promote) -> None:
    with pytest.raises(ReleaseError, match="no churn version with the alias challenger"):
        try_promotion()


def test_rollback_brings_back_the_champion_before(
    register: Register, try_promotion: Promote, registry: Registry
) -> None:
    first = register("model")
    try_promotion()
    second = register("twin")
    try_promotion()
    assert rollback(registry, "churn", REASON) == first == registry.find("churn", CHAMPION)
    with pytest.raises(ReleaseError, match="no champion before"):
        rollback(registry, "churn", REASON)
    assert [(move.kind, move.origin) for move in registry.moves(first)] == [("promote", None), ("rollback", "2")]
    assert [(move.kind, move.origin) for move in registry.moves(second)] == [("promote", "1")]


def test_a_move_says_who_when_and_why(register: Register, try_promotion: Promote, registry: Registry) -> None:
    register("model")
    before = datetime.now(UTC)
    (move,) = registry.moves(try_promotion())
    assert (move.by, move.why) == (REASON.by, REASON.why)
    assert move.gates["passed"]
    assert move.gates["ece"]["maximum"] == 0.1
    assert before <= datetime.strptime(move.at, "%Y%m%dT%H%M%S.%f%z") <= datetime.now(UTC)


def test_rollback_needs_a_champion(registry: Registry) -> None:
    with pytest.raises(ReleaseError, match="no churn version with the alias champion"):
        rollback(registry, "churn", REASON)


@pytest.fixture
def scorer(variants: dict[str, Path]) -> Callable[[str], ChurnScorer]:
    return lambda name: ChurnScorer(read_bundle(variants[name]))


def test_promotion_judges_the_users_that_training_held_out(
    scorer: Callable[[str], ChurnScorer],
    community: Path,
    open_dataset: Callable[[Path], Dataset],
    configure: Callable[..., ChurnConfig],
    evaluation: Evaluation,
) -> None:
    (gate,) = compare(scorer("model"), None, open_dataset(community), configure())
    assert gate.value == pytest.approx(evaluation.main.qualities["model"].ece, abs=1e-6)


@pytest.mark.parametrize(
    ("test_as_of", "message"),
    [("2023-04-20", "before the 14 days after test_as_of 2023-04-20"), ("2022-12-31", "nobody can be compared")],
)
def test_where_held_out_users_cannot_be_judged_nothing_is_compared(
    scorer: Callable[[str], ChurnScorer],
    community: Path,
    open_dataset: Callable[[Path], Dataset],
    configure: Callable[..., ChurnConfig],
    test_as_of: str,
    message: str,
) -> None:
    with pytest.raises(DataError, match=message):
        compare(scorer("model"), scorer("twin"), open_dataset(community), configure(test_as_of=test_as_of))
