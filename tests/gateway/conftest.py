"""Gateways and servers for these tests; what waits for half a minute begins with the first test and is looked at last."""

import certificates
import gateways
import pytest
from fleet import Fleet
from idle import HalfMinute, haproxy_replacements

CASE_TIMEOUT_S = 60


def of_the_half_minute(item):
    return item.path.name == "test_idle.py"


def pytest_collection_modifyitems(items):
    items.sort(key=of_the_half_minute)  # last; the order of all others stays
    for item in items:
        if "/gateway/" in str(item.path) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CASE_TIMEOUT_S))


@pytest.fixture(scope="session")
def certificate_files(tmp_path_factory):
    """name -> (certificate, key): "app.example" for the public, "wsbeat.internal" between gateway and server."""
    folder = tmp_path_factory.mktemp("tls")
    return {name: certificates.make(folder, name, name) for name in ("app.example", "wsbeat.internal")}


@pytest.fixture(scope="session")
def combined_file(certificate_files, tmp_path_factory):
    """Certificate and key of app.example in one file, as HAProxy wants them."""
    path = tmp_path_factory.mktemp("haproxy") / "app.example.pem"
    path.write_text("".join(part.read_text() for part in certificate_files["app.example"]))
    return path


@pytest.fixture
def start_nginx(tmp_path):
    """`start_nginx(example, replacements, listen={"listen 80": "listen 127.0.0.1:{}"})`; ended after the test."""
    started = []

    def start(example, replacements, listens=("listen 80",), stream=False):
        ports = dict(zip(listens, gateways.free_ports(len(listens))))
        own = {f"{old}{end}": f"listen 127.0.0.1:{port}{end}" for old, port in ports.items() for end in (";", " ssl;")
               if f"{old}{end}" in (gateways.EXAMPLES / "nginx" / example).read_text()}
        started.append(gateways.nginx(tmp_path / f"nginx-{len(started)}", example, {**own, **replacements}, ports, stream))
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def start_fleet():
    started = []

    def start(*flags, **options):
        started.append(Fleet(*flags, **options))
        return started[-1]

    yield start
    for fleet in started:
        fleet.close()


@pytest.fixture(scope="session", autouse=True)
def running_half_minute(request, tmp_path_factory):
    """Begins with the first test, if one of its tests is to run."""
    if not any(map(of_the_half_minute, request.session.items)):
        yield None
        return
    half_minute = HalfMinute(tmp_path_factory.mktemp("idle"), request.getfixturevalue("combined_file"),
                             request.getfixturevalue("certificate_files"))
    yield half_minute
    half_minute.close()


@pytest.fixture
def start_haproxy(tmp_path, combined_file, certificate_files):
    """HAProxy with the example, before what is given; nobody is behind the rest. Ended after the test."""
    started = []

    def start(instances=None, unix=None, tls=None, passthrough=None, **more):
        nobody = gateways.free_ports(5)
        ports = dict(zip((":80", ":443", ":8443"), gateways.free_ports(3)))
        replacements = haproxy_replacements(ports, instances or nobody[:3], combined_file, certificate_files, unix or tmp_path / "nobody.sock",
                                            tls or nobody[3], passthrough or nobody[4])
        started.append(gateways.haproxy(tmp_path / f"haproxy-{len(started)}", {**replacements, **more}, ports))
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()
