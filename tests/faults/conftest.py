"""Every server started here must outlive its test: it still serves, it stops as it should, and its books balance."""

import certificates
import netns
import pytest
from endings import check_survived

CASE_TIMEOUT_S = 90


def pytest_collection_modifyitems(items):
    for item in items:
        if "/faults/" in str(item.path) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CASE_TIMEOUT_S))


@pytest.fixture
def start_server(start_server):
    """The common factory, with check_survived() at the end and a short stop."""
    started = []

    def start(*flags, **options):
        started.append(start_server("--stop-deadline-ms", "500", *flags, **options))
        return started[-1]

    yield start
    for server in started:
        check_survived(server)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate, key) for servers with TLS."""
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def tls_flags(certificate):
    return ["--tls-cert", certificate[0], "--tls-key", certificate[1]]


@pytest.fixture(scope="session")
def namespaces():
    reason = netns.unavailable()
    if reason:
        pytest.skip(f"network namespaces cannot be made here: {reason}")


@pytest.fixture
def network(namespaces):
    with netns.Network() as made:
        yield made


@pytest.fixture
def start_far(network, start_server):
    """Starts servers behind the network's link."""
    started = []

    def start(*flags):
        started.append(start_server("--host", network.SERVER, "--commands", *flags, prefix=network.on_server, host=network.SERVER))
        return started[-1]

    yield start
    with network.server():
        for server in started:
            check_survived(server)
