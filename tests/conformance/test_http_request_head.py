"""RFC 9112, strictly: what the head of a request may look like, byte for byte, and what is refused with which status."""

import pytest

from raw_http import accepted, lines, plain, refusal, upgrade

FLAGS = ()
HEAD_LIMIT = 8192

BAD_LINES = ["", "GET", "GET /", "GET / ", "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "\tGET / HTTP/1.1",
             "GET / HTTP/1.1 ",
             "GET\t/ HTTP/1.1", "GET / http/1.1", "GET / HTTP/1", "GET / HTTP/1.", "GET / HTTP/11", "GET / HTTP/1.11",
             "GET / HTTP/a.b",
             "GET / HTTPS/1.1", "GET / FTP/1.1", "G(T / HTTP/1.1", "G\u00c9T / HTTP/1.1", "GET /a b HTTP/1.1",
             "GET /\x01 HTTP/1.1",
             "GET /\x7f HTTP/1.1", "GET /\u00e9 HTTP/1.1", "GET /#part HTTP/1.1", "GET chat HTTP/1.1", "GET ?a=b HTTP/1.1",
             "GET * HTTP/1.1",
             "GET ftp://localhost/ HTTP/1.1", "GET http:///x HTTP/1.1", "GET http://user@localhost/ HTTP/1.1",
             "CONNECT localhost:80 HTTP/1.1"]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_request_line(server, line):
    refusal(server, upgrade(line=line), 400, "bad_request")


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"])
def test_other_version(server, version):
    refusal(server, upgrade(line=f"GET / {version}"), 505, "bad_request")


def test_http_1_0_cannot_upgrade(server):
    refusal(server, upgrade(line="GET / HTTP/1.0"), 505, "bad_request")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "Get", "GETT", "BREW"])
def test_other_method(server, method):
    response = refusal(server, upgrade(line=f"{method} / HTTP/1.1"), 405, "bad_request")
    assert response.headers["allow"] == "GET"


def test_head_has_no_body(server):
    response = refusal(server, upgrade(line="HEAD / HTTP/1.1"), 405, "bad_request")
    assert response.body == b""


BAD_HEADERS = ["No-Colon", ": no name", "Blank : before the colon", "Tab\t: before the colon", " Folded: at the start",
               "Na me: x", "Na\u00efve: x",
               "Par(en): x", "X: bell\x07", "X: nul\x00", "X: del\x7f", "X: escape\x1b", "X: bare\rCR", "\x00: x", "\x0b: x"]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_bad_header(server, header):
    refusal(server, upgrade(header), 400, "bad_request")


@pytest.mark.parametrize("fold", [" folded", "\tfolded"])
def test_folded_header(server, fold):
    refusal(server, upgrade("X: begins", fold), 400, "bad_request")


def test_first_header_line_with_a_blank(server):
    refusal(server, lines("GET / HTTP/1.1", " Host: localhost"), 400, "bad_request")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: localhost\n\n", b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
                                  b"GET / HTTP/1.1\r\nHost: localhost\r\n\n", b"GET / HTTP/1.1\rHost: localhost\r\r",
                                  b"\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\nGET / HTTP/1.1\r\n"],
                         ids=["LF alone", "LF in one line", "LF at the end", "CR alone", "empty line first", "LF first"])
def test_line_ends(server, data):
    refusal(server, data, 400, "bad_request")


@pytest.mark.parametrize("data",
                         [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00", b"\xff\xfe",
                          b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n"],
                         ids=["TLS", "NUL", "bytes", "HTTP/2", "SSH"])
def test_other_protocols(server, data):
    """Judged as soon as their bytes cannot be a request, not after a timeout."""
    start = server.mark()
    with server.socket() as stream:
        stream.send_raw(data)
        answer, how = stream.recv_all(4)
    assert how == "fin"
    assert answer.split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b"HTTP/1.1 505 HTTP Version Not Supported")
    assert server.wait_event("refused", start=start)["cause"] == "bad_request"


BODIES = ["Content-Length: 5", "Content-Length: 00005", "Transfer-Encoding: chunked", "Transfer-Encoding: identity",
          "Content-Length: x", "Content-Length: -1",
          "Content-Length: +5", "Content-Length: 0x5", "Content-Length:", "Content-Length: 5, 5",
          "Content-Length: 99999999999999999999999"]


@pytest.mark.parametrize("header", BODIES)
def test_handshake_with_a_body(server, header):
    refusal(server, upgrade(header), 400, "bad_request")


def test_content_length_and_transfer_encoding(server):
    refusal(server, upgrade("Content-Length: 0", "Transfer-Encoding: chunked"), 400, "bad_request")


def test_content_length_of_nothing(server):
    accepted(server, upgrade("Content-Length: 0"))


@pytest.mark.parametrize("header",
                         ["Host: localhost", "Host: other", "Origin: http://localhost\r\nOrigin: http://localhost",
                          "Sec-WebSocket-Version: 13",
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                          "Authorization: Bearer a\r\nAuthorization: Bearer a",
                          "Content-Length: 0\r\nContent-Length: 0"])
def test_repeated_header(server, header):
    """Those that must be single, also when both say the same."""
    refusal(server, upgrade(header), 400, "bad_request")


@pytest.mark.parametrize("host",
                         [None, "", "a b", "a/b", "user@a", "a:b", "a:65536", "a:-1", "[::1", "::1", "[x]", "http://a",
                          "a?b", "a:1:2"])
def test_bad_host(server, host):
    further = () if host is None else (f"Host: {host}",)
    refusal(server, upgrade(*further, without=["Host"]), 400, "bad_request")


@pytest.mark.parametrize("host",
                         ["localhost", "LOCALHOST", "localhost:9001", "127.0.0.1", "[::1]", "[::1]:80", "a-b.example:",
                          "x.example."])
def test_good_host(server, host):
    accepted(server, upgrade(f"Host: {host}", without=["Host"]))


@pytest.mark.parametrize("target,path",
                         [("/", "/"), ("/chat", "/chat"), ("/a/b?c=d&e=%20", "/a/b"), ("/?", "/"), ("/%41%zz", "/%41%zz"),
                          ("//", "//"),
                          ("/a;b=c,d!$&'()*+:@~", "/a;b=c,d!$&'()*+:@~"), ("http://localhost/abs", "/abs"),
                          ("ws://localhost:1/abs?q", "/abs"), ("http://localhost", "/"),
                          ("wss://localhost?q", "/")])
def test_good_target(server, target, path):
    """Origin and absolute form; the path is as it was sent, without the query."""
    start = server.mark()
    accepted(server, upgrade(line=f"GET {target} HTTP/1.1"))
    assert server.wait_event("open", start=start)["path"] == path


@pytest.mark.parametrize("name", ["Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"])
@pytest.mark.parametrize("change", [str.lower, str.upper, str.swapcase])
def test_header_names_in_any_case(server, name, change):
    data = upgrade()
    accepted(server, data.replace(name.encode() + b":", change(name).encode() + b":"))


@pytest.mark.parametrize("before,after", [("", ""), ("  ", "  "), ("\t", "\t "), (" " * 100, " " * 100)])
def test_blanks_around_values(server, before, after):
    accepted(server,
             upgrade(f"Upgrade:{before}websocket{after}", f"Connection:{before}Upgrade{after}",
                     f"Sec-WebSocket-Version:{before}13{after}",
                     f"X-Empty:{before}", without=["Upgrade", "Connection", "Sec-WebSocket-Version"]))


def test_obs_text_in_a_value_is_allowed(server):
    accepted(server, upgrade("X-Name: gr\u00fc\u00dfe \u6f22"))


def padded(size):
    """An upgrade request of exactly so many bytes."""
    data = upgrade("X-Padding: ")
    return data[:-4] + b"x" * (size - len(data)) + b"\r\n\r\n"


def test_head_of_exactly_the_limit(server):
    assert len(padded(HEAD_LIMIT)) == HEAD_LIMIT
    accepted(server, padded(HEAD_LIMIT))


@pytest.mark.parametrize("size", [HEAD_LIMIT + 1, HEAD_LIMIT * 2, 1 << 20])
def test_head_beyond_the_limit(server, size):
    refusal(server, padded(size), 431, "header_too_big")


def test_head_that_never_ends(server):
    refusal(server, b"GET /" + b"a" * (2 * HEAD_LIMIT), 431, "header_too_big")


def test_hundred_headers(server):
    accepted(server, upgrade(*(f"X-{n}: {n}" for n in range(95))))


def test_more_than_a_hundred_headers(server):
    refusal(server, upgrade(*(f"X-{n}: {n}" for n in range(96))), 431, "header_too_big")


@pytest.mark.parametrize("size", [1, 2, 17])
def test_request_in_pieces(server, size):
    start = server.mark()
    with server.socket() as stream:
        data = upgrade("Origin: http://localhost")
        for at in range(0, len(data), size):
            stream.send_raw(data[at:at + size])
        assert stream.recv_response().status == 101
        server.wait_event("open", start=start)


@pytest.mark.parametrize("data",
                         [upgrade("Folded: a", " b"), upgrade(line="GET / HTTP/3.0"), upgrade(line="POST / HTTP/1.1"),
                          padded(HEAD_LIMIT + 1)],
                         ids=["400", "505", "405", "431"])
def test_bad_request_in_pieces(server, data):
    """The same verdict, whether or not the rest of the head ever comes."""
    whole = {b"Folded": (400, "bad_request"), b"HTTP/3": (505, "bad_request"), b"POST /": (405, "bad_request"),
             b"Paddin": (431, "header_too_big")}
    status, cause = next(verdict for mark, verdict in whole.items() if mark in data)
    refusal(server, data, status, cause, pieces=7)


def test_plain_requests(server):
    """No upgrade asked for: answered as HTTP, in 1.1 and 1.0."""
    assert b"<html" in plain(server, lines("GET / HTTP/1.1", "Host: localhost"), 200).body
    assert plain(server, lines("GET /healthz HTTP/1.0"), 200).body == b"ok\n"
    assert plain(server, lines("HEAD /healthz HTTP/1.1", "Host: localhost"), 200).headers["content-length"] == "3"
    plain(server, lines("GET /nowhere HTTP/1.1", "Host: localhost"), 404)
    plain(server, lines("GET / HTTP/1.1", "Host: localhost", "Upgrade: h2c", "Connection: Upgrade"), 200)


def test_one_request_for_each_connection(server):
    """What comes behind it is swallowed, a body or another request."""
    health = lines("GET /healthz HTTP/1.1", "Host: localhost")
    assert plain(server, health + health, 200).body == b"ok\n"
    assert plain(server, lines("GET /healthz HTTP/1.1", "Host: localhost", "Content-Length: 500000") + b"x" * 500000, 200).body == b"ok\n"


def test_request_that_comes_too_slowly(start_server):
    server = start_server("--handshake-timeout-ms", "300")
    refusal(server, upgrade()[:-2], 408, "timeout")
