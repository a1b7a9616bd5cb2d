"""Callbacks to a real HTTPS server: signed, sent until taken, and never to an address that is not public."""

import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from serving.reviews.callbacks import MAX_ATTEMPTS, Callbacks, Receiver, public_address
from serving.settings import Settings

SPAM = {"title": "微信", "body": "微信微信微信微信", "author_id": "ann"}


class Community(ThreadingHTTPServer):
    """A community's server: what it was sent, and the statuses that it answers with, the last for good."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses = [204]
        self.answers = threading.Event()
        """Until it is set, nothing is answered about the note ``slow``."""
        self.drips = False
        """Whether answers come a byte at a time, and never end."""


class Taking(BaseHTTPRequestHandler):
    server: Community

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if json.loads(body)["note_id"] == "slow":
            self.server.answers.wait(30)
        self.server.taken.append((self.path, dict(self.headers), body))
        while self.server.drips:
            self.wfile.write(b"H")
            self.server.answers.wait(0.5)
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", "https://elsewhere.example/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    until = datetime.now(UTC) + timedelta(days=1)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1, tzinfo=UTC), until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("community.example")]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return file


@contextmanager
def served(certificate) -> Iterator[Community]:
    server = Community()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def community(certificate):
    with served(certificate) as server:
        yield server


@pytest.fixture
def desk(world, community, certificate, eventually):
    """A client in which ``decide`` decides about a reported note, and ``follow`` sends what is due."""
    world.registry.release_quality()
    url = f"https://community.example:{community.server_port}/hook?from=mingjian"
    with world.open(callback_url="https://x.invalid", callback_secret=None, review_second_share=0) as client:
        services = client.app.state.services
        trusting = ssl.create_default_context(cafile=certificate)
        receiver = Receiver(urlsplit(url), b"secret", lambda host, port: "127.0.0.1", trusting)
        sending = Callbacks(services.desk._reviews, receiver, metrics=services.metrics, clock=world.clock)
        client.portal.call(services.reviewers.add, "lin", "reviewer", None)
        client.put("/v1/notes/n1", json=SPAM)
        report = {"event_id": "r", "user_id": "bob", "event": "report", "note_id": "n1"}
        client.post("/v1/events", json={"events": [report | {"occurred_at": "2025-04-30T00:00:00Z"}]})
        eventually(lambda: client.get("/v1/reviews").json()["results"])
        world.clock.now += timedelta(seconds=1)
        yield Desk(client, sending, world)
        community.answers.set()
        client.portal.call(sending.close)


class Desk:
    def __init__(self, client, sending, world):
        self.client, self.sending, self.world = client, sending, world

    def report(self, note_id):
        self.client.put(f"/v1/notes/{note_id}", json=SPAM)
        report = {"event_id": f"r-{note_id}", "user_id": "bob", "event": "report", "note_id": note_id}
        self.client.post("/v1/events", json={"events": [report | {"occurred_at": "2025-04-30T00:00:00Z"}]})

    def untold(self):
        query = {"state": "decided", "untold": True}
        return [one["note_id"] for one in self.client.get("/v1/reviews", params=query).json()["results"]]

    def decide(self):
        claimed = self.client.post("/v1/reviews:claim", json={"reviewer": "lin"}).json()
        path = f"/v1/reviews/{claimed['review']['review_id']}"
        said = {"reviewer": "lin", "lease": claimed["lease"], "revision": 1, "outcome": "confirm", "reason": "spam"}
        assert self.client.post(f"{path}/decide", json=said).status_code == 200
        return path

    def follow(self, **later):
        self.world.clock.now += timedelta(**later)
        self.client.portal.call(self.sending.follow)


def test_a_decision_is_told_once_it_can_t_be_taken_back(desk, community):
    desk.decide()
    desk.follow(seconds=29)
    assert community.taken == []
    desk.follow(seconds=1)
    desk.follow(days=9)
    ((path, headers, body),) = community.taken
    assert path == "/hook?from=mingjian"
    assert headers["Host"].startswith("community.example")
    said = json.loads(body)
    assert (said["note_id"], said["author_id"], said["reporter_ids"]) == ("n1", "ann", ["bob"])
    assert (said["outcome"], said["decision"], said["reason"]) == ("confirm", "limit", "spam")
    assert "微信" not in body.decode()
    signed = f"{headers['X-Mingjian-Timestamp']}.".encode() + body
    assert headers["X-Mingjian-Signature"] == "v1=" + hmac.new(b"secret", signed, "sha256").hexdigest()


def test_a_decision_that_was_taken_back_is_not_told(desk, community):
    path = desk.decide()
    assert desk.client.post(f"{path}/undo", json={"reviewer": "lin"}).status_code == 200
    desk.follow(minutes=2)
    assert community.taken == []


def test_what_is_not_taken_comes_again_later_and_later(desk, community):
    community.statuses = [500, 302, 204]
    desk.decide()
    for minutes, n_taken in ((1, 1), (0, 1), (0.5, 2), (1.9, 2), (0.1, 3), (600, 3)):
        desk.follow(minutes=minutes)
        assert len(community.taken) == n_taken


def test_after_the_last_attempt_nothing_more_is_sent(desk, community):
    community.statuses, services = [503], desk.client.app.state.services
    desk.decide()
    for _ in range(2 * MAX_ATTEMPTS):
        desk.follow(hours=7)
        desk.client.portal.call(services.queues.look)
        waits = services.metrics.registry.get_sample_value("mingjian_oldest_waiting_seconds", {"job": "callbacks"})
        assert (waits > 0) == (len(community.taken) < MAX_ATTEMPTS)
        assert desk.untold() == (["n1"] if len(community.taken) == MAX_ATTEMPTS else [])
    assert len(community.taken) == MAX_ATTEMPTS
    assert 'mingjian_callbacks_total{outcome="dead"} 1.0' in desk.client.get("/metrics").text


def test_a_callback_that_hangs_holds_up_no_other_and_is_sent_once(desk, community, eventually):
    desk.report("slow")
    eventually(lambda: len(desk.client.get("/v1/reviews").json()["results"]) == 2)
    for _ in range(2):
        desk.decide()
    desk.follow(minutes=1)
    assert [json.loads(body)["note_id"] for _, _, body in community.taken] == ["n1"]
    desk.follow(minutes=1)
    community.answers.set()
    eventually(lambda: not desk.sending._under_way)
    desk.follow(days=1)
    assert [json.loads(body)["note_id"] for _, _, body in community.taken] == ["n1", "slow"]
    assert desk.untold() == []


@pytest.mark.slow
def test_an_answer_that_never_ends_is_given_up(desk, community, eventually):
    community.drips = True
    desk.decide()
    desk.follow(minutes=1)
    eventually(lambda: not desk.sending._under_way)
    assert 'mingjian_callbacks_total{outcome="failed"} 1.0' in desk.client.get("/metrics").text
    community.drips = False
    community.answers.set()


def test_a_receiver_that_is_not_who_it_should_be_gets_nothing(desk, community):
    other = desk.sending._receiver._replace(url=urlsplit(f"https://other.example:{community.server_port}/"))
    desk.sending._receiver = other
    desk.decide()
    desk.follow(minutes=1)
    assert community.taken == []


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "::1", "localhost"])
def test_an_address_that_is_not_public_is_refused(host):
    with pytest.raises(OSError, match="not public"):
        public_address(host, 443)


@pytest.mark.parametrize(
    "settings",
    [
        {"callback_url": "http://community.example/hook", "callback_secret": "x"},
        {"callback_url": "https://community.example/hook"},
        {"callback_secret": "x"},
    ],
)
def test_settings_that_would_tell_in_the_clear_or_unsigned_are_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
