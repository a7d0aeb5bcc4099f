"""The binary interface from outside: what is exported, how structs lie, how it compares with the committed baseline, and two C clients.

WSBEAT_BUILD is the build tree (programs in tests/abi), WSBEAT_LIBDIR holds libwsbeat.so. A wanted change is accepted with scripts/update-abi.sh.
"""

import os
import re
import ssl
import subprocess
from pathlib import Path

import certificates
import pytest
import wsraw

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LIBDIR = Path(os.environ["WSBEAT_LIBDIR"])
LIBRARY = LIBDIR / "libwsbeat.so"
PROGRAMS = Path(os.environ["WSBEAT_BUILD"]) / "tests" / "abi"
FROZEN = sorted((HERE / "frozen").glob("wsbeat-*.h"))


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


HEADER = without_comments((ROOT / "include/wsbeat/wsbeat.h").read_text())
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


def public_structs(header=HEADER):
    """Fields of every struct of a header, in order."""
    structs = {}
    for name, body in re.findall(r"typedef struct (wsb_\w+) \{(.*?)\n\} \1;", header, re.S):
        declarations = [d.strip() for d in body.split(";") if d.strip()]
        structs[name] = [(re.search(r"\(\*(\w+)\)", d) or re.search(r"(\w+)(?:\[\d+\])?$", d))[1] for d in declarations]
    return structs


def constants(header):
    """Names of enumerators and X-macro entries, their list with them, and values."""
    lists = re.findall(r"#define (\w+_MAP)\(XX\)((?:.*\\\n)*.*)", header)
    listed_there = {(name, *entry) for name, body in lists for entry in re.findall(r"XX\((\w+), (-?\d+), ", body)}
    return listed_there | {found for found in re.findall(r"\b(WSB_\w+) = (-?\d+)", header) if "_LAST_" not in found[0]}


def functions(header):
    return {re.sub(r"\s+", " ", declaration) for declaration in re.findall(r"^WSB_API [^;]*;", header, re.M)}


def declarations(text):
    """The code of a header: no comments, no lines for our own headers, no patch level, and one space for any run of blanks."""
    code = re.sub(r"\\\n", " ", without_comments(text))
    lines = (" ".join(line.split()) for line in code.splitlines())
    return "\n".join(line for line in lines if line and not re.match(r'#include "wsbeat/|#define WSB_VERSION_(PATCH|STRING)', line))


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
    loader = {name for name in needed if name.startswith("ld-linux")}  # it places thread-local variables
    assert needed - loader <= {"libwebsockets", "libuv", "libssl", "libcrypto", "libz", "libstdc++", "libm", "libgcc_s", "libc"}


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


def abidiff(present):
    """Baseline against description: options that know the headers would hide changes, since descriptions tell no locations."""
    return subprocess.run(["abidiff", "--no-added-syms", HERE / "libwsbeat.abi", present], capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    """libabigail's description of the library as it is now."""
    made = tmp_path_factory.mktemp("abi") / "present.abi"
    output_of(ROOT / "scripts/update-abi.sh", "describe", LIBRARY, made)
    return made


def test_baseline(description):
    compared = abidiff(description)
    assert compared.returncode == 0, f"abidiff ended with {compared.returncode}; see scripts/update-abi.sh\n{compared.stdout}{compared.stderr}"


def test_baseline_would_show_a_changed_field(description, tmp_path):
    text = description.read_text()
    type_of = dict(re.findall(r"<var-decl name='(\w+)' type-id='(\w+)'", text))
    changed = text.replace(f"name='workers' type-id='{type_of['workers']}'", f"name='workers' type-id='{type_of['max_message_bytes']}'")
    assert changed != text
    (tmp_path / "changed.abi").write_text(changed)
    assert "workers" in abidiff(tmp_path / "changed.abi").stdout


def test_baseline_names_no_machine():
    assert not re.search(r"(path|comp-dir-path)='[^']*/(home|root|work|tmp|build)", (HERE / "libwsbeat.abi").read_text())


def test_dlopen_client():
    assert output_of(PROGRAMS / "abi_dlopen_client", LIBRARY) == "20 rounds\n"


def test_dlopen_client_over_tls(tmp_path):
    """What OpenSSL keeps of its own must not keep the library."""
    certificate, key = certificates.make(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    with subprocess.Popen([PROGRAMS / "abi_dlopen_client", LIBRARY, certificate, key], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        try:
            while (line := client.stdout.readline()).strip().isdigit():
                with wsraw.connect(int(line), "/abi", tls=trusting) as peer:
                    peer.send_text("hello")
                    assert peer.recv_frame() == wsraw.Frame(wsraw.TEXT, b"hello")
                    peer.send_close(1000, "bye")
                    assert peer.recv_close() == (1000, "")
            assert (line, client.wait(timeout=60), client.stderr.read()) == ("5 rounds\n", 0, "")
        finally:
            client.kill()


def test_frozen_header_is_the_present_one():
    """Until a minor version is released its frozen header follows the headers; patch releases may add to it, see the next test."""
    major, minor, patch = version()
    frozen = HERE / f"frozen/wsbeat-{major}.{minor}.h"
    present = "\n".join((ROOT / f"include/wsbeat/{name}.h").read_text() for name in ("export", "version", "wsbeat"))
    assert patch > 0 or declarations(frozen.read_text()) == declarations(present), "see scripts/update-abi.sh"


@pytest.mark.parametrize("frozen", [path for path in FROZEN if f"-{version()[0]}." in path.name], ids=lambda path: path.stem)
def test_what_was_frozen_still_stands(frozen):
    """Of this SONAME's headers: every function as it was, every constant with its value, every struct's fields first and in order."""
    if version()[0] == 0 and frozen.stem != f"wsbeat-0.{version()[1]}":
        pytest.skip("before 1.0 another minor version is another interface")
    then = without_comments(frozen.read_text())
    assert functions(then) and functions(then) - functions(HEADER) == set()
    assert constants(then) and constants(then) - constants(HEADER) == set()
    for name, fields in public_structs(then).items():
        now = public_structs()[name]
        assert len(now) >= len(fields)
        assert [field for field, other in zip(fields, now) if field != other and not field.startswith("reserved")] == []


def test_frozen_client():
    output_of(PROGRAMS / "abi_frozen_client")


def test_frozen_client_knows_only_its_own_header():
    includes = re.findall(r'#include "(.*)"', (HERE / "frozen/client.c").read_text() + (HERE / "frozen/wsbeat-0.1.h").read_text())
    assert sorted(includes) == ["../raw_client.h", "wsbeat-0.1.h"]
