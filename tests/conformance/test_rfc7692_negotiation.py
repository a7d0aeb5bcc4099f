"""RFC 7692, 7.1, and RFC 6455, 9.1: offers of permessage-deflate taken, declined, and refused as malformed."""

import pytest
from wsraw import HandshakeRefused

from deflated import TEXT, Deflated, parameters
from strict import build_frame

FLAGS = ("--deflate",)
NAME = "permessage-deflate"

# Offer: exact answer. A window that was asked for is confirmed; nothing is answered that was not offered, except windows of 15.
TAKEN = {
    "": {},
    "; client_max_window_bits": {},
    "; client_max_window_bits=15": {},
    "; client_max_window_bits=12": {"client_max_window_bits": "12"},
    "; client_max_window_bits=9": {"client_max_window_bits": "9"},
    "; client_max_window_bits=8": {"client_max_window_bits": "8"},
    "; server_max_window_bits=15": {"server_max_window_bits": "15"},
    "; server_max_window_bits=12": {"server_max_window_bits": "12"},
    "; server_max_window_bits=9": {"server_max_window_bits": "9"},
    "; server_no_context_takeover": {"server_no_context_takeover": None},
    "; client_no_context_takeover": {"client_no_context_takeover": None},
    "; server_no_context_takeover; client_no_context_takeover": {"server_no_context_takeover": None,
                                                                 "client_no_context_takeover": None},
    "; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover; client_max_window_bits=11": {
        "server_no_context_takeover": None, "client_no_context_takeover": None, "server_max_window_bits": "10",
        "client_max_window_bits": "11"},
    ";client_max_window_bits=10;server_max_window_bits=11": {"client_max_window_bits": "10", "server_max_window_bits": "11"},
    "  ;  server_max_window_bits  =  \"10\"  ": {"server_max_window_bits": "10"},
    "; client_max_window_bits=\"1\\0\"": {"client_max_window_bits": "10"},
}

# Well-formed, but nothing that may be taken: the connection opens without the extension.
DECLINED = ["; unknown", "; unknown=1", "; server_max_window_bits", "; server_max_window_bits=8", "; server_max_window_bits=7",
            "; server_max_window_bits=16", "; server_max_window_bits=010", "; server_max_window_bits=1a",
            "; server_max_window_bits=99999999999",
            "; client_max_window_bits=7", "; client_max_window_bits=16", "; client_max_window_bits=09",
            "; client_max_window_bits=x",
            "; server_no_context_takeover=1", "; client_no_context_takeover=true",
            "; server_no_context_takeover; server_no_context_takeover",
            "; client_no_context_takeover; client_no_context_takeover", "; client_max_window_bits; client_max_window_bits=10",
            "; server_max_window_bits=10; server_max_window_bits=10"]

MALFORMED = [";", "permessage-deflate;", "permessage-deflate; ;", "permessage-deflate; =1", "permessage-deflate; a=",
             "permessage-deflate; a=\"",
             "permessage-deflate; a=\"b", "permessage-deflate; a=\"b c\"", "permessage-deflate; a=\"\"",
             "permessage-deflate; a=b=c",
             "permessage-deflate a", "=a", "per(message", "permessage-deflate; a b", "permessage-deflate, x;",
             "\"permessage-deflate\""]



@pytest.mark.parametrize("offer", TAKEN)
def test_taken(open_peer, offer):
    peer = open_peer(extensions=NAME + offer)
    assert parameters(peer.client.extensions) == TAKEN[offer]
    Deflated(peer).echo(TEXT, b"works " * 100)
    peer.bye()


@pytest.mark.parametrize("offer", DECLINED)
def test_declined(open_peer, offer):
    peer = open_peer(extensions=NAME + offer)
    assert "sec-websocket-extensions" not in peer.client.response.headers
    peer.echo(TEXT, b"plain " * 100)
    peer.bye()


@pytest.mark.parametrize("offer", DECLINED)
def test_next_offer_is_taken_instead(open_peer, offer):
    """Fallbacks in order (7.1.2.1): the first acceptable one wins, not the best."""
    peer = open_peer(extensions=f"x-other; a=b, {NAME}{offer}, {NAME}; server_no_context_takeover, {NAME}")
    assert parameters(peer.client.extensions) == {"server_no_context_takeover": None}
    peer.bye()


@pytest.mark.parametrize("extensions",
                         ["x-webkit-deflate-frame", "x; a; b=1; c=\"d\", y", "bbf-usp-protocol", "permessage-deflate2", ","])
def test_other_extensions_are_ignored(open_peer, extensions):
    peer = open_peer(extensions=extensions)
    assert "sec-websocket-extensions" not in peer.client.response.headers
    peer.bye()


@pytest.mark.parametrize("extensions", MALFORMED)
def test_malformed(server, extensions):
    start = server.mark()
    with pytest.raises(HandshakeRefused) as refused:
        server.connect(extensions=extensions)
    assert refused.value.response.status == 400
    assert server.wait_event("refused", start=start) == {"event": "refused", "status": 400, "cause": "bad_request"}


def test_offers_in_several_headers(open_peer):
    """Several headers of that name are one list."""
    peer = open_peer(headers=[("Sec-WebSocket-Extensions", "x, " + NAME + "; unknown"),
                              ("Sec-WebSocket-Extensions", NAME + "; client_no_context_takeover")])
    assert parameters(peer.client.extensions) == {"client_no_context_takeover": None}
    peer.bye()


def test_not_offered(peer):
    """Nothing is answered, and RSV1 stays a violation."""
    assert "sec-websocket-extensions" not in peer.client.response.headers
    peer.echo(TEXT, b"plain " * 100)
    peer.send(build_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4))
    peer.fails(1002)


def test_not_switched_on(start_server, open_peer):
    peer = open_peer(on=start_server(), extensions=NAME)
    assert "sec-websocket-extensions" not in peer.client.response.headers
    peer.send(build_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4))
    peer.fails(1002)
