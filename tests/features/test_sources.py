"""What a bad table is told, and which tables are good."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from features.sources import Dataset

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Write: TypeAlias = Callable[[Path, Rows], Path]
Open: TypeAlias = Callable[[Path], Dataset]

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ABSENT = object()
HEADER = "event_id,user_id,event,occurred_at,value\n"
GOOD_LINE = "e1,u1,click,2024-05-01T12:00:00Z,1\n"


def events(*changes: Mapping[str, Any]) -> Rows:
    """A good event for each set of changes, changed so."""
    rows = []
    for place, changed in enumerate(changes or [{}]):
        good = {"event_id": f"e{place}", "user_id": "u1", "event": "click", "occurred_at": NOON, "value": 1.5}
        rows.append({name: value for name, value in (good | dict(changed)).items() if value is not ABSENT})
    return rows


def problems(folder: Path, file: str, dataset: Open) -> list[str]:
    """The lines of the folder's one error, without the path of the file that each begins with."""
    with pytest.raises(DataError) as caught:
        dataset(folder)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{folder / file}: ") for line in lines)
    return [line.removeprefix(f"{folder / file}: ") for line in lines]


BOTH = pytest.mark.parametrize("file", ["events.parquet", "events.csv"])
AT = "column occurred_at: "
VALUE = "column value: "


@BOTH
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param(
            [{"user_id": ABSENT}],
            "column user_id is missing (found: event_id, event, occurred_at, value)",
            id="missing column",
        ),
        pytest.param([{"event_id": name} for name in "ddccbbbaa"] + [{}],
                     "column event_id: 9 rows not unique; first: a, b, c", id="duplicate ids"),
        pytest.param([{"user_id": None}, {}, {"user_id": None}], "column user_id: 2 rows missing", id="missing value"),
        pytest.param([{"event_id": None}, {"event_id": None}, {}], "column event_id: 2 rows missing", id="missing ids"),
        pytest.param([{"user_id": ""}, {}], "column user_id: 1 row missing", id="empty id"),
        pytest.param([{"user_id": name} for name in ("a/b", "..", "\u3000a", "a\x85b", "é" * 128, "é" * 129)],
                     "column user_id: 4 rows with no id; first: .., \u3000a, a\x85b", id="no ids"),
        pytest.param([{"occurred_at": None}, {}], AT + "1 row missing", id="missing instant"),
        pytest.param([{"occurred_at": NOON.replace(year=2025)}, {}],
                     AT + "1 row in the future; first: 2025-05-01 12:00:00+00", id="future time"),
        pytest.param([{"occurred_at": NOON.replace(year=1969)}, {}],
                     AT + "1 row before 1970; first: 1969-05-01 12:00:00+00", id="before 1970"),
        pytest.param([{"value": float(text)} for text in ("nan", "inf", "-inf", "nan")],
                     VALUE + "4 rows NaN or infinite; first: nan, inf, -inf", id="NaN and infinite values"),
        pytest.param([{"value": 1e9}, {"value": -1e9}, {"value": 2e9}],
                     VALUE + "1 row above 1e+09; first: 2000000000.0", id="too large"),
        pytest.param([{"value": -2e9}, {}], VALUE + "1 row below -1e+09; first: -2000000000.0", id="too small"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_with_file_column_count_and_first_values(
    tmp_path: Path, write: Write, dataset: Open, file: str, changes: Rows, problem: str
) -> None:
    write(tmp_path / file, events(*changes))
    (told,) = problems(tmp_path, file, dataset)
    assert told.replace("+00:00", "+00") == problem  # a CSV's first values are its own text


@BOTH
def test_all_problems_of_a_table_come_in_one_error(tmp_path: Path, write: Write, dataset: Open, file: str) -> None:
    bad = {"event_id": "e", "user_id": ABSENT, "occurred_at": NOON.replace(year=2030), "value": float("nan")}
    write(tmp_path / file, events(bad, bad))
    assert [line.split(";")[0].split(" (")[0] for line in problems(tmp_path, file, dataset)] == [
        "column user_id is missing",
        "column occurred_at: 2 rows in the future",
        "column value: 2 rows NaN or infinite",
        "column event_id: 2 rows not unique",
    ]


@BOTH
def test_at_most_three_bad_values_are_shown_however_many_there_are(
    tmp_path: Path, write: Write, dataset: Open, file: str
) -> None:
    write(tmp_path / file, events(*[{"value": 2e9 + place} for place in range(1234)]))
    shown = "2000000000.0, 2000000001.0, 2000000002.0"
    assert problems(tmp_path, file, dataset) == [f"column value: 1,234 rows above 1e+09; first: {shown}"]


@BOTH
def test_an_empty_file_is_refused(tmp_path: Path, dataset: Open, file: str) -> None:
    (tmp_path / file).touch()
    assert problems(tmp_path, file, dataset) == ["the file is empty (0 bytes)"]


def test_a_table_without_rows_is_refused(tmp_path: Path, write: Write, dataset: Open) -> None:
    pq.write_table(pa.Table.from_pylist(list(events())).slice(0, 0), tmp_path / "events.parquet")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "events.csv").write_text(HEADER)
    assert problems(tmp_path, "events.parquet", dataset) == ["the file is empty (0 rows)"]
    assert problems(tmp_path / "csv", "events.csv", dataset) == ["the file is empty (0 rows)"]


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("user_id", pa.array([b"u1"]), "has type blob, expected string"),
        ("user_id", pa.nulls(1), "has type null, expected string"),
        ("value", pa.array(["1.5"]), "has type varchar, expected number"),
        ("occurred_at", pa.array([0], pa.timestamp("us")), "has type timestamp, expected timestamp with time zone"),
        ("occurred_at", pa.array([0], pa.timestamp("ns")), "has type timestamp_ns, expected timestamp with time zone"),
        ("occurred_at", pa.array([0], pa.date32()), "has type date, expected timestamp with time zone"),
        ("occurred_at", pa.array([0]), "has type bigint, expected timestamp with time zone"),
        ("occurred_at", pa.array(["2024-05-01T12:00:00Z"]), "has type varchar, expected timestamp with time zone"),
    ],
)
def test_a_parquet_column_of_another_type_is_refused(
    tmp_path: Path, dataset: Open, column: str, values: pa.Array, problem: str
) -> None:
    good = pa.Table.from_pylist(list(events()))
    pq.write_table(good.set_column(good.column_names.index(column), column, values), tmp_path / "events.parquet")
    assert problems(tmp_path, "events.parquet", dataset) == [f"column {column} {problem}"]


def test_an_infinite_instant_in_parquet_is_refused(tmp_path: Path, dataset: Open) -> None:
    good = pa.Table.from_pylist(list(events({}, {})))
    forever = pa.array([2**63 - 1, -(2**63) + 1], pa.timestamp("us", "UTC"))
    pq.write_table(good.set_column(3, "occurred_at", forever), tmp_path / "events.parquet")
    assert problems(tmp_path, "events.parquet", dataset) == [AT + "2 rows infinite; first: infinity, -infinity"]


@pytest.mark.parametrize("naive", ["2024-05-01", "2024-05-01 12:00:00", "2024-05-01T12:00:00.5", "2024-05-01T12:00"])
def test_a_csv_time_without_an_offset_is_refused(tmp_path: Path, write: Write, dataset: Open, naive: str) -> None:
    write(tmp_path / "events.csv", events({"occurred_at": naive}, {}))
    assert problems(tmp_path, "events.csv", dataset) == [
        f"{AT}1 row without an offset such as Z or +08:00; first: {naive}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00:00Z", "2024-05-01T12:00Z", "2024-05-01 12:00:00 UTC", "2024-05-01T20:00:00+08:00",
        "2024-05-01 20:00:00+0800", "2024-05-01 08:00:00.000-04", " 2024-05-01T12:00:00Z ",
    ],
)  # fmt: skip
def test_a_csv_time_with_an_offset_is_that_instant(
    tmp_path: Path, write: Write, dataset: Open, at: Callable[[str], int], text: str
) -> None:
    write(tmp_path / "events.csv", events({"occurred_at": text}))
    opened = dataset(tmp_path).connection.execute("SELECT epoch_us(occurred_at) FROM events").fetchall()
    assert opened == [(at("2024-05-01 12:00"),)]


@pytest.mark.parametrize(
    ("column", "text", "problem"),
    [
        ("value", "12元", "not a number"),
        ("value", "1,5", "not a number"),
        ("occurred_at", "昨天 12:00Z", "not a timestamp with time zone"),
        ("occurred_at", "2024-02-30T12:00:00Z", "not a timestamp with time zone"),
    ],
)
def test_a_csv_text_of_another_type_is_refused(
    tmp_path: Path, write: Write, dataset: Open, column: str, text: str, problem: str
) -> None:
    write(tmp_path / "events.csv", events({column: text}, {}))
    assert problems(tmp_path, "events.csv", dataset) == [f"column {column}: 1 row {problem}; first: {text}"]


@pytest.mark.parametrize("text", ["3", "3.0", ""])
def test_a_csv_count_may_end_in_a_zero_fraction_or_be_missing(tmp_path: Path, dataset: Open, text: str) -> None:
    (tmp_path / "users.csv").write_text(f"user_id,n_followers\nu1,{text}\n")
    opened = dataset(tmp_path).connection.execute("SELECT n_followers FROM users").fetchall()
    assert opened == [(3 if text else None,)]


@pytest.mark.parametrize(
    ("text", "problem"), [("1.5", "not a whole number"), ("三", "not a whole number"), ("-1", "below 0")]
)
def test_a_csv_count_is_whole_and_not_negative(tmp_path: Path, dataset: Open, text: str, problem: str) -> None:
    (tmp_path / "users.csv").write_text(f"user_id,n_followers\nu1,{text}\n", encoding="utf-8")
    assert problems(tmp_path, "users.csv", dataset) == [f"column n_followers: 1 row {problem}; first: {text}"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("e2,u2,click\n", "CSV Error on Line: 3; Expected Number of Columns: 5 Found: 3"),
        ("e2,u2,click,2024-05-01T12:00:00Z,1,2\n", "CSV Error on Line: 3; Expected Number of Columns: 5 Found: 6"),
        ('e2,"u2,click,2024-05-01T12:00:00Z,1\n', "CSV Error on Line: 3; Value with unterminated quote found."),
    ],
)
def test_a_ragged_csv_is_refused_with_its_line_and_without_its_words(
    tmp_path: Path, dataset: Open, line: str, reason: str
) -> None:
    (tmp_path / "events.csv").write_text(HEADER + GOOD_LINE + line)
    assert problems(tmp_path, "events.csv", dataset) == [f"can't be read: Invalid Input Error: {reason}"]


@pytest.mark.parametrize("encoding", ["gbk", "utf-16"])
def test_a_csv_in_another_encoding_is_refused(tmp_path: Path, dataset: Open, encoding: str) -> None:
    (tmp_path / "events.csv").write_bytes((HEADER + GOOD_LINE.replace("u1", "用户")).encode(encoding))
    assert problems(tmp_path, "events.csv", dataset) == ["can't be read: it is not UTF-8 text"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\ufeff", "the first line holds no column names"),
        ("\n" + HEADER, "the first line holds no column names"),
        (HEADER.replace("value", "Event_ID"), "the header names event_id more than once"),
    ],
)
def test_a_csv_without_a_usable_header_is_refused(tmp_path: Path, dataset: Open, text: str, problem: str) -> None:
    (tmp_path / "events.csv").write_text(text, encoding="utf-8")
    assert problems(tmp_path, "events.csv", dataset) == [problem]


@pytest.mark.parametrize("content", [b"not Parquet", b"PAR1" + bytes(64) + b"PAR1"])
def test_a_garbage_parquet_file_is_refused(tmp_path: Path, dataset: Open, content: bytes) -> None:
    (tmp_path / "events.parquet").write_bytes(content)
    (told,) = problems(tmp_path, "events.parquet", dataset)
    assert told.startswith("can't be read: Invalid")


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, write: Write, dataset: Open) -> None:
    with pytest.raises(DataError, match=r"nowhere: not a folder$"):
        dataset(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"no table of the contract \(events, notes, users, note_labels, recommendations\)"
    ):
        dataset(tmp_path)
    write(tmp_path / "events.csv", events())
    write(tmp_path / "events.parquet", events())
    with pytest.raises(DataError, match=r"both events\.parquet and events\.csv; keep one$"):
        dataset(tmp_path)


def test_a_table_that_a_task_needs_is_asked_for_by_name(tmp_path: Path, write: Write, dataset: Open) -> None:
    write(tmp_path / "users.csv", [{"user_id": "u1"}])
    with pytest.raises(DataError, match=r"expected events\.parquet or events\.csv$"):
        dataset(tmp_path).require("events")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("user_id", pa.array(["u1"], pa.large_string())),
        ("user_id", pa.array(["u1"]).dictionary_encode()),
        ("occurred_at", pa.array([1_714_564_800_000_000_000], pa.timestamp("ns", "UTC"))),
        ("occurred_at", pa.array([1_714_564_800_000], pa.timestamp("ms", "Asia/Shanghai"))),
        ("occurred_at", pa.array([1_714_564_800], pa.timestamp("s", "+08:00"))),
        ("value", pa.array([1.5], pa.float32())),
        ("value", pa.array(["1.50"]).cast(pa.decimal128(20, 2))),
        ("note_id", pa.nulls(1)),
        ("unheard_of", pa.array([[1, 2]])),
    ],
)
def test_a_parquet_column_in_another_guise_is_accepted(
    tmp_path: Path, dataset: Open, at: Callable[[str], int], column: str, values: pa.Array
) -> None:
    good = pa.Table.from_pylist(list(events()))
    kept = good.drop_columns([column]) if column in good.column_names else good
    pq.write_table(kept.append_column(column, values), tmp_path / "events.parquet")
    sql = "SELECT event_id, user_id, event, epoch_us(occurred_at), value, note_id FROM events"
    opened = dataset(tmp_path).connection.execute(sql).fetchall()
    assert opened == [("e0", "u1", "click", at("2024-05-01 12:00"), 1.5, None)]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + GOOD_LINE,
        (HEADER + GOOD_LINE).replace("\n", "\r\n"),
        (HEADER + GOOD_LINE).rstrip(),
        HEADER + GOOD_LINE + "\n\n",
        "," + HEADER + "0," + GOOD_LINE,
        "remark," + HEADER + '"a ""quoted"", 多行\nremark",' + GOOD_LINE,
    ],
    ids=["BOM", "CRLF", "no last newline", "blank lines", "unnamed index column", "extra column"],
)
def test_a_csv_in_another_guise_is_accepted(tmp_path: Path, dataset: Open, text: str) -> None:
    (tmp_path / "events.csv").write_text(text, encoding="utf-8", newline="")
    opened = dataset(tmp_path).connection.execute("SELECT event_id, user_id, event, value FROM events").fetchall()
    assert opened == [("e1", "u1", "click", 1.0)]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_chinese_text_quotes_and_lists_arrive_as_they_were(
    tmp_path: Path, write: Write, dataset: Open, suffix: str
) -> None:
    note = {
        "note_id": "n1",
        "title": '她说“好看”, "真的"',
        "body": "第一行\n第二行,逗号",
        "topics": ["美妆", "时尚, 穿搭"],
    }
    write(tmp_path / f"notes.{suffix}", [note])
    opened = dataset(tmp_path).connection.execute("SELECT note_id, title, body, topics FROM notes").fetchall()
    assert opened == [tuple(note.values())]


@BOTH
def test_an_unknown_event_name_is_kept_and_reported_most_frequent_first(
    tmp_path: Path, write: Write, dataset: Open, file: str
) -> None:
    write(tmp_path / file, events({"event": "like"}, {"event": "摇一摇"}, {"event": "Click"}, {"event": "摇一摇"}))
    opened = dataset(tmp_path)
    summary = opened.summaries["events"]
    assert (summary.file, summary.n_rows) == (file, 4)
    assert list(summary.unknown_events.items()) == [("摇一摇", 2), ("Click", 1)]
    assert opened.connection.execute("SELECT count(*) FROM events WHERE event = '摇一摇'").fetchall() == [(2,)]


def test_an_absent_table_and_an_absent_column_read_as_nothing(tmp_path: Path, write: Write, dataset: Open) -> None:
    write(tmp_path / "events.csv", events({"value": ABSENT}))
    connection = dataset(tmp_path).connection
    assert connection.execute("SELECT value, session_id, received_at FROM events").fetchall() == [(None, None, None)]
    assert connection.execute("SELECT user_id, registered_at, is_minor FROM users").fetchall() == []


def test_the_digest_changes_with_a_byte_and_not_with_the_folder(tmp_path: Path, write: Write, dataset: Open) -> None:
    here, there = (write(tmp_path / name / "events.csv", events()) for name in ("here", "there"))
    digest = dataset(here.parent).digest()
    assert digest == dataset(there.parent).digest()
    there.write_bytes(there.read_bytes().replace(b"u1", b"u2"))
    assert digest != dataset(there.parent).digest()
    write(here.parent / "users.csv", [{"user_id": "u1"}])
    assert digest != dataset(here.parent).digest()


def test_what_does_not_fit_in_memory_spills_to_a_folder_of_the_datasets_own(
    tmp_path: Path, write: Write, dataset: Open
) -> None:
    write(tmp_path / "events.csv", events())
    sql = "SELECT current_setting('temp_directory')"
    folders = {Path(dataset(tmp_path).connection.execute(sql).fetchall()[0][0]) for _ in range(2)}
    assert len(folders) == 2
    assert not any(folder.is_relative_to(Path.cwd()) or folder.exists() for folder in folders)
