"""Settings of serve(): where it listens, who may connect, TLS, process_request; and what is refused."""

import asyncio
import contextlib
import socket
import ssl

import certificates
import pytest
import websockets
import wsraw
from conftest import connect, echo, in_thread, run, until

import wsbeat


def serving(use, handler=echo, **settings):
    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0, **settings) as server:
            return await use(server)

    return run(main())


def test_unix_socket(tmp_path):
    path = tmp_path / "socket"

    async def main():
        async with wsbeat.unix_serve(echo, path) as server:
            assert server.port == 0 and server.addresses == [str(path)]
            with await in_thread(wsraw.connect, unix=path) as client:
                assert await in_thread(client.command, "hi") == "hi"
        assert not path.exists()

    run(main())


@pytest.mark.parametrize("listening", [False, True])
def test_a_socket_of_ours(listening):
    async def main():
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            if listening:
                sock.listen()
            async with wsbeat.serve(echo, sock=sock) as server:
                assert server.port == sock.getsockname()[1] and server.addresses == [sock.getsockname()]
                with await connect(server) as client:
                    assert await in_thread(client.command, "hi") == "hi"

    run(main())


def test_origins_and_subprotocols():
    async def use(server):
        for origin, allowed in [(None, True), ("https://app.example", True), ("https://evil.example", False)]:
            with contextlib.ExitStack() as stack:
                if not allowed:
                    stack.enter_context(pytest.raises(wsraw.HandshakeRefused))
                (await connect(server, origin=origin, subprotocols=["b", "a"])).close()
        with pytest.raises(wsraw.HandshakeRefused) as caught:
            await connect(server, subprotocols=["c"])
        assert caught.value.response.status == 400
        with await connect(server, subprotocols=["b", "a"]) as client:
            assert client.subprotocol == "a"

    serving(use, origins=["https://app.example", None], subprotocols=["a", "b"], require_subprotocol=True)


def test_tls_and_its_reload(tmp_path):
    pair = certificates.make(tmp_path)

    async def use(server):
        with await connect(server, tls=True) as client:
            assert await in_thread(client.command, "hi") == "hi"
        server.reload_tls()
        with pytest.raises(wsbeat.TlsError):
            server.reload_tls(str(tmp_path / "absent"), str(tmp_path / "absent"))
        with await connect(server, tls=True) as client:
            assert await in_thread(client.command, "again") == "again"

    serving(use, ssl=wsbeat.TLS(*pair, min_version="1.3"))


def test_process_request_in_the_shape_of_websockets():
    threads = []

    def process_request(connection, request):
        threads.append(asyncio._get_running_loop())
        if request.path == "/healthz":
            return connection.respond(200, "OK\n")
        if request.path == "/old":
            return 302, {"Location": "/new", "Content-Type": "text/html"}, b"moved"
        if connection.bearer_token != "secret" and connection.basic_auth != ("user", "pass"):
            return connection.respond(401, "who are you?\n")
        connection.user = {"name": connection.query_param("name"), "cookie": connection.cookie("c")}
        connection.add_header("X-Seen", request.headers["Host"])
        connection.authenticate()
        return None

    async def handler(ws):
        await ws.send(f"{ws.user['name']} {ws.user['cookie']}")

    async def use(server):
        answer = await in_thread(wsraw.http, server.port, "/healthz")
        assert (answer.status, answer.body) == (200, b"OK\n")
        answer = await in_thread(wsraw.http, server.port, "/old")
        assert (answer.status, answer.headers["location"], answer.headers["content-type"]) == (302, "/new", "text/html")
        assert (await in_thread(wsraw.http, server.port, "/other")).status == 401
        with pytest.raises(wsraw.HandshakeRefused) as caught:
            await connect(server)
        assert caught.value.response.status == 401 and caught.value.response.body == b"who are you?\n"
        client = await connect(server, "/?name=J%C3%BCrgen", headers=[("Authorization", "Bearer secret"), ("Cookie", "c=1")])
        with client:
            assert client.response.headers["x-seen"] == f"127.0.0.1:{server.port}"
            assert await in_thread(client.recv_text) == "J\u00fcrgen 1"
        async with websockets.connect(f"ws://user:pass@127.0.0.1:{server.port}/") as other:
            assert await other.recv() == "None None"

    serving(use, handler, process_request=process_request)
    assert threads and set(threads) == {None}  # not on the loop's thread


def test_process_request_that_fails(log):
    kept = []

    def process_request(connection, request):
        kept.append(connection)
        raise LookupError("no such thing")

    async def use(server):
        with pytest.raises(wsraw.HandshakeRefused) as caught:
            await connect(server)
        assert caught.value.response.status == 500

    serving(use, process_request=process_request)
    assert "no such thing" in log.text
    with pytest.raises(wsbeat.StateError):
        kept[0].path


def test_process_request_must_be_plain():
    async def coroutine(connection, request):
        pass

    with pytest.raises(TypeError):
        wsbeat.serve(echo, process_request=coroutine)


@pytest.mark.parametrize("settings, error, word", [
    ({"heartbeat": 0.001}, wsbeat.ConfigError, "heartbeat_interval_ms"),
    ({"heartbeat": wsbeat.Heartbeat(1, 2)}, wsbeat.ConfigError, "heartbeat_timeout_ms"),
    ({"heartbeat": "soon"}, TypeError, "heartbeat"),
    ({"heartbeat": wsbeat.Heartbeat(1, liveness="maybe")}, wsbeat.ConfigError, "liveness"),
    ({"heartbeat": -1}, wsbeat.ConfigError, "heartbeat"),
    ({"heartbeat": 10**12}, wsbeat.ConfigError, "heartbeat"),
    ({"max_size": 0}, wsbeat.ConfigError, "max_size"),
    ({"max_size": -1}, wsbeat.ConfigError, "max_size"),
    ({"max_size": "big"}, TypeError, "max_size"),
    ({"max_queue": 0}, wsbeat.ConfigError, "max_queue"),
    ({"workers": 65}, wsbeat.ConfigError, "workers"),
    ({"workers": 2**40}, wsbeat.ConfigError, "workers"),
    ({"subprotocols": "v1"}, TypeError, "subprotocols"),
    ({"subprotocols": ["a b"]}, wsbeat.ConfigError, "subprotocols"),
    ({"subprotocols": ["a,b"]}, wsbeat.ConfigError, "comma"),
    ({"origins": [1]}, TypeError, "origins"),
    ({"trusted_proxies": ["nowhere"]}, wsbeat.ConfigError, "trusted_proxies"),
    ({"compression": "gzip"}, wsbeat.ConfigError, "compression"),
    ({"compression": wsbeat.Deflate(level=10)}, wsbeat.ConfigError, "deflate_level"),
    ({"slow_consumer": "beg"}, wsbeat.ConfigError, "slow_consumer"),
    ({"ssl": ssl.create_default_context()}, TypeError, "SSLContext"),
    ({"ssl": wsbeat.TLS("c", "k", min_version="1.1")}, wsbeat.ConfigError, "min_version"),
    ({"ssl": wsbeat.TLS("c", "k", client_cert="perhaps")}, wsbeat.ConfigError, "client_cert"),
    ({"proxy_protocol": "maybe"}, wsbeat.ConfigError, "proxy_protocol"),
    ({"proxy_protocol": "trusted"}, wsbeat.ConfigError, "proxy_protocol"),  # without trusted_proxies
    ({"app_beat": 0.001}, wsbeat.ConfigError, "app_beat_ms"),
    ({"no_such": 1}, TypeError, "no_such"),
    ({"host": "a\0b"}, wsbeat.ConfigError, "NUL"),
    ({"host": 7}, TypeError, "host"),
    ({"port": 70000}, wsbeat.ConfigError, "port"),
    ({"port": -1}, wsbeat.ConfigError, "port"),
    ({"port": 1.5}, TypeError, "port"),
])
def test_settings_that_are_refused(settings, error, word):
    async def main():
        await wsbeat.serve(echo, **settings)

    with pytest.raises(error, match=word):
        run(main())


def test_settings_that_are_taken():
    async def use(server):
        with await connect(server) as client:
            await until(lambda: server.connections)
            info = next(iter(server.connections)).info()
            assert info.heartbeat_interval == 3.0 and info.heartbeat_timeout == 0.5
            next(iter(server.connections)).set_heartbeat(None)
            await until(lambda: next(iter(server.connections)).info().heartbeat_interval is None)
            assert await in_thread(client.command, "x") == "x"

    serving(use, heartbeat=wsbeat.Heartbeat(3, 0.5, "pong"), handshake_timeout=2, close_timeout=1.5, auth_timeout=None, idle_timeout=60,
            message_timeout=10, tcp_user_timeout=5, workers=2, backlog=16, max_header_bytes=4096, max_connections=10,
            max_connections_per_address=10, max_messages_per_second=1000, max_fragments=100, max_queue_bytes=2**20,
            trusted_proxies=["10.0.0.0/8"], max_size=None, max_queue=None, slow_consumer="close", compression=wsbeat.Deflate(level=9))


def test_proxy_protocol():
    async def use(server):
        def through_a_proxy():
            with wsraw.Stream(wsraw.open_socket(server.port)) as stream:
                stream.send_raw(b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n" + wsraw.request_bytes())
                return stream.recv_response().status

        assert await in_thread(through_a_proxy) == 101
        with pytest.raises((OSError, wsraw.ConnectionEnded)):
            (await connect(server)).close()

    peers = []

    async def handler(ws):
        peers.append(ws.remote_address)

    serving(use, handler, trusted_proxies=["127.0.0.1"], proxy_protocol="trusted", handshake_timeout=0.3)
    assert peers == [("203.0.113.7", 4711)]


def test_app_beat():
    async def use(server):
        with await connect(server, path="/?wsbeat-beat=1") as client:
            assert [await in_thread(client.recv_text) for _ in range(2)] == ["\x1650", "\x1650"]

    serving(use, app_beat=0.05)


@pytest.mark.parametrize("off", [None, 0])
def test_heartbeat_can_be_off(off):
    async def use(server):
        with await connect(server):
            await until(lambda: server.connections)
            assert next(iter(server.connections)).info().heartbeat_interval is None

    serving(use, heartbeat=off)


def test_auth_timeout_and_authenticate():
    async def handler(ws):
        if await ws.recv() == "secret":
            ws.authenticate()
        await ws.wait_closed()

    async def use(server):
        with await connect(server) as right, await connect(server) as wrong:
            right.send_text("secret")
            wrong.send_text("guess")
            assert (await in_thread(wrong.recv_close))[0] == 1008
            assert await in_thread(right.silent, 0.3)

    serving(use, handler, auth_timeout=0.2)

