"""The callback face: every decorator, threads, errors, and the ways to run and stop."""

import queue
import threading

import pytest
import wsraw
from conftest import plain_server

import wsbeat

LIMIT_S = 20


class Recorder:
    """Collects calls by name."""

    def __init__(self, server, *names):
        self.calls = {name: queue.Queue() for name in names}
        for name in names:
            getattr(server, f"on_{name}")(lambda *arguments, name=name: self.calls[name].put(arguments))

    def get(self, name):
        return self.calls[name].get(timeout=LIMIT_S)


def test_echo_and_all_events(start):
    server = plain_server(heartbeat=wsbeat.Heartbeat(0.2))
    seen = Recorder(server, "open", "close", "pong")
    start(server)
    with wsraw.connect(server.port, "/p?q=1") as client:
        (conn,) = seen.get("open")
        assert isinstance(conn, wsbeat.Connection) and (conn.path, conn.query) == ("/p", "q=1") and conn.state is wsbeat.State.OPEN
        assert conn.request.headers["host"].startswith("127.0.0.1") and server.connections == [conn]
        client.send_text("h\u00e9")
        assert client.recv_text() == "h\u00e9"
        client.send_binary(b"\0")
        assert client.recv_message() == b"\0"
        client.send_pong(client.recv_frame().payload)
        who, round_trip, payload, heartbeat = seen.get("pong")
        assert who is conn and round_trip > 0 and len(payload) == 8 and heartbeat is True and conn.latency == round_trip
        conn.ping(b"mine")
        while (frame := client.recv_frame()).payload != b"mine":
            client.send_pong(frame.payload)
        client.send_pong(b"mine")
        while (call := seen.get("pong"))[2] != b"mine":
            pass
        assert call[3] is False
        assert conn.info().messages_in == 2
        client.finish(4000, "bye")
    conn_closed, info = seen.get("close")
    assert conn_closed is conn and info == conn.close_info == wsbeat.CloseInfo(4000, "bye", 4000, True, "remote", "peer_close")
    assert conn.state is wsbeat.State.CLOSED and server.connections == []
    for call in (lambda: conn.send("x"), conn.info, conn.abort, conn.ping):
        with pytest.raises(wsbeat.ConnectionClosedError) as caught:
            call()
        assert caught.value.info is info
    conn.close()  # nothing to do


def test_sending_from_other_threads(start):
    server = wsbeat.Server(port=0, max_queue_bytes=2**24)
    seen = Recorder(server, "open")
    start(server)
    with wsraw.connect(server.port) as client:
        (conn,) = seen.get("open")
        threads = [threading.Thread(target=lambda name=name: [conn.send(f"{name} {i}") for i in range(500)]) for name in range(4)]
        for thread in threads:
            thread.start()
        counts = [0] * 4
        for _ in range(2000):
            name, number = map(int, client.recv_text().split())
            assert counts[name] == number
            counts[name] += 1
        for thread in threads:
            thread.join()
        conn.close(4001, "from main")
        assert client.recv_close() == (4001, "from main")
        client.send_close(4001)


def test_a_callback_that_raises_closes_with_1011(start, log):
    server = wsbeat.Server(port=0)
    seen = Recorder(server, "close")

    @server.on_message
    def on_message(conn, message):
        raise LookupError(message)

    start(server)
    with wsraw.connect(server.port) as client, wsraw.connect(server.port) as other:
        client.send_text("boom")
        assert client.recv_close() == (1011, "internal error")
        client.send_close(1011)
        assert seen.get("close")[1].code_sent == 1011
        other.send_ping(b"alive")
        assert other.recv_frame().payload == b"alive"
    assert "on_message failed" not in log.text or "boom" in log.text
    assert [record.exc_info[0] for record in log.records if record.exc_info] == [LookupError]


@pytest.mark.parametrize("name", ["open", "pong", "close", "refused", "drain"])
def test_every_other_callback_may_raise(start, log, name):
    server = plain_server(heartbeat=0.05, origins=["https://x.example"], max_queue_bytes=65536)

    def fail(*_):
        raise LookupError(name)

    getattr(server, f"on_{name}")(fail)

    if name == "drain":
        @server.on_open
        def on_open(conn):
            with pytest.raises(wsbeat.FullError):
                while True:
                    conn.send(bytes(30000))

    start(server)
    if name == "refused":
        with pytest.raises(wsraw.HandshakeRefused):
            wsraw.connect(server.port, origin="https://evil.example")
    with wsraw.connect(server.port) as client:
        if name in ("open", "pong", "drain"):
            while (frame := client.recv_frame()).opcode != wsraw.CLOSE:
                if frame.opcode == wsraw.PING:
                    client.send_pong(frame.payload)
            assert frame.close == (1011, "internal error")
            client.send_close(1011)
        else:
            client.finish()
    server.stop(deadline=1)
    assert [record.exc_info[0] for record in log.records if record.exc_info][:1] == [LookupError]


def test_handshake_and_http(start):
    server = plain_server()
    users = Recorder(server, "open")
    where = []

    @server.on_handshake
    def on_handshake(handshake):
        where.append(threading.current_thread().name)
        assert handshake.upgrade and handshake.method == "GET"
        if handshake.path == "/no":
            handshake.respond(403, "not here", "text/x-test")
            with pytest.raises(wsbeat.StateError):
                handshake.respond(403)
        handshake.user = [handshake.subprotocols, handshake.remote_address, handshake.client_subject, handshake.header("absent")]
        for wrong in (lambda: handshake.select_subprotocol("z"), lambda: handshake.add_header("a b", "c"), lambda: handshake.respond(200)):
            with pytest.raises(wsbeat.WsbeatError):
                wrong()
        if handshake.subprotocols:
            handshake.select_subprotocol("y")
            assert handshake.subprotocol == "y"

    @server.on_http
    def on_http(handshake):
        assert not handshake.upgrade and isinstance(handshake.headers, list)
        if handshake.path == "/":
            handshake.respond(200, b"<p>", "text/html")

    start(server)
    page = wsraw.http(server.port)
    assert (page.status, page.body, page.headers["content-type"]) == (200, b"<p>", "text/html")
    assert wsraw.http(server.port, "/other").status == 426
    with pytest.raises(wsraw.HandshakeRefused) as caught:
        wsraw.connect(server.port, "/no")
    assert (caught.value.response.status, caught.value.response.body) == (403, b"not here")
    with wsraw.connect(server.port, subprotocols=["x", "y"]) as client:
        assert client.subprotocol == "y"
        (conn,) = users.get("open")
        assert conn.user == [["x", "y"], "127.0.0.1", None, None] and conn.subprotocol == "y"
    assert "MainThread" not in where


def test_full_and_drain(start):
    server = wsbeat.Server(port=0, max_queue_bytes=65536)
    outcome = queue.Queue()
    drained = Recorder(server, "drain")

    @server.on_open
    def on_open(conn):
        sent = 0
        try:
            while True:
                conn.send(bytes([sent % 256]) * 20000)
                sent += 1
        except wsbeat.FullError as error:
            outcome.put((conn, sent, error))

    start(server)
    with wsraw.connect(server.port, receive_buffer=4096) as client:
        conn, sent, error = outcome.get(timeout=LIMIT_S)
        assert sent > 3 and isinstance(error, BufferError)
        for number in range(sent):
            assert client.recv_message() == bytes([number % 256]) * 20000
        assert drained.get("drain") == (conn,)
        conn.send("room again")
        assert client.recv_text() == "room again"


def test_run_and_request_stop_from_a_callback():
    server = plain_server()
    order = []

    @server.on_message
    def on_message(conn, message):
        conn.send(message)
        server.request_stop(1012, "update")

    server.on_open(lambda conn: order.append("open"))
    server.on_close(lambda conn, info: order.append(info.cause))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.port:
        thread.join(0.01)
    with wsraw.connect(server.port) as client:
        assert client.command("x") == "x"
        assert client.recv_close() == (1012, "update")
        client.send_close(1012)
    thread.join(LIMIT_S)
    assert not thread.is_alive() and order == ["open", "server_stop"]


def test_stop_inside_a_callback_and_its_result(start):
    server = plain_server()
    result = queue.Queue()
    server.on_message(lambda conn, message: result.put(server.stop(deadline=5)))
    start(server)
    with wsraw.connect(server.port) as client:
        client.send_text("stop")
        assert client.recv_close()[0] == 1001
        client.send_close(1001)
        assert result.get(timeout=LIMIT_S) == (1, 0)


def test_stop_on_a_worker_thread_is_refused(start):
    server = plain_server()
    caught = queue.Queue()

    @server.on_handshake
    def on_handshake(handshake):
        try:
            server.stop()
        except wsbeat.InCallbackError as error:
            caught.put(error)

    start(server)
    with wsraw.connect(server.port):
        assert caught.get(timeout=LIMIT_S)


def test_states_of_a_server():
    server = wsbeat.Server(port=0)
    for call in (server.stop, server.request_stop):
        with pytest.raises(wsbeat.StateError):
            call()
    with server:
        assert server.port
        for call in (server.start, server.run):
            with pytest.raises(wsbeat.StateError):
                call()
    for call in (server.start, server.run):
        with pytest.raises(wsbeat.StateError):
            call()
    server.stop()
    with pytest.raises(TypeError):
        server.on_open(None)
    with pytest.raises(TypeError):
        wsbeat.Connection()
    with pytest.raises(TypeError):
        wsbeat.ServerConnection()


def test_pause_and_resume(start):
    server = wsbeat.Server(port=0, heartbeat=None)
    seen = Recorder(server, "open", "message")
    start(server)
    with wsraw.connect(server.port) as client:
        (conn,) = seen.get("open")
        conn.pause()
        while not conn.info().paused:
            pass
        client.send_text("later")
        with pytest.raises(queue.Empty):
            seen.calls["message"].get(timeout=0.2)
        conn.resume()
        assert seen.get("message") == (conn, "later")


def test_dead_clients_are_found(start):
    server = wsbeat.Server(port=0, heartbeat=wsbeat.Heartbeat(0.1, 0.05))
    seen = Recorder(server, "close")
    start(server)
    with wsraw.connect(server.port):
        info = seen.get("close")[1]
    assert (info.code, info.clean, info.initiator, info.cause) == (1006, False, "local", "heartbeat_timeout")


def test_one_exception_class_for_each_error():
    from wsbeat import _wsbeat
    assert sorted(_wsbeat.error_classes) == list(range(-len(_wsbeat.error_classes), 0)) and len(_wsbeat.error_classes) >= 13
    for code, kind in _wsbeat.error_classes.items():
        assert issubclass(kind, wsbeat.WsbeatError) and kind.error_code == code and kind.__doc__ and kind.__module__ == "wsbeat"
        assert getattr(wsbeat, kind.__name__) is kind and kind.__name__ in wsbeat.__all__
