"""A run's settings: each mistake is named with its file, key and value."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from training.churn.config import ChurnConfig, Every
from training.config import read_config
from training.errors import ConfigError

Read = Callable[[str], ChurnConfig]

ASCENDING = "expected 1 to 8 numbers of days, ascending without repeats"
NAIVE = "the time has no offset such as Z or +08:00"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a file that holds some text."""

    def from_text(text: str) -> ChurnConfig:
        file = tmp_path / "churn.toml"
        file.write_text(text, encoding="utf-8")
        return read_config(file, ChurnConfig)

    return from_text


def test_without_a_file_all_is_chosen_from_the_log() -> None:
    config = read_config(None, ChurnConfig)
    assert (config.horizon_days, config.main_horizon, config.present_days, config.seed) == ((7, 14, 30), 30, 30, 7)
    assert (config.test_as_of, config.train_as_of, config.n_test_instants) == (None, None, 4)
    assert (config.gates.min_auc_difference, config.gates.max_ece) == (-0.005, 0.1)


def test_what_a_file_says_is_taken(read: Read) -> None:
    config = read("horizon_days = [90]\nactive_days = 180\nseed = 0\n[gates]\nmax_ece = 0.06")
    assert (config.main_horizon, config.present_days, config.seed, config.gates.max_ece) == (90, 180, 0, 0.06)


@pytest.mark.parametrize(
    "text",
    ['"2011-06-01"', "2011-06-01", '"2011-06-01T08:00:00+08:00"', "2011-06-01T08:00:00+08:00", "2011-06-01T00:00:00Z"],
)
def test_an_instant_is_a_date_or_a_time_with_its_offset(read: Read, text: str) -> None:
    assert read(f"test_as_of = {text}").test_as_of == datetime(2011, 6, 1, tzinfo=UTC)


def test_training_instants_are_a_list_or_a_span(read: Read) -> None:
    first, second = datetime(2011, 6, 1, tzinfo=UTC), datetime(2011, 7, 1, tzinfo=UTC)
    assert read('train_as_of = [2011-06-01, "2011-07-01"]').train_as_of == (first, second)
    span = read('train_as_of = {start = 2011-06-01, end = "2011-07-01", every_days = 7}').train_as_of
    assert span == Every(start=first, end=second, every_days=7)


@pytest.mark.parametrize(
    ("text", "key", "what", "value"),
    [
        ("horizon = [7]", "horizon", "Extra inputs are not permitted", "[7]"),
        ("gates.max_erc = 1", "gates.max_erc", "Extra inputs are not permitted", "1"),
        ("seed = '7'", "seed", "Input should be a valid integer", "'7'"),
        ("seed = 4294967296", "seed", "Input should be less than 2147483648", "4294967296"),
        ("active_days = 0", "active_days", "Input should be greater than or equal to 1", "0"),
        ("horizon_days = 30", "horizon_days", "Input should be a valid tuple", "30"),
        ("horizon_days = [7.5]", "horizon_days.0", "Input should be a valid integer", "7.5"),
        ("horizon_days = [730]", "horizon_days.0", "Input should be less than or equal to 729", "730"),
        ("horizon_days = [30, 7]", "horizon_days", ASCENDING, "[30, 7]"),
        ("horizon_days = [7, 7]", "horizon_days", ASCENDING, "[7, 7]"),
        ("horizon_days = []", "horizon_days", ASCENDING, "[]"),
        ("test_as_of = 2011-06-01T00:00:00", "test_as_of", NAIVE, "datetime.datetime(2011, 6, 1, 0, 0)"),
        ("test_as_of = '2011-06-01T00:00:00'", "test_as_of", NAIVE, "'2011-06-01T00:00:00'"),
        ("test_as_of = 'June'", "test_as_of", "Invalid isoformat string: 'June'", "'June'"),
        ("test_as_of = 1306886400", "test_as_of", "expected a date, or a time with its offset", "1306886400"),
        ("train_as_of = '2011-06-01'", "train_as_of.list", "Input should be a valid tuple", "'2011-06-01'"),
        ("train_as_of = [2011-06-01, '']", "train_as_of.list.1", "Invalid isoformat string: ''", "''"),
        ("train_as_of.every_days = 7", "train_as_of.table.start", "Field required", "{'every_days': 7}"),
        ("gates.max_ece = '0.1'", "gates.max_ece", "Input should be a valid number", "'0.1'"),
        ("gates.max_ece = 1.5", "gates.max_ece", "Input should be less than or equal to 1", "1.5"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_value(
    read: Read, tmp_path: Path, text: str, key: str, what: str, value: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).splitlines()[0] == f"{tmp_path}/churn.toml: {key}: {what}, got {value}"


def test_every_mistake_is_named(read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        read("seed = -1\nhorizons = [7]")
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["seed", "horizons"]


def test_a_file_that_is_no_toml_is_named(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/churn.toml: Invalid value"):
        read("seed =")


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path / name)):
        read_config(tmp_path / name, ChurnConfig)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "churn.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"churn\.toml: 'utf-8' codec"):
        read_config(tmp_path / "churn.toml", ChurnConfig)
