"""One request as raw bytes on its own connection: the answer, how TCP ended, and the refused event that belongs to it."""

from wsraw import new_key

FIELDS = ("Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")


def upgrade(*further, line="GET / HTTP/1.1", without=(), key=None):
    """A correct upgrade request with header lines added, and those left out whose names are in `without`."""
    fields = [*FIELDS, f"Sec-WebSocket-Key: {key or new_key()}"]
    kept = [field for field in fields if field.partition(":")[0] not in without]
    return lines(line, *kept, *further)


def lines(*parts):
    """A request head of these lines (str or bytes), with the empty one."""
    return b"".join((part if isinstance(part, bytes) else part.encode()) + b"\r\n" for part in (*parts, ""))


def refusal(server, data, status, cause, pieces=0, **options):
    """Sends the bytes and expects a whole HTTP answer with this status, its event, and FIN right behind. Gives the answer."""
    start = server.mark()
    with server.socket(**options) as stream:
        if pieces:
            for at in range(0, len(data), pieces):
                stream.send_raw(data[at:at + pieces])
        else:
            stream.send_raw(data)
        response = stream.recv_response(method=data.split(b" ", 1)[0].decode("latin-1"))
        assert response.status == status, response
        assert stream.recv_end() == "fin"
    assert "close" in response.headers["connection"].lower()
    assert response.body.endswith(b"\n") or not response.body, response.body
    event = server.wait_event("refused", start=start)
    assert event == {"event": "refused", "status": status, "cause": cause}
    return response


def plain(server, data, status):
    """A request that is none for a WebSocket: answered by the program, no refusal."""
    start = server.mark()
    with server.socket() as stream:
        stream.send_raw(data)
        response = stream.recv_response(method=data.split(b" ", 1)[0].decode("latin-1"))
        assert response.status == status, response
        assert stream.recv_end() == "fin"
    assert not [event for event in server.events[start:] if event["event"] == "refused"]
    return response


def accepted(server, data, **options):
    """The bytes are a handshake that opens; gives the answer. The connection is dropped."""
    start = server.mark()
    with server.socket(**options) as stream:
        stream.send_raw(data)
        response = stream.recv_response()
        assert response.status == 101, response
        opened = server.wait_event("open", start=start)
    server.wait_event("close", start=start, conn=opened["conn"])
    return response
