"""The audit log: who did what to what, when and from where, on each kind of database."""

import re
import time

import pytest
from pydantic import PostgresDsn, Secret
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request

from features.state import DAY_US
from models.policy.schema import read_policy
from serving.__main__ import main
from serving.addresses import client_address, neighbourhood
from serving.errors import StoreError
from serving.policies.live import shipped_policy
from serving.security import Scope, hash_secret, new_key
from serving.settings import Settings
from serving.store.audit import Action, AuditQuery, Target, TargetKind, entry
from serving.store.desk_tables import AUDIT_LOG
from serving.store.keys import StoredKey
from serving.store.sql_audit import SqlAudit

USER = "planted-secret-user"
POLICY = shipped_policy().content.replace('name = "default"', 'name = "mine"')


@pytest.fixture(params=["sqlite", "postgres"])
def client(request, world):
    on = {"sqlite": {}, "postgres": {"journal_url": "postgres_url"}}[request.param]
    settings = {name: Secret(PostgresDsn(request.getfixturevalue(url))) for name, url in on.items()}
    world.registry.release()
    with world.open(open_access=False, **settings) as client:
        keys = client.app.state.services.key_ring._keys
        key = new_key()
        stored = StoredKey(hash_secret(key), "ops tool", frozenset(Scope), created_at=1_000_000)
        client.portal.call(keys.add, stored)
        client.headers["X-API-Key"] = key
        yield client


def entries(client, **asked):
    answer = client.get("/v1/audit", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def told(client, **asked):
    return [(one["actor_kind"], one["actor"], one["action"], one["outcome"]) for one in entries(client, **asked)]


def test_who_did_what_is_told_the_newest_first(client):
    client.delete(f"/v1/users/{USER}", headers={"X-Request-Id": "r-1"})
    version = read_policy(POLICY).version
    client.post("/v1/policies", json={"content": POLICY, "why": "x"})
    client.post("/v1/policies:activate", json={"version": version, "why": "x"})
    client.post("/v1/policies:shadow", json={"version": shipped_policy().version, "why": "x"})
    client.post("/v1/policies:rollback", json={"why": "x"})
    client.get("/v1/users.csv")
    of_key = [one for one in told(client) if one[0] == "key"]
    done = ["export", "policy.rollback", "policy.shadow", "policy.activate", "policy.add", "user.erase"]
    assert of_key == [("key", "ops tool", action, "done") for action in done]
    (erased,) = entries(client, action="user.erase")
    assert (erased["address"], erased["request_id"], erased["occurred_at"]) == (
        "testclient", "r-1", "2025-05-01T12:00:00Z",
    )  # fmt: skip


def test_a_user_is_named_by_a_pseudonym_that_erasing_again_gives_again(client):
    for user_id in (USER, USER, "other"):
        client.delete(f"/v1/users/{user_id}")
    other, *erased = [one["target"] for one in entries(client, target_kind="user")]
    assert erased[0] == erased[1] != other
    assert re.fullmatch("[0-9a-f]{64}", other)
    assert [one["target"] for one in entries(client, target=other)] == [other]
    assert USER not in client.get("/v1/audit").text


def test_a_change_that_is_refused_or_changes_nothing_is_not_told(client):
    for _ in range(2):
        client.post("/v1/policies", json={"content": POLICY, "why": "x"})
    assert client.post("/v1/policies:rollback", json={"why": "x"}).status_code == 409
    client.post("/v1/policies:activate", json={"version": shipped_policy().version, "why": "x"})
    assert [one[2] for one in told(client, actor="ops tool")] == ["policy.add"]


def test_entries_come_by_pages_and_by_what_is_asked_for(client):
    for number in range(5):
        client.delete(f"/v1/users/u{number}")
    asked, found = {"action": "user.erase", "limit": 2}, []
    while True:
        page = client.get("/v1/audit", params=asked).json()
        found += [one["entry_no"] for one in page["results"]]
        if not page["has_more"]:
            break
        asked["cursor"] = page["next_cursor"]
    assert len(found) == 5
    assert found == sorted(found, reverse=True)
    assert client.get("/v1/audit", params=asked | {"action": "export"}).status_code == 422  # another list's cursor
    assert entries(client, before="2025-05-01T12:00:00Z", action="user.erase") == []
    assert len(entries(client, since="2025-05-01T12:00:00Z", action="user.erase")) == 5
    assert client.get("/v1/audit", params={"action": "user.kiss"}).status_code == 422


def test_a_model_that_goes_live_or_is_refused_is_told_once_whoever_restarts(client, world, eventually):
    eventually(lambda: len(told(client, target="churn/champion")) == 1)
    world.registry.point("0" * 64)
    eventually(lambda: len(told(client, target="churn/champion")) == 2)
    first = world.registry.release(0.5)
    eventually(lambda: len(told(client, target="churn/champion")) == 3)
    actions = [one["action"] for one in entries(client, target="churn/champion")]
    assert actions == ["model.live", "model.refuse", "model.live"]
    assert entries(client, target="churn/champion")[0]["detail"] == first.digest
    assert {one[:2] for one in told(client, target="churn/champion")} == {("system", "")}


def test_a_model_is_not_told_again_after_a_restart(world, eventually):
    world.registry.release()
    for _ in range(2):
        with world.open() as client:
            services = client.app.state.services
            client.portal.call(services.model_changes.follow)
            client.portal.call(services.model_changes.follow)
            assert len(told(client, target="churn/champion")) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "change", [update(AUDIT_LOG).values(actor="nobody"), delete(AUDIT_LOG)], ids=["change", "loss"]
)
async def test_the_database_itself_refuses_to_change_the_log(database, change):
    audit = SqlAudit(database)
    await audit.add(entry(Action.EXPORT, Target(TargetKind.TABLE, "users"), at=time.time_ns() // 1_000))
    with pytest.raises((StoreError, DBAPIError)):
        await database.write(lambda connection: connection.execute(change))
    assert len(await audit.page(AuditQuery(), before_no=None, limit=9)) == 1


@pytest.mark.anyio
async def test_what_is_old_goes_and_nothing_else(database):
    audit = SqlAudit(database)
    now = time.time_ns() // 1_000
    for age_days in (2_000, 1_000, 400, 1):
        await audit.add(entry(Action.EXPORT, None, at=now - age_days * DAY_US))
    before = now - 500 * DAY_US
    assert [await audit.retire(before, limit=1) for _ in range(3)] == [1, 1, 0]
    left = await database.read(lambda connection: connection.scalars(select(AUDIT_LOG.c.occurred_at)).all(), many=True)
    assert sorted((now - at) // DAY_US for at in left) == [1, 400]


def test_the_log_s_retention_is_no_shorter_than_what_the_database_holds():
    with pytest.raises(ValueError, match="180"):
        Settings(retention_audit_days=179)


@pytest.mark.usefixtures("data_dir")
def test_commands_are_told_by_the_account_that_ran_them(make_world, capsys, tmp_path):
    assert main(["create-key", "--scopes", "score", "--label", "app"]) == 0
    assert main(["revoke-key", "--label", "app"]) == 0
    with make_world(Settings().data_dir).open() as client:
        client.put("/v1/users/u1", json={"n_followers": 1})
        (created,) = entries(client, action="key.create")
        (revoked,) = entries(client, action="key.revoke")
    assert main(["export-events", "--out", str(tmp_path / "out")]) == 0
    with make_world(Settings().data_dir).open() as client:
        (exported,) = entries(client, action="export")
    assert {one["actor_kind"] for one in (created, revoked, exported)} == {"command"}
    assert created["actor"]
    assert (created["target"], created["detail"]) == (revoked["target"], "score")
    assert exported["target"] == "events"


def asked_from(peer, *forwarded):
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "client": (peer, 1), "headers": headers})


@pytest.mark.parametrize(("peer", "forwarded", "address"), [
    ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: it may write what it likes
    ("10.0.0.2", ["198.51.100.1"], "198.51.100.1"),
    ("10.0.0.2", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the client wrote the first
    ("10.0.0.2", ["1.1.1.1", "198.51.100.1, 10.0.0.3"], "198.51.100.1"),
    ("10.0.0.2", [], "10.0.0.2"),
    ("10.0.0.2", ["<script>"], "10.0.0.2"),
    ("10.0.0.2", ["1.1.1.1, "], "10.0.0.2"),
    ("testclient", ["1.1.1.1"], "testclient"),
])  # fmt: skip
def test_a_proxy_that_is_trusted_says_where_a_request_comes_from(peer, forwarded, address):
    trusted = Settings(trusted_proxies="10.0.0.0/24, 2001:db8::1").trusted_proxies
    assert client_address(asked_from(peer, *forwarded), trusted) == address
    assert client_address(asked_from(peer, *forwarded), ()) == peer


def test_trusted_proxies_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("MINGJIAN_TRUSTED_PROXIES", "10.0.0.0/24,127.0.0.1")
    assert [str(one) for one in Settings().trusted_proxies] == ["10.0.0.0/24", "127.0.0.1/32"]


@pytest.mark.parametrize(("address", "told_as"), [
    ("198.51.100.1", "198.51.100.1"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("::ffff:c633:6401", "::ffff:c633:6401"),  # an IPv4 address
    ("testclient", "testclient"),
])  # fmt: skip
def test_addresses_that_one_client_may_choose_from_are_one(address, told_as):
    assert neighbourhood(address) == told_as
