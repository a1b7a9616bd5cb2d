"""GET /v1/users and GET /v1/users.csv over HTTP."""

import asyncio
import csv
import io
import re
import socket
from urllib.request import urlopen

import pytest
from sqlalchemy import Engine, event

from serving.audience import COLUMNS
from serving.store.scores import NewScore, ScoreRun
from serving.store.stores import open_stores

HOUR_US = 3_600_000_000
RUN = ScoreRun(as_of=480_008 * HOUR_US, version="7", digest="d" * 64, thresholds={7: 0.6, 30: 0.4})


EVERYONE = {"at_risk": False, "with_withheld": True}
"""Asks for whoever was scored; ``test_audiences.py`` tests whom lists leave out."""


def scored(user_id, probability, hours=1):
    return NewScore(user_id, "scored", RUN.as_of - hours * HOUR_US, [probability / 2, probability])


@pytest.fixture
def put(client):
    """Keeps users' scores as ``score-all`` does beside the server."""

    def put(*users, run=RUN):
        client.portal.call(client.app.state.services.lists._scores.put_many, run, users)

    return put


@pytest.fixture
def get(client):
    def get(**asked):
        answer = client.get("/v1/users", params=EVERYONE | asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


def ids(page):
    return [one["user_id"] for one in page["results"]]


def test_a_list_says_who_is_at_risk_as_of_when_and_by_which_model(put, get):
    put(scored("u1", 0.5), NewScore("gone", "inactive", None, [None, None]))
    page = get()
    assert page.pop("took_ms") > 0
    assert page.pop("request_id")
    [user] = page.pop("results")
    assert page == {"degraded": [], "horizon_days": 30, "has_more": False, "next_cursor": None}
    assert user == {
        "user_id": "u1",
        "status": "scored",
        "probability": 0.5,
        "threshold": 0.4,
        "at_risk": True,
        "withheld": [],
        "last_active_at": "2024-10-04T07:00:00Z",
        "changed_at": "2024-10-04T08:00:00Z",
        "as_of": "2024-10-04T08:00:00Z",
        "model": {"name": "churn", "version": "7", "digest": "d" * 64},
    }
    [gone] = get(status="inactive")["results"]
    assert (gone["probability"], gone["at_risk"], gone["last_active_at"]) == (None, None, None)


def test_the_list_is_of_the_longest_horizon_or_the_one_asked_for(put, get):
    put(NewScore("a", "scored", 1, [0.1, 0.9]), NewScore("b", "scored", 1, [0.2, 0.3]))
    assert ids(get()) == ids(get(horizon_days=30)) == ["a", "b"]
    week = get(horizon_days=7)
    assert (week["horizon_days"], ids(week)) == (7, ["b", "a"])


def test_bounds_choose_whom_to_list(put, get):
    put(scored("a", 0.1, hours=9), scored("b", 0.5, hours=5), scored("c", 0.9, hours=1))
    assert ids(get(min_probability=0.5, max_probability=0.9)) == ["c", "b"]
    assert ids(get(active_since="2024-10-04T03:00:00Z")) == ["c", "b"]
    assert ids(get(active_before="2024-10-04T11:00:00+08:00")) == ["a"]
    put(scored("a", 0.2, hours=9), run=RUN._replace(as_of=RUN.as_of + HOUR_US))
    assert ids(get(changed_since="2024-10-04T09:00:00Z")) == ["a"]


def test_pages_go_on_from_the_cursor_until_there_is_no_more(put, get):
    put(*(scored(f"u{n:03}", n / 300) for n in range(250)))
    found, page = [], get()
    while page["has_more"]:
        found.append(ids(page))
        page = get(cursor=page["next_cursor"])
    assert page["next_cursor"] is None
    assert [len(one) for one in [*found, ids(page)]] == [100, 100, 50]
    assert [one for part in [*found, ids(page)] for one in part] == [f"u{n:03}" for n in range(249, -1, -1)]
    assert len(get(limit=3)["results"]) == 3


def refused(client, **asked):
    answer = client.get("/v1/users", params=EVERYONE | asked)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


def test_a_cursor_that_was_changed_anywhere_is_refused(put, get, client):
    put(scored("a", 0.1), scored("b", 0.2))
    cursor = get(limit=1)["next_cursor"]
    assert ids(get(limit=1, cursor=cursor)) == ["a"]
    changed = [f"{cursor[:n]}{'A' if cursor[n] != 'A' else 'B'}{cursor[n + 1 :]}" for n in range(len(cursor))]
    for bad in (*changed, cursor[:-1], cursor + "A", cursor + "!", "x", "é", "=", "a b"):
        assert refused(client, limit=1, cursor=bad) == [("/query/cursor", "bad_cursor")], bad


def test_a_cursor_of_another_list_is_refused(put, get, client):
    put(scored("a", 0.1), scored("b", 0.2))
    cursor = get(limit=1)["next_cursor"]
    assert refused(client, cursor=cursor, horizon_days=7) == [("/query/cursor", "bad_cursor")]
    assert refused(client, cursor=cursor, min_probability=0.1) == [("/query/cursor", "bad_cursor")]


def test_a_horizon_that_was_not_scored_is_refused_naming_those_that_were(put, client):
    assert refused(client, horizon_days=8) == [("/query/horizon_days", "unknown_horizon")]
    put(scored("a", 0.1))
    assert refused(client, horizon_days=8) == [("/query/horizon_days", "unknown_horizon")]
    assert "7, 30" in client.get("/v1/users", params={"horizon_days": 8}).json()["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 0),
        ("limit", 101),
        ("min_probability", -0.1),
        ("max_probability", "nan"),
        ("status", "lost"),
        ("active_since", "2024-10-04T03:00:00"),
        ("active_before", "1728000000"),
        ("cursor", "x" * 2_049),
    ],
)
def test_a_bound_out_of_bounds_is_pointed_at(client, name, value):
    assert [pointer for pointer, _ in refused(client, **{name: value})] == [f"/query/{name}"]


def test_an_unknown_bound_is_refused_and_not_ignored(client):
    assert refused(client, min_probabilty=0.5) == [("/query", "extra_forbidden")]


def test_while_nobody_is_scored_the_list_is_empty_and_has_no_horizon(get):
    page = get()
    assert (page["results"], page["horizon_days"], page["has_more"]) == ([], None, False)


def exported(client, **asked):
    answer = client.get("/v1/users.csv", params=EVERYONE | asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.text.startswith("\ufeffuser_id,")
    return answer.text.removeprefix("\ufeff")


def test_an_export_is_the_whole_list_with_a_header(put, get, client):
    put(*(scored(f"u{n:04}", n / 3_000) for n in range(2_500)))
    header, *rows = csv.reader(io.StringIO(exported(client, min_probability=0.1), newline=""))
    assert tuple(header) == COLUMNS
    assert [row[0] for row in rows] == [f"u{n:04}" for n in range(2_499, 299, -1)]
    [user] = get(limit=1)["results"]
    assert rows[0] == [
        *("u2499", "scored", "30", "0.8330", "0.4000", "true", " ".join(user["withheld"])),
        *("2024-10-04 15:00:00", "2024-10-04 16:00:00", "2024-10-04 16:00:00"),
        "7",
    ]


def test_an_export_is_quoted_by_rfc_4180_and_computes_nothing_in_a_spreadsheet(put, client):
    names = ['a"b', "c,d", "用户", "=1+1", "+1", "-1", "@x", "＝1"]
    put(*(scored(name, 1 - n / 10) for n, name in enumerate(names)))
    lines = exported(client).split("\r\n")
    assert lines.pop() == ""
    starts = ['"a""b",', '"c,d",', "用户,", "'=1+1,", "'+1,", "'-1,", "'@x,", "'＝1,"]
    assert [line.startswith(start) for line, start in zip(lines[1:], starts, strict=True)] == [True] * len(names)


def test_who_is_not_scored_has_empty_cells(put, client):
    put(NewScore("gone", "inactive", None, [None, None]))
    assert (
        exported(client, status="inactive")
        .splitlines()[1]
        .startswith("gone,inactive,30,,0.4000,,,,2024-10-04 16:00:00")
    )


def test_an_export_that_can_not_be_made_is_a_problem(put, client):
    put(scored("a", 0.1))
    answer = client.get("/v1/users.csv", params={"horizon_days": 8})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_horizon")
    assert client.get("/v1/users.csv", params={"limit": 5}).status_code == 422


async def put_beside(settings, users):
    async with open_stores(settings) as stores:
        await stores.scores.put_many(RUN, users)


def test_an_export_ends_with_its_client_and_has_read_little_more_than_was_taken(world, listen, eventually):
    n_parts, n_reads = 30, 0
    users = [scored(f"{n:0128}", n / 1_000 / n_parts) for n in range(1_000 * n_parts)]
    asyncio.run(put_beside(world.settings, users))

    def count(_connection, _cursor, statement, *_):
        nonlocal n_reads
        n_reads += "FROM scores" in statement

    event.listen(Engine, "before_cursor_execute", count)
    with listen(world.app()) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        client.sendall(b"GET /v1/users.csv?at_risk=false HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(16).startswith(b"HTTP/1.1 200")
        assert in_flight(address) == 2  # the export, which waits for its client, and this question
        client.close()
        eventually(lambda: in_flight(address) == 1)
    event.remove(Engine, "before_cursor_execute", count)
    assert 1 <= n_reads < n_parts


def in_flight(address):
    with urlopen(f"http://{address}/metrics", timeout=30) as answer:
        return float(re.search(rb"^mingjian_in_flight_requests (\S+)", answer.read(), re.MULTILINE)[1])
