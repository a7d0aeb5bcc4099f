"""Every server started here must outlive its test: it still serves, it stops as it should, and its books balance."""

import certificates
import netns
import pytest
from endings import check_survived
from minute import Minute

CASE_TIMEOUT_S = 90


def of_the_minute(item):
    return item.path.name == "test_one_minute.py"


def pytest_collection_modifyitems(items):
    items.sort(key=of_the_minute)  # last; the order of all others stays
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
def no_namespaces():
    """Why there are none here, or None."""
    return netns.unavailable()


@pytest.fixture
def namespaces(no_namespaces):
    if no_namespaces:
        pytest.skip(f"network namespaces cannot be made here: {no_namespaces}")


@pytest.fixture(scope="session", autouse=True)
def running_minute(request):
    """Begins with the first test, if one of the minute's tests is to run; None if it cannot."""
    if not any(map(of_the_minute, request.session.items)) or request.getfixturevalue("no_namespaces"):
        yield None
        return
    minute = Minute(request.getfixturevalue("tls_flags"))
    yield minute
    minute.close()


@pytest.fixture
def the_minute(running_minute, namespaces):
    return running_minute


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
