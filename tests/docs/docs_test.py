"""What the documents say against what is there: links, names of the interface, defaults, lists, metrics, flags, versions."""

import re

import pytest
from documents import DOCUMENTS, HEADER, MINOR, ROOT, VERSION, listed_values, name_of, page, rows, struct_fields
from server import run

PAGES = [path for path in DOCUMENTS if path.parent.name == "docs"]
MANUAL = page("docs/man/wsbeat-server.1").replace("\\-", "-")
FLAG = r"(?<![\w-])--[a-z][a-z-]+"

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)


# ----------------------------------------------------------------------------------------------------------------------- links

def prose(path):
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.S | re.M)


def links(path):
    """Targets within this repository, as (file, anchor)."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(path))
    return [((path.parent / file).resolve() if file else path, anchor) for file, anchor in found if not re.match(r"[a-z]+:", file)]


def anchors(path):
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(path):
    missing = [(file.name, anchor) for file, anchor in links(path) if not file.exists() or (anchor and anchor not in anchors(file))]
    assert missing == []


def test_every_page_is_reached_from_the_readme():
    linked = {file for file, _ in links(ROOT / "README.md")}
    assert len(PAGES) >= 12
    assert {*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", ROOT / "LICENSE"} - linked == set()


# ------------------------------------------------------------------------------------------------------------------- interface

@each_document
def test_names_of_the_interface_exist(path):
    """Also those of the build: targets of make, options of CMake."""
    text = path.read_text()
    known = set(re.findall(r"\b(?:wsb|WSB)_\w+", HEADER + page("include/wsbeat/nats.h") + page("include/wsbeat/version.h") + page("include/wsbeat/export.h")))
    known |= {f"WSB_E_{name}" for name, _, _ in listed_values("WSB_ERROR_MAP")} | {f"WSB_CAUSE_{name}" for name, _, _ in listed_values("WSB_CAUSE_MAP")}
    assert set(re.findall(r"\b(?:wsb|WSB)_\w*\w", text)) - known == set()
    assert set(re.findall(r"\bmake ([a-z]+)\b(?=`|\n| [A-Z]+=|$)", text)) <= set(re.findall(r"^([a-z]+):", page("Makefile"), re.M))
    assert set(re.findall(r"-D(WSBEAT_\w+)", text)) <= set(re.findall(r"option\((\w+)", page("CMakeLists.txt")))


def test_every_function_is_listed():
    declared = set(re.findall(r"^WSB_API\s+[^;(]*?\b(wsb_\w+)\s*\(", HEADER, re.M))
    listed = re.findall(r"`(wsb_\w+)`", page("docs/embedding-in-c.md").partition("## All functions")[2])
    assert len(listed) == len(set(listed)) and set(listed) == declared


def test_every_error_is_listed():
    table = {cells[0]: cells[1:] for cells in rows(page("docs/embedding-in-c.md"), 3) if cells[0].startswith("`WSB_E_")}
    assert table == {f"`WSB_E_{name}`": [str(value), text] for name, value, text in listed_values("WSB_ERROR_MAP")}


def test_every_cause_is_told():
    causes = [text for _, _, text in listed_values("WSB_CAUSE_MAP")]
    in_table = [cells[0].strip("`") for cells in rows(page("docs/close.md"), 6)[1:] if cells[0]]
    assert len(causes) == 12 and sorted(in_table) == sorted(causes)
    in_manual = re.search(r"^Causes: (.*?)\.$", MANUAL, re.S | re.M)[1]
    assert re.split(r",\s+", in_manual) == causes


def test_every_refusal_is_told():
    refusals = listed_values("WSB_REFUSAL_MAP")
    statuses = {name: re.search(rf'"{name}"\)\s*/\* ((?:\d+(?:, )?)*)', HEADER)[1].strip(' ,') for _, _, name in refusals}
    table = {cells[0].strip("`"): cells[1] for cells in rows(page("docs/handshake.md"), 3) if cells[0].strip("`") in statuses}
    assert len(statuses) == 12 and table.keys() == statuses.keys()
    # The header gives a number for all but the application's own answer.
    assert {name: status for name, status in table.items() if statuses[name]} == {name: status for name, status in statuses.items() if status}
    assert re.split(r",\s+", re.search(r"^Refusals: (.*?)\.$", MANUAL, re.S | re.M)[1]) == list(statuses)


# --------------------------------------------------------------------------------------------------------------- configuration

def promised(comment):
    """(default, range) as a field's comment in the header gives them, in the table's words; None: nothing that can be compared."""
    if match := re.match(r"default (.+?), (\d+\.\.(?:\([^)]*\)|[\d^]+)(?:, or WSB_OFF)?)(?::|$)", comment):
        return match[1], match[2]
    if match := re.match(r"default (.+?)[;,] ", comment):
        return match[1], None
    if match := re.match(r"(\d+\.\.\d+); 0: ", comment):
        return "0", match[1]
    if comment.startswith(("0 or 1: ", "0: off (default), 1: ")):
        return "0", "0 or 1"
    if match := re.search(r'NULL: "([^"]*)"', comment):
        return match[1], None
    if comment.startswith("WSB_"):
        first, *others = re.findall(r"(?:WSB)?_[A-Z_]+", comment)
        names = [first, *(name if name.startswith("WSB") else first.rpartition("_")[0] + name for name in others)]
        assert re.search(rf"\b{first} = 0\b", HEADER)
        return first, ", ".join(names)
    return "none", None


@pytest.mark.parametrize("struct", ["wsb_config", "wsb_stop_options"])
def test_every_field_has_its_default_and_range(struct):
    in_config, _, in_stop = page("docs/configuration.md").partition("## Stopping")
    table = {cells[0].strip("`"): [cell.replace("`", "") for cell in cells[1:3]]
             for cells in rows(in_config if struct == "wsb_config" else in_stop, 4) if cells[0] != "field"}
    fields = struct_fields(struct)
    assert len(fields) == {"wsb_config": 50, "wsb_stop_options": 4}[struct] and table.keys() == fields.keys()
    for field, comment in fields.items():
        default, limits = promised(comment)
        assert table[field][0] == default, field
        assert limits is None or table[field][1] == limits, field


def test_most_fields_are_compared():
    """So that promised() does not come to understand nothing."""
    understood = [promised(comment) for comment in struct_fields("wsb_config").values()]
    assert sum(limits is not None for _, limits in understood) >= 34


# ------------------------------------------------------------------------------------------------------------ metrics and flags

def test_every_metric_is_told(start_server):
    served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", start_server().http("/metrics").body.decode(), re.M))
    table = [(cells[0].strip("`"), cells[1]) for cells in rows(page("docs/metrics.md"), 3)[1:]]
    assert len(served) >= 20 and table == list(served.items())


@each_document
def test_metrics_that_are_mentioned_exist(path):
    told = set(re.findall(r"\bwsbeat_[a-z_]+_(?:total|bytes|seconds)\b", path.read_text()))
    assert told <= set(re.findall(r"\bwsbeat_[a-z_]+\b", page("docs/metrics.md")))


def test_flags_are_those_of_the_program():
    flags = set(re.findall(FLAG, run("--help").stdout))
    assert len(flags) > 25
    assert set(re.findall(FLAG, MANUAL)) == flags
    assert set(re.findall(FLAG, page("docs/server.md"))) == flags


@each_document
def test_flags_that_are_mentioned_exist(path):
    others = {"--cflags", "--libs", "--install", "--prefix", "--no-build-isolation", "--haproxy-protocol", "--cluster", "--routes", "--calls"}
    assert set(re.findall(FLAG, path.read_text())) - set(re.findall(FLAG, run("--help").stdout)) <= others


# -------------------------------------------------------------------------------------------------------------------- versions

def test_the_newest_change_is_of_this_version():
    assert re.search(r"^## (\S+)", page("CHANGELOG.md"), re.M)[1] == VERSION


def test_the_manual_page_is_of_this_version():
    assert re.search(r'^\.TH WSBEAT-SERVER 1 "" "wsbeat (\S+)"', MANUAL, re.M)[1] == MINOR


@each_document
def test_versions_are_of_this_version(path):
    told = re.findall(r"libwsbeat(?:\.so\.)?(\d[\d.]*\d)|find_package\(wsbeat (\d[\d.]*\d)", path.read_text())
    assert {number for pair in told for number in pair if number} <= {MINOR}
