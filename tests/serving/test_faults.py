"""What is answered while a store is gone, slow, full or emptied, and that all is well after, without a restart."""

import socket
import threading
import time
from contextlib import ExitStack, suppress
from datetime import timedelta

import pytest
from pydantic import PostgresDsn, RedisDsn, Secret

TIMEOUT_S = 2
"""Of the stores that are slow here; the others have the time that a busy machine takes."""
LONGEST_S = 15
"""The driver of PostgreSQL gives a connection that fell silent two seconds to close; the rest is for busy machines."""


class Proxy:
    """Passes bytes on to a local server, while ``passing`` is set; else holds them, as a dead network does."""

    def __init__(self, port):
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.passing = threading.Event()
        self.passing.set()
        self._sockets = [self._listening]
        self._start(self._accept)

    def _start(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [here, there]
                self._start(self._pump, here, there)
                self._start(self._pump, there, here)

    def _pump(self, source, sink):
        with suppress(OSError):
            while data := source.recv(65_536):
                self.passing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.passing.set()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def proxy():
    """Makes a proxy to a port."""
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def redis_at(port):
    return Secret(RedisDsn(f"redis://127.0.0.1:{port}/0"))


@pytest.fixture
def opened(world):
    """Opens an app with a champion and quick repairs."""
    world.registry.release()
    with ExitStack() as clients:

        def open_app(timeout_s=30, **stores):
            return clients.enter_context(world.open(store_timeout_s=timeout_s, repair_s=0.02, **stores))

        yield open_app


def ingest(client, *events):
    return client.post("/v1/events", json={"events": events})


def score(client, *user_ids):
    return client.post("/v1/users:score", json={"user_ids": user_ids or ["u1"]})


def scores(client):
    answer = score(client)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def require_unavailable(answer):
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"


def within_the_timeout(call, *arguments):
    """A call's answer, which must come within the time that a request may wait for its stores."""
    started = time.monotonic()
    answer = call(*arguments)
    assert time.monotonic() - started < LONGEST_S
    return answer


def is_whole(client):
    answer = score(client)
    return answer.status_code == 200 and answer.json()["degraded"] == [] and client.get("/readyz").status_code == 200


def require_only_ingest(client, event):
    """States can be neither read nor written: facts are kept for later, scores are refused."""
    answer = within_the_timeout(ingest, client, event(days=1)).json()
    assert ([one["status"] for one in answer["results"]], answer["degraded"]) == (["accepted"], ["states"])
    require_unavailable(within_the_timeout(score, client))
    ready = within_the_timeout(client.get, "/readyz")
    assert (ready.status_code, ready.json()["checks"]["stores"]) == (503, "unreachable")
    assert client.get("/livez").status_code == 200


def require_taken(eventually, client, event):
    """The event is there and in the states: with a short timeout, a busy machine may need more than one attempt."""
    eventually(lambda: ingest(client, event).status_code == 200)
    eventually(lambda: is_whole(client))


def require_recovery(eventually, client, score_before):
    """All that was accepted meanwhile is in the next whole answer."""
    eventually(lambda: is_whole(client))
    assert scores(client) != score_before


def test_redis_gone(own_redis, opened, event, eventually):
    client = opened(state_url=redis_at(own_redis.port))
    ingest(client, event(days=10))
    before = scores(client)
    own_redis.stop()
    require_only_ingest(client, event)
    own_redis.start()
    require_recovery(eventually, client, before)


@pytest.mark.slow
def test_redis_slow(own_redis, proxy, opened, event, eventually):
    slow = proxy(own_redis.port)
    client = opened(TIMEOUT_S, state_url=redis_at(slow.port))
    require_taken(eventually, client, event(days=10))
    before = scores(client)
    slow.passing.clear()
    require_only_ingest(client, event)
    slow.passing.set()
    require_recovery(eventually, client, before)


def test_redis_not_there_yet_when_the_server_starts(own_redis, opened, event, eventually):
    own_redis.stop()
    client = opened(state_url=redis_at(own_redis.port))
    require_only_ingest(client, event)
    own_redis.start()
    eventually(lambda: is_whole(client))
    assert scores(client)[0]["status"] == "scored"


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
    ],
    ids=["read-only", "full"],
)
def test_redis_that_takes_no_writes(own_redis, opened, event, spoil, mend, eventually):
    client = opened(state_url=redis_at(own_redis.port))
    ingest(client, event(days=10))
    before = scores(client)
    own_redis.client.execute_command(*spoil)
    assert ingest(client, event(days=1)).json()["degraded"] == ["states"]
    answer = score(client).json()
    assert (answer["results"], answer["degraded"]) == (before, ["states"])  # what was known, and that it is not all
    own_redis.client.execute_command(*mend)
    require_recovery(eventually, client, before)


def test_redis_flushed(own_redis, opened, event):
    client = opened(state_url=redis_at(own_redis.port))
    ingest(client, event(days=10), event(days=5))
    before = scores(client)
    for n in range(5):
        own_redis.client.flushall()
        own_redis.client.script_flush()
        assert scores(client) == before
        assert ingest(client, event("u2", days=n)).json()["degraded"] == []
    assert scores(client) == before


def test_a_state_that_expired_is_no_cold_start(own_redis, world, opened, event, eventually):
    client = opened(state_url=redis_at(own_redis.port), state_ttl_days=3)
    ingest(client, event(days=10))
    before = scores(client)
    assert 3 * 86_400 - 10 < own_redis.client.ttl("mingjian:state:u1") <= 3 * 86_400
    own_redis.client.delete("mingjian:state:u1")
    assert scores(client) == before
    assert own_redis.client.ttl("mingjian:state:u1") > 0  # folded anew, it is kept again
    assert score(client, "never").json()["results"][0]["status"] == "cold_start"
    eventually(lambda: own_redis.client.ttl("mingjian:watermark") == -1)  # there, without an end


def test_a_state_of_another_version_heals(own_redis, opened, event):
    client = opened(state_url=redis_at(own_redis.port))
    ingest(client, event(days=10))
    before = scores(client)
    value = own_redis.client.get("mingjian:state:u1")
    own_redis.client.set("mingjian:state:u1", value[:8] + b"\x63" + value[9:])
    assert scores(client) == before
    assert own_redis.client.get("mingjian:state:u1") == value


def postgres_through(proxy, url):
    return Secret(PostgresDsn(f"postgresql://postgres@127.0.0.1:{proxy.port}/{url.rpartition('/')[2]}"))


def port_of(url):
    return PostgresDsn(url).hosts()[0]["port"] or 5432


@pytest.mark.slow
def test_postgres_slow(postgres_url, proxy, opened, event, eventually):
    slow = proxy(port_of(postgres_url))
    client = opened(TIMEOUT_S, journal_url=postgres_through(slow, postgres_url))
    require_taken(eventually, client, event(days=10))
    before = scores(client)
    slow.passing.clear()
    lost = event(days=1)
    require_unavailable(within_the_timeout(ingest, client, lost))
    assert within_the_timeout(scores, client) == before  # known users need no journal
    require_unavailable(within_the_timeout(score, client, "never seen"))
    assert within_the_timeout(client.get, "/readyz").json()["checks"]["stores"] == "unreachable"
    slow.passing.set()
    eventually(lambda: ingest(client, lost).status_code == 200)
    require_recovery(eventually, client, before)


def test_postgres_gone(postgres_url, proxy, opened, event):
    gone = proxy(port_of(postgres_url))
    client = opened(journal_url=postgres_through(gone, postgres_url))
    ingest(client, event(days=10))
    gone.close()
    require_unavailable(within_the_timeout(ingest, client, event()))
    require_unavailable(within_the_timeout(ingest, client, event()))


def join(threads):
    for one in threads:
        one.join()


def cut_while_they_send(eventually, senders, statuses, cut):
    """Cut after every few answers until all senders are done."""
    while any(sender.is_alive() for sender in senders):
        goal = len(statuses) + 5
        eventually(lambda goal=goal: len(statuses) >= goal or not any(sender.is_alive() for sender in senders))
        cut()


def test_postgres_restarted_mid_batch_loses_and_repeats_nothing(postgres, postgres_url, opened, event, eventually):
    """Clients send until they are told that all is there, as the API asks of them, while connections are cut."""
    client = opened(journal_url=Secret(PostgresDsn(postgres_url)))
    batches = [[event(f"u{n % 5}", days=1 + n) for n in range(50)] for _ in range(40)]
    statuses, accepted, stop = [], [], threading.Event()

    def sent(batch):
        while not stop.is_set():
            answer = ingest(client, *batch)
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                return answer.json()["results"]
            require_unavailable(answer)
        return []

    def send(own):
        for batch in own:
            accepted.extend(sent(batch))
        while 503 not in statuses and not stop.is_set():
            sent(own[-1])  # until a cut has hit

    senders = [threading.Thread(target=send, args=(batches[n::4],)) for n in range(4)]
    for sender in senders:
        sender.start()
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{postgres_url.rpartition('/')[2]}' AND application_name = 'mingjian'"
    )
    try:
        cut_while_they_send(eventually, senders, statuses, lambda: postgres(cut))
    finally:
        stop.set()
        join(senders)
    assert 503 in statuses
    assert {one["status"] for one in accepted} <= {"accepted", "duplicate"}
    assert len(accepted) == postgres("SELECT count(*) FROM facts", postgres_url)[0][0] == 2_000
    eventually(lambda: is_whole(client))
    portal, folder = client.portal, client.app.state.services.folder
    get_many, users = client.app.state.services.states.get_many, [f"u{n}" for n in range(5)]
    folded = portal.call(get_many, users)

    async def rebuild():
        async for _ in folder.rebuild():
            pass

    portal.call(rebuild)
    assert portal.call(get_many, users) == folded


def test_sqlite_disk_full(opened, event, eventually):
    client = opened()
    ingest(client, event(days=10))
    before = scores(client)
    file, call = client.app.state.services.journal._database, client.portal.call

    def limit(n_pages):
        call(file.write, lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages}").all())

    limit(1)  # SQLite takes the present size for a smaller limit
    answers = [ingest(client, *(event(f"u{n}", note_id="n" * 128) for n in range(500))) for _ in range(3)]
    require_unavailable(answers[-1])
    assert scores(client) == before
    limit(1 << 30)
    assert ingest(client, event(days=1)).json()["degraded"] == []
    require_recovery(eventually, client, before)


def test_a_clock_stepped_back_shows_no_future_and_heals(world, opened, event):
    client = opened()
    ingest(client, event(days=10), event(days=0.1))
    now, before = world.clock.now, scores(client)
    world.clock.now -= timedelta(days=1)
    answer = score(client).json()
    assert answer["features_as_of"] == "2025-04-30T12:00:00Z"
    past = score(client).json()["results"]
    assert past != before
    ahead, known = event(days=0.05), event(days=2)
    assert [one["code"] for one in ingest(client, ahead, known).json()["results"]] == ["future_event", None]
    world.clock.now = now
    assert ingest(client, ahead).json()["results"][0]["status"] == "accepted"
    assert scores(client)[0]["status"] == "scored"
