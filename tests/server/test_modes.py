"""Echo, broadcast and sink, and what each does when a receiver does not keep up."""

import os
import signal
import threading

import certificates
import wsraw

MIB = 1 << 20


def test_echo_keeps_kind_order_and_bytes(server):
    with server.connect() as client:
        for message in ("", "grüß", b"", bytes(range(256)), "plain"):
            client.send_text(message) if isinstance(message, str) else client.send_binary(message)
            assert client.recv_message() == message


def test_without_commands_a_slash_is_only_a_slash(start_server):
    with start_server().connect() as client:
        assert client.command("/abort") == "/abort"
        assert client.command("/auth x") == "/auth x"


def test_echo_under_backpressure_loses_and_reorders_nothing(start_server):
    """16 messages of 1 MiB are in flight before the client reads its first byte."""
    server = start_server()
    messages = [bytes([index]) * (MIB - index) for index in range(16)]
    with server.connect(receive_buffer=65536, timeout=60) as client:
        sender = threading.Thread(target=lambda: [client.send_binary(message) for message in messages])
        sender.start()
        for index, message in enumerate(messages):
            assert client.recv_message() == message, f"message {index}"
        sender.join()
        client.send_text("after")
        assert client.recv_text() == "after"
        assert client.finish(1000, "done") == (1000, "")
    assert server.wait_event("close")["clean"]


def test_echo_under_backpressure_with_many_small_messages(start_server):
    server = start_server("--max-queue-bytes", "1024", "--max-message-bytes", "400")
    count = 20000
    with server.connect(receive_buffer=4096, timeout=60) as client:
        frames = b"".join(wsraw.build_frame(wsraw.TEXT, f"{index:0{index % 300 + 6}d}") for index in range(count))
        sender = threading.Thread(target=lambda: client.send_raw(frames))
        sender.start()
        assert [int(client.recv_text()) for _ in range(count)] == list(range(count))
        sender.join()


def test_a_client_that_never_reads_costs_bounded_memory(start_server):
    server = start_server("--heartbeat-ms", "off")
    before = server.resident_kib()
    with server.connect(receive_buffer=4096, timeout=2) as client:
        frame = wsraw.build_frame(wsraw.BINARY, os.urandom(MIB))
        sent = 0
        try:
            while sent < 64:
                client.send_raw(frame)
                sent += 1
        except TimeoutError:
            pass
        assert sent < 64, "the server took everything from a client that reads nothing"
        assert server.resident_kib() - before < 32 * 1024


def test_an_echo_that_can_never_fit_closes_with_1009(start_server):
    server = start_server("--max-message-bytes", "100000", "--max-queue-bytes", "2000")
    with server.connect() as client:
        client.send_binary(b"x" * 50000)
        assert client.recv_close() == (1009, "answer larger than the send queue")


def _send_without_reading(client, messages):
    """Sends until all are gone or the server ends the connection."""
    try:
        for message in messages:
            client.send_binary(message)
    except OSError:
        pass


def test_an_echo_to_a_slow_consumer_closes_on_request(start_server):
    server = start_server("--slow-consumer", "close", "--max-queue-bytes", "100000", "--close-timeout-ms", "200")
    client, opened = server.connect_open(receive_buffer=4096)
    _send_without_reading(client, [bytes(50000)] * 400)
    closed = server.wait_event("close", conn=opened["conn"])
    assert (closed["cause"], closed["initiator"], closed["code_sent"]) == ("slow_consumer", "local", 1013)
    client.close()


def test_an_echo_to_a_slow_consumer_drops_the_oldest_on_request(start_server):
    server = start_server("--slow-consumer", "drop-oldest", "--max-queue-bytes", "100000")
    with server.connect(receive_buffer=4096, timeout=30) as client:
        _send_without_reading(client, [bytes([index]) * 50000 for index in range(200)])
        client.send_text("end")
        numbers = []
        while (message := client.recv_message()) != "end":
            assert message == message[:1] * 50000
            numbers.append(message[0])
        assert numbers == sorted(numbers) and len(numbers) < 200


def test_broadcast_reaches_everyone_and_the_sender(start_server):
    server = start_server("--mode", "broadcast", "--workers", "2")
    clients = [server.connect() for _ in range(8)]
    server.wait_events("open", len(clients))
    clients[3].send_text("to all")
    clients[3].send_binary(b"\x00\x01")
    for client in clients:
        assert client.recv_message() == "to all"
        assert client.recv_message() == b"\x00\x01"
    clients.pop().finish()
    server.wait_event("close")
    clients[0].send_text("again")
    for client in clients:
        assert client.recv_message() == "again"


def _flood_beside_a_slow_one(server):
    """The reader's messages and the slow client, after 4 MiB went to both and only the reader read."""
    slow, _ = server.connect_open(receive_buffer=4096)
    reader, opened = server.connect_open()
    seen = []
    for index in range(64):
        reader.send_binary(bytes([index]) * 65536)
        seen.append(reader.recv_message())
    assert seen == [bytes([index]) * 65536 for index in range(64)]
    return slow, opened


def test_a_slow_receiver_of_broadcasts_misses_what_does_not_fit(start_server):
    server = start_server("--mode", "broadcast", "--max-message-bytes", "65536", "--max-queue-bytes", "262144")
    slow, _ = _flood_beside_a_slow_one(server)
    got = []
    try:
        while True:
            got.append(slow.recv_message(timeout=2))
    except TimeoutError:
        pass
    assert all(message == message[:1] * 65536 for message in got)
    numbers = [message[0] for message in got]
    assert numbers == sorted(numbers) and 0 < len(numbers) < 64
    with server.connect() as other:
        other.send_text("it is still served")
        assert slow.recv_message() == "it is still served"


def test_a_slow_receiver_of_broadcasts_is_closed_on_request(start_server):
    server = start_server("--mode", "broadcast", "--max-message-bytes", "65536", "--max-queue-bytes", "262144",
                          "--slow-consumer", "close")
    _, reader = _flood_beside_a_slow_one(server)
    closed = server.wait_event("close", cause="slow_consumer")
    assert closed["conn"] != reader["conn"] and closed["initiator"] == "local"


def test_sink_answers_nothing_and_counts(start_server):
    server = start_server("--mode", "sink", "--commands")
    with server.connect() as client:
        for _ in range(100):
            client.send_text("swallowed")
        assert '"messages_in":101' in client.command("/info")


def test_deflate_is_negotiated_on_request_only(start_server):
    assert start_server().connect(extensions="permessage-deflate").extensions == ""
    compressing = start_server("--deflate", "--commands").connect(extensions="permessage-deflate")
    assert compressing.extensions.startswith("permessage-deflate")


def test_modes_over_tls_with_a_reload(start_server, tmp_path):
    certificate, key = certificates.make(tmp_path, common_name="first.example")
    server = start_server("--tls-cert", certificate, "--tls-key", key, "--commands")
    first = server.connect()
    before = first.sock.getpeercert(binary_form=True)
    certificates.make(tmp_path, common_name="second.example")
    server.send_signal(signal.SIGHUP)
    server.wait_stderr("certificates reloaded")
    with server.connect() as second:
        assert second.sock.getpeercert(binary_form=True) != before
    key.write_text("not a key")
    server.send_signal(signal.SIGHUP)
    server.wait_stderr("certificates not reloaded")
    server.connect().close()
    first.send_text("still here")
    assert first.recv_text() == "still here"
