"""/metrics under a real Prometheus: what it scrapes, the alerts, and that every panel of the Grafana dashboard shows something."""

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from fleet import Fleet
from gateways import Gateway, free_ports, replaced, upstreams
from wsraw import HandshakeRefused

EXAMPLES = Path(__file__).parents[2] / "examples"
DASHBOARD = json.loads((EXAMPLES / "grafana/wsbeat.json").read_text())
RULES = (EXAMPLES / "prometheus/wsbeat.rules.yml").read_text()
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
METRIC = re.compile(r"\b(?:wsbeat|process)_[a-z_]+\b")
PATIENCE_S = 30.0
SCRAPES = 4  # for rates


class Prometheus:
    """Debian's, with the example: only ports and intervals are others."""

    def __init__(self, folder, instances):
        [port] = free_ports(1)
        folder.mkdir()
        config = replaced((EXAMPLES / "prometheus/prometheus.yml").read_text(),
                          {**upstreams(instances), "scrape_interval: 10s": "scrape_interval: 500ms", "evaluation_interval: 10s": "evaluation_interval: 500ms"})
        (folder / "prometheus.yml").write_text(config)
        (folder / "wsbeat.rules.yml").write_text(RULES)
        self.address = f"http://127.0.0.1:{port}"
        self.gateway = Gateway(["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"],
                               folder, {"web": port})

    def api(self, path, **parameters):
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            done = json.load(answer)
        assert done["status"] == "success"
        return done["data"]

    def query(self, expression):
        """labels -> value."""
        result = self.api("query", query=expression)["result"]
        return {tuple(sorted((name, value) for name, value in series["metric"].items() if name not in ("__name__", "job"))): float(series["value"][1])
                for series in result}

    def wait(self, expression, wanted):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            result = {}
            with contextlib.suppress(urllib.error.URLError):  # it listens before it is ready
                result = self.query(expression)
            if wanted(result):
                return result
            assert time.monotonic() < deadline, (expression, result, self.gateway.log[-2000:])
            time.sleep(0.1)


def live(fleet):
    """What makes numbers: a message and a close of each kind on the first instance; on the others an idle connection. Gives the open ones."""
    first = fleet.servers[0]
    clients = [server.connect() for server in fleet.servers]
    assert clients[0].command("counted") == "counted"
    first.connect().finish(4000)
    first.connect().abort()
    with pytest.raises(HandshakeRefused):
        first.connect(origin="http://other.example")
    clients[1].send_pong(clients[1].recv_frame(3.0).payload)  # a round trip
    for client in (clients[0], clients[2]):
        client.send_pong(client.recv_frame(3.0).payload)
    return clients


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    with Fleet("--commands") as fleet, contextlib.ExitStack() as open_clients:
        for client in live(fleet):
            open_clients.enter_context(client)
        scraping = Prometheus(tmp_path_factory.mktemp("prometheus") / "server", fleet.ports)
        with scraping.gateway:
            scraping.instances = [f"127.0.0.1:{port}" for port in fleet.ports]
            scraping.wait("up", lambda result: list(result.values()) == [1, 1, 1])
            scraping.wait("count_over_time(up[1m])", lambda result: len(result) == 3 and min(result.values()) >= SCRAPES)
            yield scraping


def test_names_and_units_are_conventional(start_server):
    text = start_server().http("/metrics").body.decode()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_was_done_is_counted(prometheus):
    first, *_ = prometheus.instances

    def of(metric, **labels):
        return prometheus.query(metric)[tuple(sorted({"instance": first, **labels}.items()))]

    assert of("wsbeat_connections_opened_total") == 3
    assert of("wsbeat_closes_total", cause="peer_close", code="4000") == 1
    assert of("wsbeat_closes_total", cause="network_error", code="1006") == 1
    assert of("wsbeat_handshakes_refused_total", cause="origin") == 1
    assert of("wsbeat_messages_received_total") == of("wsbeat_messages_sent_total") == 1
    assert of("wsbeat_received_bytes_total") >= 13 and of("wsbeat_sent_bytes_total") >= 9
    assert of("wsbeat_heartbeat_rtt_seconds_count") >= 1 and 0 < of("wsbeat_heartbeat_rtt_seconds_sum") < 10
    assert of("wsbeat_queue_bytes") == 0
    assert abs(of("process_start_time_seconds") - time.time()) < 300


def test_types_and_help(prometheus):
    told = prometheus.api("metadata")
    served = {name: (entry[0]["type"], bool(entry[0]["help"])) for name, entry in told.items() if METRIC.fullmatch(name)}
    assert served["wsbeat_connections"] == ("gauge", True)
    assert served["wsbeat_closes_total"] == served["wsbeat_handshakes_refused_total"] == ("counter", True)
    assert served["wsbeat_heartbeat_rtt_seconds"] == ("histogram", True)
    for name, (kind, helped) in served.items():
        assert helped and (kind == "counter") == name.endswith("_total"), name


def test_a_quantile_of_round_trips(prometheus):
    [value] = prometheus.query("histogram_quantile(0.99, sum by (le) (wsbeat_heartbeat_rtt_seconds_bucket))").values()
    assert 0 < value <= 5


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_panel_shows_something(prometheus, name):
    expression = EXPRESSIONS[name].replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "1m")
    assert "$" not in expression
    assert prometheus.query(expression) != {}


def test_the_dashboard_is_whole(prometheus):
    """Also of metrics in expressions that would show nothing for another reason."""
    names = set(prometheus.api("label/__name__/values"))
    used = {metric for expression in EXPRESSIONS.values() for metric in METRIC.findall(expression)}
    assert len(used) >= 20 and used <= names
    assert len({panel["id"] for panel in PANELS}) == len(PANELS) >= 15
    for panel in PANELS:
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"] and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}


def test_alerts_are_loaded_and_calm(prometheus):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        [group] = prometheus.api("rules")["groups"]
        states = {rule["name"]: (rule["health"], rule["state"]) for rule in group["rules"]}
        if all(health != "unknown" for health, _ in states.values()):
            break
        assert time.monotonic() < deadline, states
        time.sleep(0.1)
    assert len(states) == RULES.count("- alert:") >= 8
    assert set(states.values()) == {("ok", "inactive")}, states
    assert set(METRIC.findall(RULES)) <= set(prometheus.api("label/__name__/values"))


def test_alerts_fire_when_they_should(tmp_path):
    """The cases of rules_test.yml; every alert has one that fires."""
    cases = Path(__file__).parent / "rules_test.yml"
    (tmp_path / "wsbeat.rules.yml").write_text(RULES)
    shutil.copy(cases, tmp_path)
    done = subprocess.run(["promtool", "test", "rules", cases.name], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    firing = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts", cases.read_text()))
    assert firing == set(re.findall(r"- alert: (\w+)", RULES))
