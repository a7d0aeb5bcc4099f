"""The binary interface from outside: what is exported, how structs lie, how it compares with the committed baseline, and two C clients.

WSBEAT_BUILD is the build tree (programs in tests/abi), WSBEAT_LIBDIR holds libwsbeat.so. A wanted change is accepted with scripts/update-abi.sh.
"""

import os
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LIBDIR = Path(os.environ["WSBEAT_LIBDIR"])
LIBRARY = LIBDIR / "libwsbeat.so"
PROGRAMS = Path(os.environ["WSBEAT_BUILD"]) / "tests" / "abi"
HEADER = re.sub(r"/\*.*?\*/", "", (ROOT / "include/wsbeat/wsbeat.h").read_text(), flags=re.S)
MAP = (ROOT / "lib/wsbeat.map").read_text()


def output_of(*command, **environment):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=110, check=False,
                          env={**os.environ, "LD_LIBRARY_PATH": str(LIBDIR), **environment})
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def version():
    text = (ROOT / "include/wsbeat/version.h").read_text()
    return tuple(int(re.search(rf"WSB_VERSION_{part} (\d+)", text)[1]) for part in ("MAJOR", "MINOR", "PATCH"))


def exported():
    """(name, type letter, version node) of every dynamic symbol that the library defines, nodes themselves left out."""
    lines = output_of("nm", "--dynamic", "--defined-only", "--with-symbol-versions", LIBRARY).splitlines()
    fields = [line.split()[-2:] for line in lines]
    return [(name.partition("@")[0], kind, name.rpartition("@")[2]) for kind, name in fields if kind != "A"]


def listed():
    """Names in the version script by node."""
    return {node: set(re.findall(r"(\w+);", body.split("local:")[0])) for node, body in re.findall(r"^(\w+\.[\w.]+) \{(.*?)^\}", MAP, re.S | re.M)}


def public_structs():
    """Fields of every struct of the header, in order."""
    structs = {}
    for name, body in re.findall(r"typedef struct (wsb_\w+) \{(.*?)\n\} \1;", HEADER, re.S):
        declarations = [d.strip() for d in body.split(";") if d.strip()]
        structs[name] = [(re.search(r"\(\*(\w+)\)", d) or re.search(r"(\w+)(?:\[\d+\])?$", d))[1] for d in declarations]
    return structs


def test_exports_are_those_of_the_version_script():
    by_node = {}
    for name, _, node in exported():
        by_node.setdefault(node, set()).add(name)
    assert by_node == listed()


def test_exports_are_functions_of_ours():
    assert [symbol for symbol in exported() if not symbol[0].startswith("wsb_") or symbol[1] != "T"] == []


def test_version_script_lists_the_header():
    declared = re.findall(r"^WSB_API\s+[^;(]*?\b(wsb_\w+)\s*\(", HEADER, re.M)
    assert len(declared) == HEADER.count("WSB_API")
    assert set(declared) == set().union(*listed().values())
    assert f"WSBEAT_{version()[0]}.{version()[1]}" in listed() or version()[0] > 0


def test_dynamic_section():
    dynamic = output_of("readelf", "--dynamic", "--wide", LIBRARY)
    major, minor, _ = version()
    soname = f"libwsbeat.so.{major}.{minor}" if major == 0 else f"libwsbeat.so.{major}"
    assert f"[{soname}]" in re.search(r"\(SONAME\).*", dynamic)[0]
    assert not re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", dynamic)
    assert "NOW" in re.search(r"\(FLAGS_1\).*", dynamic)[0] and "NODELETE" not in dynamic
    assert "GNU_RELRO" in output_of("readelf", "--program-headers", "--wide", LIBRARY)
    needed = {name.partition(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)}
    assert needed <= {"libwebsockets", "libuv", "libssl", "libcrypto", "libz", "libstdc++", "libm", "libgcc_s", "libc"}


def test_layout_is_the_committed_one():
    assert output_of(PROGRAMS / "abi_layout").splitlines() == (HERE / "layout.txt").read_text().splitlines()


def test_layout_covers_the_header():
    lines = output_of(PROGRAMS / "abi_layout").splitlines()
    wanted = [entry for name, fields in public_structs().items() for entry in [name, *(f"{name}.{field}" for field in fields)]]
    assert sorted(line.split()[0] for line in lines) == sorted(wanted)


def test_structs_are_append_only_by_design():
    """`size` comes first, there is no hole that a compiler could fill differently, and nothing but fixed-width fields."""
    table = [line.split() for line in output_of(PROGRAMS / "abi_layout").splitlines()]
    sizes = {name: int(size) for name, *numbers, size in table if not numbers}
    for struct, size in sizes.items():
        end = 0
        for name, offset, length in (row for row in table if row[0].startswith(struct + ".")):
            assert int(offset) == end, f"a hole before {name}: name it reserved"
            end = int(offset) + int(length)
        assert end == size, f"a hole at the end of {struct}: name it reserved"
        assert [struct + ".size", "0", "8"] in table


def test_baseline():
    compared = subprocess.run(["abidiff", "--no-added-syms", "--exported-interfaces-only", "--headers-dir2", ROOT / "include", HERE / "libwsbeat.abi", LIBRARY],
                              capture_output=True, text=True, timeout=110, check=False)
    assert compared.returncode == 0, f"abidiff ended with {compared.returncode}; see scripts/update-abi.sh\n{compared.stdout}{compared.stderr}"


def test_baseline_names_no_machine():
    assert not re.search(r"(path|comp-dir-path)='[^']*/(home|root|work|tmp|build)", (HERE / "libwsbeat.abi").read_text())


def test_dlopen_client():
    assert output_of(PROGRAMS / "abi_dlopen_client", LIBRARY) == "20 rounds\n"


def test_frozen_client():
    output_of(PROGRAMS / "abi_frozen_client")


def test_frozen_client_knows_only_its_own_header():
    includes = re.findall(r'#include "(.*)"', (HERE / "frozen/client.c").read_text() + (HERE / "frozen/wsbeat-0.1.h").read_text())
    assert sorted(includes) == ["../raw_client.h", "wsbeat-0.1.h"]
