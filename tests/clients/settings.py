"""Sizes of messages that servers and clients here are told of, and how cases are cut down that need not run in every way of serving."""

import pytest

LARGE_BYTES = 8 << 20
CLIENT_LIMIT_BYTES = LARGE_BYTES + 65536  # clients compare it with frames as they are on the wire: noise grows a little when compressed

KINDS = ["plain", "plain deflate", "tls", "tls deflate"]
two_kinds = pytest.mark.parametrize("kind", [KINDS[0], KINDS[3]], indirect=True)
