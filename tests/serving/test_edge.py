"""Sockets that ask for more than their due: what comes before a key takes next to nothing, and keeps nobody out."""

import json
import socket
from contextlib import ExitStack, suppress

import pytest

from serving.__main__ import main

SCORE = json.dumps({"user_ids": ["u1"]}).encode()
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def serve_app(make_world, listen, tmp_path_factory):
    """Starts a server with an app's settings and a server's bounds, and gives what opens connections to it."""
    with ExitStack() as stack:

        def start(*, folder=None, app=None, **bounds):
            world = make_world(folder or tmp_path_factory.mktemp("edge"))
            world.registry.release()
            host, port = stack.enter_context(listen(world.app(**app or {}), **bounds)).split(":")
            return lambda: stack.enter_context(socket.create_connection((host, int(port)), timeout=20))

        yield start


@pytest.fixture(scope="module")
def connect(serve_app):
    """Opens a connection to a server as it is."""
    return serve_app()


@pytest.fixture(scope="module")
def connect_in_haste(serve_app):
    """Opens a connection to a server that waits for a tenth of a second."""
    return serve_app(header_timeout_s=0.1, body_timeout_s=0.1)


@pytest.fixture
def key(data_dir, capsys):
    """A key that may score, of an app that asks for one."""
    assert main(["create-key", "--scopes", "score", "--label", "edge"]) == 0
    return capsys.readouterr().out.strip()


def answer(connection):
    """The status, headers and body of the next answer."""
    reader = connection.makefile("rb")
    status = int(reader.readline().split()[1])
    lines = iter(lambda: reader.readline().strip(), b"")
    headers = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
    return status, headers, reader.read(int(headers.get("content-length", 0)))


def everything(connection):
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def send(connection, data):
    """Send as much as the server takes."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)
    return connection


def posted(path, *headers, length):
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def require_refused(connection, status, code):
    got, headers, body = answer(connection)
    assert (got, json.loads(body)["code"]) == (status, code)
    assert (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")
    assert everything(connection) == b""


def score(connection, key=""):
    headers = [f"X-API-Key: {key}"] if key else []
    connection.sendall(posted("/v1/users:score", *headers, length=len(SCORE)) + SCORE)
    return answer(connection)[0]


TOO_LONG = {
    "an endless header": b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 40_000,
    "an endless name of a header": b"GET /livez HTTP/1.1\r\n" + b"a" * 40_000,
    "an endless path": b"GET /" + b"a" * 40_000,
    "an endless query": b"GET /livez?" + b"a" * 40_000,
    "an endless pause before a value": b"GET /livez HTTP/1.1\r\nX-Long:" + b" " * 40_000,
    "many headers": b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 8_000,
    "one large header in a whole request": b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 33_000 + b"\r\n\r\n",
    "lines before a request": b"\r\n" * 20_000,
    "a megabyte": b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 1_000_000,
}


@pytest.mark.parametrize("data", TOO_LONG.values(), ids=TOO_LONG)
def test_headers_above_32_kb_are_refused_while_they_come(connect, data):
    require_refused(send(connect(), data), 431, "headers_too_large")


def test_headers_below_32_kb_are_read_however_they_are_cut(connect):
    connection = connect()
    request = b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 30_000 + b"\r\n\r\n"
    for start in range(0, len(request), 1_000):
        connection.sendall(request[start : start + 1_000])
    assert answer(connection)[0] == 200
    connection.sendall(request)
    assert answer(connection)[0] == 200


def test_the_bound_holds_for_each_request_of_a_connection_and_not_for_all(connect):
    connection = connect()
    for _ in range(5):
        connection.sendall(b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n")
        assert answer(connection)[0] == 200
    require_refused(send(connection, TOO_LONG["an endless header"]), 431, "headers_too_large")


@pytest.mark.parametrize("begun", [b"G", b"GET /livez HTTP/1.1\r\nX: ", b"\r\n", LIVE[:-2]])
def test_headers_that_do_not_come_in_time_are_refused(connect_in_haste, begun):
    require_refused(send(connect_in_haste(), begun), 408, "timed_out")


def test_headers_that_drip_are_refused_in_time_all_the_same(connect_in_haste):
    connection = connect_in_haste()
    connection.settimeout(0.01)
    for byte in LIVE[:-1]:
        send(connection, bytes([byte]))
        try:
            assert connection.recv(12) == b"HTTP/1.1 408"
            return
        except TimeoutError:
            continue
    raise AssertionError("it went on")


def test_the_next_request_of_a_connection_has_to_come_in_time_too(connect_in_haste):
    connection = connect_in_haste()
    connection.sendall(LIVE)
    assert answer(connection)[0] == 200
    require_refused(send(connection, b"GET"), 408, "timed_out")


def test_a_connection_that_says_nothing_is_closed(connect_in_haste):
    assert everything(connect_in_haste()) == b""


@pytest.mark.parametrize("headers", [posted("/v1/users:score", length=99),
    b"POST /v1/users:score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"])  # fmt: skip
def test_a_body_that_does_not_come_in_time_is_refused(connect_in_haste, headers):
    require_refused(send(connect_in_haste(), headers), 408, "timed_out")


def test_more_connections_than_may_be_are_refused(serve_app):
    opened = serve_app(max_connections=2)
    first, second = opened(), opened()
    for one in (first, second):
        one.sendall(LIVE)
        assert answer(one)[0] == 200
    require_refused(opened(), 503, "busy")
    first.sendall(LIVE)
    assert answer(first)[0] == 200


def test_requests_half_sent_without_a_key_are_answered_and_keep_nobody_out(serve_app, data_dir, key):
    opened = serve_app(folder=data_dir, app={"open_access": False, "max_in_flight": 2})
    for _ in range(6):
        waiting = opened()
        waiting.sendall(posted("/v1/users:score", length=99) + b"{")
        assert answer(waiting)[0] == 401
    assert score(opened(), key) == 200


@pytest.mark.parametrize("path", ["/v1/users:score", "/console/sign-in"])
def test_requests_half_sent_with_a_key_or_from_a_browser_keep_nobody_out(serve_app, data_dir, key, path):
    opened = serve_app(folder=data_dir, app={"open_access": False, "max_in_flight": 2})
    is_form = path.startswith("/console")
    for _ in range(8 if is_form else 6):
        waiting = opened()
        waiting.sendall(posted(path, f"X-API-Key: {key}", "Expect: 100-continue", length=99))
        assert waiting.recv(100).startswith(b"HTTP/1.1 100")  # it is read from here on
    if is_form:
        assert [answer(send(opened(), posted(path, length=9)))[0] for _ in range(2)] == [503, 503]
    assert score(opened(), key) == 200


def test_a_request_whose_body_has_come_counts(serve_app):
    opened = serve_app(app={"max_in_flight": 0})
    connection = opened()
    assert score(connection) == 503
    connection.sendall(LIVE)
    assert answer(connection)[0] == 200


def test_requests_sent_at_once_are_answered_in_order_and_not_without_end(connect):
    several, many = connect(), connect()
    several.sendall(LIVE * 10)
    assert [answer_of_live(several) for _ in range(10)] == [200] * 10
    send(many, LIVE * 1_000)
    assert everything(many).count(b"HTTP/1.1 200") < 100


def answer_of_live(connection):
    """The status of an answer, read byte by byte so that the next one stays where it is."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(head.split()[1])


CHUNKED = (
    b"POST /v1/users:score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
)


@pytest.mark.parametrize("around", [
    b"1;" + b"x" * 200_000 + b"\r\n{\r\n",
    b"1\r\n{\r\n0\r\n" + b"X-Trailer: x\r\n" * 10_000 + b"\r\n",
    b"1\r\n{\r\n0\r\nX-Trailer: " + b"x" * 200_000 + b"\r\n\r\n",
], ids=["extension", "trailers", "trailer"])  # fmt: skip
def test_what_is_around_a_body_is_bounded_too(connect, around):
    status, headers, _ = answer(send(connect(), CHUNKED + b"\r\n" + around))
    assert (status, headers["connection"]) == (400, "close")


def test_a_body_in_chunks_of_one_byte_is_read(connect):
    connection = connect()
    body = json.dumps({"user_ids": [f"u{n}" for n in range(1_000)]}).encode()
    connection.sendall(CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
    assert answer(connection)[0] == 200


def test_a_header_after_the_body_opens_nothing(serve_app, data_dir, key):
    connection = serve_app(folder=data_dir, app={"open_access": False})()
    chunk = b"%x\r\n%s\r\n" % (len(SCORE), SCORE)
    connection.sendall(CHUNKED + b"\r\n" + chunk + f"0\r\nX-API-Key: {key}\r\n\r\n".encode())
    assert answer(connection)[0] == 401


@pytest.mark.parametrize("headers", [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n",
])  # fmt: skip
def test_who_asks_for_another_protocol_gets_an_answer_in_this_one(connect, headers):
    connection = connect()
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
    assert answer(connection)[0] == 200


def test_http_1_0_is_answered_and_closed(connect):
    connection = connect()
    connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
    assert answer(connection)[0] == 200
    assert everything(connection) == b""


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"CONNECT x:443 HTTP/1.1\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /livez HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
])  # fmt: skip
def test_what_is_no_http_1_1_is_refused(connect, data):
    status, headers, _ = answer(send(connect(), data))
    assert (400 <= status < 500, headers["connection"]) == (True, "close")
