"""The sample community keeps the data contract, is reproducible, and hides causes that can be found."""

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from training.errors import ConfigError
from training.sample.arrays import mean_by_group, rank_in_group
from training.sample.clock import start_instant
from training.sample.community import live_blocks
from training.sample.events import KINDS
from training.sample.generate import SCHEMAS, generate
from training.sample.leaving import churn_probability
from training.sample.phrases import load_phrasebook

START = datetime(2025, 12, 31, 16, tzinfo=UTC)  # midnight of 2026-01-01 in Shanghai
N_USERS, N_DAYS = 3000, 100
HARMS = ("spam", "clickbait", "low_information", "abuse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "community"
    generate(out, n_users=N_USERS, n_days=N_DAYS, seed=7, block_users=2000)
    return out


@pytest.fixture(scope="module")
def sql(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in SCHEMAS:
            view = name.replace("truth/", "true_")
            connection.execute(f"CREATE VIEW {view} AS FROM '{folder / name}.parquet'")
        yield connection


def one(sql: duckdb.DuckDBPyConnection, query: str, *values: object) -> Any:
    """The single value that ``query`` gives."""
    row = sql.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def small(out: Path, *, n_users: int = 90, seed: int = 3) -> Path:
    generate(out, n_users=n_users, n_days=6, seed=seed, block_users=60)
    return out


# reproducible, and a stream


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = digests(small(tmp_path / "a")), digests(small(tmp_path / "b"))
    assert set(first) == {"README.md", *(f"{name}.parquet" for name in SCHEMAS)}
    assert first == again


def test_another_seed_gives_another_community(tmp_path: Path) -> None:
    assert digests(small(tmp_path / "a")) != digests(small(tmp_path / "b", seed=4))


def test_users_do_the_same_whatever_blocks_come_after(tmp_path: Path) -> None:
    alone, followed = small(tmp_path / "a", n_users=60), small(tmp_path / "b", n_users=150)
    for name in SCHEMAS:
        table = pq.read_table(alone / f"{name}.parquet")
        assert table.num_rows > 0
        assert pq.read_table(followed / f"{name}.parquet").slice(0, table.num_rows).equals(table), name


def test_later_blocks_read_notes_of_earlier_ones(sql: duckdb.DuckDBPyConnection) -> None:
    later = "user_id >= 'synthetic-u-0002000' AND author_id < 'synthetic-u-0002000'"
    assert one(sql, f"SELECT count(*) FROM events JOIN notes USING (note_id) WHERE event = 'click' AND {later}") > 1000


def test_each_block_is_written_before_the_next_is_made(tmp_path: Path) -> None:
    small(tmp_path, n_users=150)
    groups = pq.ParquetFile(tmp_path / "users.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [60, 60, 30]


def test_the_first_block_of_a_billion_users_comes_at_once() -> None:
    blocks = live_blocks(1, load_phrasebook(), n_users=10**9, block_users=50, start=date(2026, 1, 1), n_days=3)
    assert [len(block.people) for block in islice(blocks, 2)] == [50, 50]


def test_progress_counts_users(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(tmp_path, n_users=50, n_days=1, seed=0, block_users=20, progress=lambda *step: seen.append(step))
    assert seen == [(20, 50), (40, 50), (50, 50)]


def test_a_run_that_fails_leaves_the_last_one_whole(tmp_path: Path) -> None:
    before = digests(small(tmp_path))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, n_users=70, n_days=6, seed=9, block_users=60, progress=stop)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("wrong", [{"n_users": 0}, {"n_days": 0}, {"block_users": 0}, {"seed": -1}])
def test_impossible_sizes_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        generate(tmp_path, **{"n_users": 5, "n_days": 2, "seed": 1, **wrong})


def test_one_user_for_one_day_is_a_community(tmp_path: Path) -> None:
    generate(tmp_path, n_users=1, n_days=1, seed=1)
    assert pq.read_table(tmp_path / "users.parquet").num_rows == 1


# the data contract


def test_event_ids_are_unique(sql: duckdb.DuckDBPyConnection) -> None:
    assert one(sql, "SELECT count(*) - count(DISTINCT event_id) FROM events") == 0


def test_every_kind_of_event_occurs_and_no_other(sql: duckdb.DuckDBPyConnection) -> None:
    assert {kind for (kind,) in sql.execute("SELECT DISTINCT event FROM events").fetchall()} == set(KINDS)


def test_events_lie_in_the_log_s_local_days(sql: duckdb.DuckDBPyConnection) -> None:
    day = "date_diff('minute', ?::TIMESTAMPTZ, {}(occurred_at)) / 1440"
    assert 0 <= one(sql, f"SELECT {day.format('min')} FROM events", START) < 1
    assert N_DAYS - 1 < one(sql, f"SELECT {day.format('max')} FROM events", START) < N_DAYS


def test_nobody_acts_before_registering(sql: duckdb.DuckDBPyConnection) -> None:
    assert one(sql, "SELECT count(*) FROM events JOIN users USING (user_id) WHERE occurred_at < registered_at") == 0
    assert one(sql, "SELECT count(*) FROM events ANTI JOIN users USING (user_id)") == 0


def test_notes_are_published_before_they_are_seen(sql: duckdb.DuckDBPyConnection) -> None:
    seen = "SELECT count(*) FROM events JOIN notes USING (note_id) WHERE event <> 'publish' AND "
    assert one(sql, seen + "occurred_at <= published_at") == 0
    assert one(sql, seen + "user_id = author_id") == 0


def test_authors_publish_their_notes(sql: duckdb.DuckDBPyConnection) -> None:
    published = "FROM events JOIN notes USING (note_id) WHERE event = 'publish'"
    assert one(sql, f"SELECT bool_and(user_id = author_id AND occurred_at = published_at) {published}")
    in_the_log = one(sql, "SELECT count(*) FROM notes WHERE published_at >= ?", START)
    assert one(sql, f"SELECT count(*) {published}") == in_the_log > 1000


def test_notes_are_named_where_an_event_has_one(sql: duckdb.DuckDBPyConnection) -> None:
    without = sql.execute("SELECT DISTINCT event FROM events WHERE note_id IS NULL ORDER BY 1").fetchall()
    assert without == [("open",), ("search",)]
    assert one(sql, "SELECT count(*) FROM events ANTI JOIN notes USING (note_id) WHERE note_id IS NOT NULL") == 0


def test_values_are_seconds_and_money_and_nothing_else(sql: duckdb.DuckDBPyConnection) -> None:
    kinds = sql.execute("SELECT DISTINCT event FROM events WHERE value IS NOT NULL ORDER BY 1").fetchall()
    assert kinds == [("purchase",), ("read",)]
    assert one(sql, "SELECT min(value) > 0 AND max(value) < 1e4 FROM events WHERE value IS NOT NULL")
    assert one(sql, "SELECT count(*) FROM events WHERE value IS NULL AND event IN ('read', 'purchase')") == 0


def test_a_session_is_one_user_s_and_opens_first(sql: duckdb.DuckDBPyConnection) -> None:
    sessions = "SELECT session_id, count(DISTINCT user_id) n, arg_min(event, (occurred_at, event_id)) first FROM events"
    assert one(sql, f"SELECT bool_and(n = 1 AND first = 'open') FROM ({sessions} GROUP BY 1)")


def test_a_click_follows_its_impression_and_a_read_its_click(sql: duckdb.DuckDBPyConnection) -> None:
    at = "min(occurred_at) FILTER (event = '{}')"
    steps = ", ".join(at.format(kind) + f" AS {kind}" for kind in ("impression", "click", "read"))
    views = f"SELECT {steps} FROM events WHERE event <> 'publish' AND note_id IS NOT NULL GROUP BY session_id, note_id"
    assert one(sql, f"SELECT bool_and(impression < coalesce(click, 'infinity')) FROM ({views})")
    assert one(sql, f"SELECT bool_and(click < read) FROM ({views}) WHERE read IS NOT NULL")


def test_everything_says_synthetic(folder: Path, sql: duckdb.DuckDBPyConnection) -> None:
    for name in SCHEMAS:
        assert pq.read_schema(folder / f"{name}.parquet").metadata[b"synthetic"] == b"true"
    assert "synthetic" in (folder / "README.md").read_text(encoding="utf-8").splitlines()[0].lower()
    assert sql.execute("SELECT DISTINCT source FROM note_labels").fetchall() == [("synthetic",)]
    for column in ("event_id", "user_id", "note_id", "target_user_id", "session_id"):
        assert one(sql, f"SELECT bool_and(starts_with({column}, 'synthetic-')) FROM events"), column


def test_a_day_begins_at_midnight_in_shanghai() -> None:
    assert start_instant(date(2026, 1, 1)) == START


def test_evenings_are_busier_than_nights(sql: duckdb.DuckDBPyConnection) -> None:
    opens = "SELECT count(*) FROM events WHERE event = 'open' AND hour(occurred_at + INTERVAL 8 HOUR) "
    assert one(sql, opens + "BETWEEN 20 AND 22") > 8 * one(sql, opens + "BETWEEN 3 AND 5")


def test_weekends_are_busier_than_midweek(sql: duckdb.DuckDBPyConnection) -> None:
    local = "date_trunc('day', occurred_at + INTERVAL 8 HOUR)"
    daily = f"SELECT count(*) / count(DISTINCT {local}) FROM events WHERE event = 'open' AND isodow({local}) "
    assert one(sql, daily + "IN (6, 7)") > 1.1 * one(sql, daily + "IN (2, 3)")


# the hidden causes


def test_who_left_does_nothing_until_the_return(sql: duckdb.DuckDBPyConnection) -> None:
    away = "SELECT user_id, unnest(left_at) AS left_at, unnest(returned_at) AS returned_at FROM true_users"
    within = f"FROM ({away}) WHERE left_at >= ?"
    assert one(sql, f"SELECT count(*) {within}", START) > 500
    assert one(sql, f"SELECT count(returned_at) {within}", START) > 20
    broken = f"SELECT count(*) FROM events JOIN ({away}) USING (user_id) WHERE occurred_at >= left_at"
    assert one(sql, f"{broken} AND occurred_at < coalesce(returned_at, 'infinity')") == 0


def churners(sql: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, Any]:
    """Who was active in the 30 days before ``as_of``: recency, likes and collects per click, truth, churn."""
    return sql.execute(
        """
        SELECT min(epoch(?1 - occurred_at)) FILTER (occurred_at < ?1) AS recency_s,
          (count(*) FILTER (event IN ('like', 'collect') AND occurred_at < ?1) + .6)
            / (count(*) FILTER (event = 'click' AND occurred_at < ?1) + 1.) AS warmth,
          any_value(churn_probability_30d) AS true_probability,
          (count(*) FILTER (occurred_at >= ?1) = 0)::INT AS churned
        FROM events JOIN true_churn USING (user_id)
        WHERE as_of = ?1 AND event <> 'impression'
          AND occurred_at BETWEEN ?1 - INTERVAL 30 DAY AND ?1 + INTERVAL 30 DAY
        GROUP BY user_id HAVING recency_s IS NOT NULL ORDER BY user_id
        """,
        [as_of],
    ).fetchnumpy()


@pytest.fixture(scope="module", params=[50, 70])
def actives(sql: duckdb.DuckDBPyConnection, request: pytest.FixtureRequest) -> dict[str, Any]:
    return churners(sql, START + timedelta(days=request.param))


def test_between_a_quarter_and_a_half_of_the_active_churn(actives: dict[str, Any]) -> None:
    assert 0.22 < actives["churned"].mean() < 0.45


def test_the_hidden_hazard_tells_who_churns(actives: dict[str, Any]) -> None:
    assert roc_auc_score(actives["churned"], actives["true_probability"]) > 0.8


def test_recency_alone_tells_a_part_only(actives: dict[str, Any]) -> None:
    assert 0.62 < roc_auc_score(actives["churned"], actives["recency_s"]) < 0.75


def test_people_about_to_leave_like_and_collect_less_of_what_they_open(actives: dict[str, Any]) -> None:
    still_here = actives["recency_s"] < 7 * 86_400  # recency tells little about these
    assert roc_auc_score(actives["churned"][still_here], -actives["warmth"][still_here]) > 0.54


def test_good_notes_are_collected_more(sql: duckdb.DuckDBPyConnection) -> None:
    rate = "SELECT count(*) FILTER (event = 'collect') / count(*) FILTER (event = 'click')"
    rate += " FROM events JOIN true_notes USING (note_id) WHERE quality "
    assert one(sql, rate + "> 0.8") > 2 * one(sql, rate + "< 0.3")


def test_people_open_what_fits_their_interests(folder: Path, sql: duckdb.DuckDBPyConnection) -> None:
    topics = pq.read_schema(folder / "truth/users.parquet").metadata[b"topics"].decode().split(",")
    clicks = "SELECT count(*) FILTER (event = 'click') / count(*) FILTER (event = 'impression') FROM events"
    clicks += " JOIN true_notes USING (note_id) JOIN true_users USING (user_id) WHERE interests_change_at IS NULL"
    clicks += f" AND interests[list_position({topics}, topic)] "
    assert one(sql, clicks + "> 0.1") > 2 * one(sql, clicks + "< 0.01")


def test_bad_notes_are_reported(sql: duckdb.DuckDBPyConnection) -> None:
    rate = "SELECT count(*) FILTER (event = 'report') / count(*) FILTER (event = 'click')"
    rate += " FROM events JOIN true_notes USING (note_id) WHERE "
    assert one(sql, rate + "spam OR abuse") > 10 * one(sql, rate + "NOT (spam OR abuse)")


@pytest.mark.parametrize("harm", HARMS)
def test_labels_follow_the_truth_with_few_mistakes(sql: duckdb.DuckDBPyConnection, harm: str) -> None:
    judged = f"FROM note_labels JOIN true_notes USING (note_id) WHERE label = '{harm}'"
    assert 0.97 < one(sql, f"SELECT avg(((value = 1) = {harm})::INT) {judged}") < 1
    assert 0.5 < one(sql, f"SELECT count(*) {judged}") / one(sql, "SELECT count(*) FROM notes") < 0.65
    assert one(sql, f"SELECT sum(value) {judged} AND split = 'train'") >= 20


def test_labels_are_decided_after_publication_and_before_the_end(sql: duckdb.DuckDBPyConnection) -> None:
    in_time = "SELECT bool_and(decided_at >= published_at AND decided_at < ?)"
    assert one(sql, f"{in_time} FROM note_labels JOIN notes USING (note_id)", START + timedelta(days=N_DAYS))


def test_texts_carry_the_harms_they_were_written_for(sql: duckdb.DuckDBPyConnection) -> None:
    contact = "regexp_matches(body, '(?i)ceshi|c e s h i|138\\*\\*\\*\\*')"
    both = "FROM notes JOIN true_notes USING (note_id) WHERE"
    assert one(sql, f"SELECT avg({contact}::INT) {both} spam") > 0.7
    assert one(sql, f"SELECT sum({contact}::INT) {both} NOT spam") == 0
    assert one(sql, f"SELECT avg(length(body)) {both} low_information AND NOT spam AND NOT abuse") < 20
    assert one(sql, f"SELECT avg(length(body)) {both} NOT low_information AND NOT clickbait") > 100


def test_better_notes_tell_more(sql: duckdb.DuckDBPyConnection) -> None:
    clean = "SELECT corr(quality, length(body)) FROM notes JOIN true_notes USING (note_id) WHERE NOT (spam OR clickbait"
    assert one(sql, clean + " OR low_information OR abuse)") > 0.5


def test_texts_are_complete_and_varied(sql: duckdb.DuckDBPyConnection) -> None:
    assert one(sql, "SELECT count(*) FROM notes WHERE regexp_matches(title || body, '[{}]')") == 0
    assert one(sql, "SELECT min(length(title)) > 0 AND max(length(title)) <= 30 FROM notes")
    clean = "FROM notes JOIN true_notes USING (note_id) WHERE NOT low_information"
    assert one(sql, f"SELECT count(DISTINCT (title, body)) / count(*) {clean}") > 0.99
    assert one(sql, f"SELECT count(DISTINCT title) / count(*) {clean}") > 0.9


def test_notes_come_from_eight_categories(sql: duckdb.DuckDBPyConnection) -> None:
    categories = {name for (name,) in sql.execute("SELECT DISTINCT category FROM notes").fetchall()}
    assert categories == {"美妆", "时尚", "母婴", "家居", "美食", "旅行", "健身", "数码"}


# arithmetic


def test_churn_probability_is_silence_or_leaving_first() -> None:
    stays = churn_probability(np.array([0.0]), np.array([0.1]), horizon_days=30)
    assert stays.tolist() == pytest.approx([math.exp(-3)])
    even = churn_probability(np.array([0.1]), np.array([0.1]), horizon_days=30)
    assert even.tolist() == pytest.approx([0.5 + 0.5 * math.exp(-6)])


def test_ranks_count_within_runs_of_equal_values() -> None:
    assert rank_in_group(np.array([4, 4, 4, 7, 9, 9])).tolist() == [0, 1, 2, 0, 0, 1]
    assert rank_in_group(np.array([], dtype=np.int64)).tolist() == []


def test_the_mean_of_an_empty_group_is_what_was_asked() -> None:
    means = mean_by_group(np.array([0, 2, 2]), np.array([1.0, 2.0, 4.0]), n_groups=4, empty=-1.0)
    assert means.tolist() == [1.0, -1.0, 3.0, -1.0]
