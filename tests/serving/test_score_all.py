"""``python -m serving score-all`` as its users run it."""

import asyncio
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from serving.__main__ import main
from serving.parts import MANIFEST, SCHEMA
from serving.settings import Settings
from serving.store.journal import Fact, FactType
from serving.store.scores import ScoreQuery
from serving.store.stores import open_stores

ROOT = Path(__file__).parents[2]
AS_OF, AS_OF_US = "2025-05-01T12:00:00Z", 1_746_100_800_000_000
DAY_US = 86_400_000_000


@pytest.fixture(params=["sqlite", "postgres_and_redis"])
def stores(request):
    """Each pair of stores that is meant for production."""
    if request.param != "sqlite":
        request.getfixturevalue(request.param)


@pytest.fixture
def postgres_and_redis(monkeypatch, postgres_url, own_redis):
    monkeypatch.setenv("MINGJIAN_JOURNAL_URL", postgres_url)
    monkeypatch.setenv("MINGJIAN_STATE_URL", own_redis.url)


@pytest.fixture(autouse=True)
def released(world, monkeypatch):
    """A champion, in the folder on which ``main`` and the processes started here work."""
    monkeypatch.setenv("MINGJIAN_DATA_DIR", str(world.settings.data_dir))
    monkeypatch.setenv("MINGJIAN_STORE_TIMEOUT_S", "30")
    return world.registry.release()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "scores"


async def append(*facts):
    async with open_stores(Settings()) as stores:
        await stores.journal.append(facts)


def active(user_id, *, days=1, name="open"):
    """An event of a user that long before ``AS_OF``."""
    at = round(AS_OF_US - days * DAY_US)
    return Fact(FactType.EVENT, user_id, at, at, event_id=f"{user_id}-{days}-{name}", event=name)


def know(*facts):
    """Put facts into the journal."""
    asyncio.run(append(*facts))


def know_many(n_users):
    know(*(active(f"u{n:04}", days=1 + n % 70) for n in range(n_users)))


def score_all(out, *arguments):
    return main(["score-all", "--out", str(out), "--as-of", AS_OF, *arguments])


def rows_of(out):
    return [row for file in sorted(out.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def contents(folder):
    """Every file of a folder by name, as bytes."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def kept(**bounds):
    """The scores that lists are made of."""
    async with open_stores(Settings()) as stores:
        query = ScoreQuery(30, "scored", **bounds)
        found, after = [], None
        while not found or after:
            page = await stores.scores.page(query, after=after, limit=1_000)
            found, after = [*found, *page.scores], page.reached
    return found


@pytest.mark.usefixtures("stores")
def test_everyone_is_scored_as_the_api_scores_them(out, world, released):
    know(*(active(f"u{n}", days=1 + n % 70) for n in range(130)), active("seen", name="impression"))
    assert score_all(out, "--block", "50") == 0
    rows = {(row["user_id"], row["horizon_days"]): row for row in rows_of(out)}
    user_ids = list(dict.fromkeys(user_id for user_id, _ in rows))
    settings = Settings(open_access=True)
    with world.open(journal_url=settings.journal_url, state_url=settings.state_url) as client:
        answer = client.post("/v1/users:score", json={"user_ids": user_ids, "as_of": AS_OF}).json()
    assert len(answer["results"]) == 131
    for user in answer["results"]:
        churn = {one["horizon_days"]: one for one in user["churn"]}
        for days, threshold in ((7, 0.6), (14, 0.5), (30, 0.4)):
            row, expected = rows[user["user_id"], days], churn.get(days, {})
            assert (row["probability"], row["at_risk"]) == (expected.get("probability"), expected.get("at_risk"))
            assert (row["status"], row["threshold"]) == (user["status"], threshold)
            assert row["reasons"] == [one["code"] for one in user["reasons"]]
            assert (row["model_version"], row["model_digest"]) == (released.version, released.digest)
            assert row["as_of"].isoformat() == "2025-05-01T12:00:00+00:00"
    assert {row["status"] for row in rows.values()} == {"scored", "inactive", "cold_start"}


@pytest.mark.usefixtures("stores")
def test_the_lists_hold_what_the_files_hold(out):
    know_many(130)
    assert score_all(out, "--block", "50") == 0
    month = [row for row in rows_of(out) if row["horizon_days"] == 30 and row["status"] == "scored"]
    expected = sorted((row["probability"], row["user_id"]) for row in month)[::-1]
    found = asyncio.run(kept())
    assert [(one.probability, one.user_id) for one in found] == expected
    last_active = {row["user_id"]: row["last_active_at"].timestamp() * 1e6 for row in month}
    assert {one.user_id: one.last_active_at for one in found} == last_active


def test_a_part_is_a_block_and_the_manifest_lists_all(out, released):
    know_many(120)
    assert score_all(out, "--block", "50") == 0
    assert sorted(contents(out)) == [MANIFEST, "part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    manifest = json.loads((out / MANIFEST).read_bytes())
    assert [part["n_users"] for part in manifest["parts"]] == [50, 50, 20]
    assert (manifest["run"]["digest"], manifest["run"]["as_of"]) == (released.digest, "2025-05-01T12:00:00+00:00")
    tables = [pq.read_table(out / part["file"]) for part in manifest["parts"]]
    assert [table.num_rows for table in tables] == [150, 150, 60]
    assert all(table.schema.equals(SCHEMA) for table in tables)


def test_nothing_at_or_after_as_of_is_seen(out):
    know(active("u", days=30), active("u", days=-1), active("later", days=0))
    assert score_all(out) == 0
    week = {row["user_id"]: row for row in rows_of(out) if row["horizon_days"] == 7}
    assert week["u"]["probability"] == pytest.approx(0.645656, abs=1e-6)  # sigmoid(0.02 x 30)
    assert week["later"]["status"] == "cold_start"


def test_without_users_a_run_is_complete_and_has_no_parts(out):
    assert score_all(out) == 0
    assert json.loads((out / MANIFEST).read_bytes())["parts"] == []


def test_a_complete_run_stays_as_it_is(out, capsys):
    know_many(30)
    assert score_all(out) == 0
    before = contents(out)
    know(active("new"))
    assert main(["score-all", "--out", str(out)]) == 0
    assert contents(out) == before
    assert "30 users are scored" in capsys.readouterr().err


def test_as_of_is_now_and_a_run_that_goes_on_keeps_it(out):
    know_many(30)
    assert main(["score-all", "--out", str(out), "--block", "10"]) == 0
    first = contents(out)
    (out / "part-00002.parquet").unlink()
    manifest = json.loads(first[MANIFEST])
    assert abs(time.time() - np.datetime64(manifest["run"]["as_of"][:26], "us").astype(int) / 1e6) < 300
    (out / MANIFEST).write_text(json.dumps(manifest | {"parts": None}))
    assert main(["score-all", "--out", str(out)]) == 0
    assert contents(out) == first


def complaint(capsys, out, *arguments):
    capsys.readouterr()
    assert score_all(out, *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("serving: ")
    assert err.count("\n") == 1
    return err


def test_a_folder_of_another_run_is_refused_naming_what_differs(out, world, capsys):
    know_many(30)
    assert score_all(out, "--block", "10") == 0
    before = contents(out)
    assert "another block" in complaint(capsys, out, "--block", "20")
    assert "another as_of" in complaint(capsys, out, "--as-of", "2025-05-02T00:00:00Z")
    world.registry.release(bias=1.0)
    assert "another version, digest" in complaint(capsys, out)
    assert contents(out) == before


def test_a_folder_that_lacks_a_part_or_holds_a_spoilt_one_is_refused(out, capsys):
    know_many(30)
    assert score_all(out, "--block", "10") == 0
    last = out / "part-00002.parquet"
    whole = last.read_bytes()
    last.unlink()
    assert MANIFEST in complaint(capsys, out)
    last.write_bytes(whole[:-10])
    assert "part-00002.parquet is not a part" in complaint(capsys, out)
    last.write_bytes(whole)
    (out / "part-00001.parquet").unlink()
    assert "part-00001.parquet is missing" in complaint(capsys, out)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 1}', '{"format": 2, "run": {"as_of": "", "block": 1}, "parts": 0}']
)
def test_a_manifest_that_can_not_be_read_is_refused(out, capsys, text):
    out.mkdir()
    (out / MANIFEST).write_text(text)
    assert f"{MANIFEST} can't be read" in complaint(capsys, out)


def test_a_part_of_another_run_is_refused(out, tmp_path, capsys):
    know_many(30)
    assert score_all(out, "--block", "10") == 0
    assert main(["score-all", "--out", str(tmp_path / "other"), "--block", "10"]) == 0
    shutil.copy(tmp_path / "other/part-00001.parquet", out)
    (out / MANIFEST).unlink()
    assert "part-00001.parquet is of another run (another as_of)" in complaint(capsys, out, "--block", "10")
    assert not (out / MANIFEST).exists()


def test_without_a_champion_nothing_is_made(out, world, capsys):
    (world.settings.bundles / "churn/champion.json").unlink()
    assert "none has been released" in complaint(capsys, out)
    assert not out.exists()


def test_a_champion_that_can_not_be_used_is_named(out, world, capsys):
    world.registry.point("0" * 64)
    assert MANIFEST in complaint(capsys, out)


@pytest.mark.parametrize("arguments", [["--as-of", "2025-05-01"], ["--as-of", "x"], ["--block", "0"], ["--block", "x"]])
def test_arguments_that_can_not_be_are_refused(out, arguments):
    with pytest.raises(SystemExit) as refused:
        score_all(out, *arguments)
    assert refused.value.code == 2


@pytest.mark.parametrize("as_of", ["2999-01-01T00:00:00Z", "1969-01-01T00:00:00Z"])
def test_an_instant_out_of_range_is_refused(out, capsys, as_of):
    assert "as_of must lie between 1970 and now" in complaint(capsys, out, "--as-of", as_of)


@pytest.mark.parametrize("library", ["pyarrow", "tqdm"])
def test_without_the_extra_the_command_says_what_to_install(out, monkeypatch, capsys, library):
    for name in ("serving.score_all", "serving.parts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    assert "pip install '.[serve,batch]'" in complaint(capsys, out)


def start(out, *arguments, **options):
    command = [sys.executable, "-m", "serving", "score-all", "--out", str(out), "--as-of", AS_OF, *arguments]
    return subprocess.Popen(command, cwd=ROOT, **options)


@pytest.mark.slow
def test_a_terminal_is_shown_how_far_it_is(out):
    know_many(120)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = start(out, "--block", "50", stderr=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a terminal whose process has gone
        while read := os.read(ours, 65_536):
            shown += read
    os.close(ours)
    assert process.wait(60) == 0
    assert b"100%" in shown
    assert b"120/120" in shown


N_USERS, BLOCK = 1_000, "10"


def killed_at_random(out, rng, n_kills):
    """Start the command again and again, each time to be killed at some moment; how often it was, before it ended."""
    for n in range(n_kills):
        n_before = len(list(out.glob("*.parquet")))
        process = start(out, "--block", BLOCK, stderr=subprocess.DEVNULL)
        n_wanted = n_before + rng.randint(0, 2 * N_USERS // int(BLOCK) // n_kills)
        while process.poll() is None and len(list(out.glob("*.parquet"))) < n_wanted:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))  # the moment within a block varies too
        process.send_signal(signal.SIGKILL)
        if process.wait(60) == 0:
            return n
        for file in out.glob("*.parquet"):
            pq.read_metadata(file)  # whole, or it could not be read
    return n_kills


@pytest.mark.slow
@pytest.mark.usefixtures("stores")
def test_killed_at_any_moment_it_goes_on_to_the_same_files_and_lists(out, tmp_path):
    know_many(N_USERS)
    assert killed_at_random(out, random.Random(20), n_kills=20) > 5
    assert score_all(out, "--block", BLOCK) == 0
    lists = asyncio.run(kept())
    assert score_all(tmp_path / "uninterrupted", "--block", BLOCK) == 0
    assert contents(out) == contents(tmp_path / "uninterrupted")
    assert lists == asyncio.run(kept())
