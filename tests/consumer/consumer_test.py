"""wsbeat as others meet it: installed to a prefix that was then moved, found by pkg-config and by CMake, and as Debian packages."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILD = Path(os.environ["WSBEAT_BUILD"])
VERSION = ".".join(re.findall(r"#define WSB_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", (ROOT / "include/wsbeat/version.h").read_text()))
MAJOR, MINOR, _ = VERSION.split(".")
ABI = f"{MAJOR}.{MINOR}" if MAJOR == "0" else MAJOR
PACKAGES = {"runtime": f"libwsbeat{ABI}", "dev": "libwsbeat-dev", "server": "wsbeat-server", "nats": f"libwsbeat-nats{ABI}",
            "natsdev": "libwsbeat-nats-dev"}

pytestmark = pytest.mark.timeout(600)


def run(*command, **environment):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=590, check=False, cwd=ROOT,
                          env={**os.environ, **environment})
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """An installed tree, moved from where it was installed."""
    folder = tmp_path_factory.mktemp("consumer")
    run("cmake", "--install", BUILD, "--prefix", folder / "first")
    return (folder / "first").rename(folder / "moved here")


@pytest.fixture(scope="session")
def libdir(prefix):
    return next(prefix.rglob("wsbeat.pc")).parent.parent


def pkg_config(libdir, *options):
    quoted = run("pkg-config", *options, "wsbeat", PKG_CONFIG_PATH=str(libdir / "pkgconfig"))
    return [word.replace("\\ ", " ") for word in re.findall(r"(?:\\.|\S)+", quoted)]


def compile_serve(program, flags):
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", HERE / "serve.c", "-o", program, *flags)


def installed_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def cmake_project(prefix, folder, *options):
    run("cmake", "-S", HERE / "project", "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror", "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror", *options)
    run("cmake", "--build", folder)


def test_installed_files(prefix, libdir):
    installed = installed_in(prefix)
    lib = str(libdir.relative_to(prefix))
    assert {"include/wsbeat/wsbeat.h", "include/wsbeat/version.h", "include/wsbeat/export.h", "include/wsbeat/nats.h", f"{lib}/pkgconfig/wsbeat-nats.pc", "bin/wsbeat-server",
            "share/man/man1/wsbeat-server.1", "share/doc/wsbeat/LICENSE", f"{lib}/pkgconfig/wsbeat.pc",
            f"{lib}/cmake/wsbeat/wsbeatConfig.cmake", f"{lib}/cmake/wsbeat/wsbeatConfigVersion.cmake"} <= installed
    assert {name for name in installed if "libwsbeat." in name} == {
        f"{lib}/libwsbeat.so", f"{lib}/libwsbeat.so.{ABI}", f"{lib}/libwsbeat.so.{VERSION}", f"{lib}/libwsbeat.a"}
    assert os.readlink(libdir / "libwsbeat.so") == f"libwsbeat.so.{ABI}"
    assert not [name for name in installed if ".clang-format" in name]


def test_nothing_installed_names_the_build(prefix, libdir):
    for path in [*libdir.rglob("*.cmake"), libdir / "pkgconfig/wsbeat.pc"]:
        assert str(ROOT) not in path.read_text() and "first" not in path.read_text(), path
    for binary in (libdir / "libwsbeat.so", prefix / "bin/wsbeat-server"):
        assert not re.search(r"\((RPATH|RUNPATH)\)", run("readelf", "--dynamic", binary))


def test_installed_server_runs(prefix, libdir):
    shown = run(prefix / "bin/wsbeat-server", "--help", LD_LIBRARY_PATH=str(libdir))
    assert "--port" in shown and "--heartbeat-ms" in shown


def test_pkg_config(libdir, tmp_path):
    assert run("pkg-config", "--modversion", "wsbeat", PKG_CONFIG_PATH=str(libdir / "pkgconfig")).strip() == VERSION
    flags = pkg_config(libdir, "--cflags", "--libs")
    compile_serve(tmp_path / "serve", flags)
    assert run(tmp_path / "serve", LD_LIBRARY_PATH=str(libdir)) == f"{VERSION} port given\n"
    assert f"libwsbeat.so.{ABI}" in run("readelf", "--dynamic", tmp_path / "serve")
    assert "-lwsbeat" in flags and not {"-lwebsockets", "-luv", "-lssl"} & set(flags)


def test_pkg_config_static(libdir, tmp_path):
    """Ours linked in, what it stands on shared: libwebsockets loads its event loop as a plugin."""
    flags = [f"-l:lib{flag[2:]}.a" if flag == "-lwsbeat" else flag for flag in pkg_config(libdir, "--static", "--cflags", "--libs")]
    compile_serve(tmp_path / "serve", flags)
    assert run(tmp_path / "serve") == f"{VERSION} port given\n"
    assert "libwsbeat" not in run("readelf", "--dynamic", tmp_path / "serve")


def test_destdir(prefix, tmp_path):
    """A staged installation holds the same files below DESTDIR and the configured prefix, and writes nowhere else."""
    configured = Path(re.search(r"^CMAKE_INSTALL_PREFIX:PATH=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)[1])
    run("cmake", "--install", BUILD, DESTDIR=str(tmp_path / "stage"))
    staged = tmp_path / "stage" / configured.relative_to("/")
    assert installed_in(staged) == installed_in(prefix)
    assert len(installed_in(tmp_path)) == len(installed_in(staged))
    assert str(tmp_path) not in (next(staged.rglob("wsbeat.pc"))).read_text()


def test_find_package(prefix, tmp_path):
    cmake_project(prefix, tmp_path / "shared")
    assert run(tmp_path / "shared/in_c") == f"{VERSION} port given\n"
    assert run(tmp_path / "shared/in_cpp").startswith(f"{VERSION} ")
    assert f"libwsbeat.so.{ABI}" in run("readelf", "--dynamic", tmp_path / "shared/in_c")


def test_find_package_static(prefix, tmp_path):
    cmake_project(prefix, tmp_path / "static", "-DWSBEAT_STATIC=ON")
    assert run(tmp_path / "static/in_c") == f"{VERSION} port given\n"
    assert run(tmp_path / "static/in_cpp").startswith(f"{VERSION} ")
    assert "libwsbeat" not in run("readelf", "--dynamic", tmp_path / "static/in_c")


def test_static_library_hides_what_it_defines(libdir):
    """So that a shared library made with it does not export our names."""
    symbols = run("readelf", "--symbols", "--wide", libdir / "libwsbeat.a").splitlines()
    ours = [line.split() for line in symbols if re.search(r" FUNC +GLOBAL .* wsb_\w+$", line)]
    assert ours and {fields[5] for fields in ours} == {"HIDDEN"}


def test_find_package_refuses_another_minor_version(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.22)\nproject(other NONE)\nfind_package(wsbeat {MAJOR}.{int(MINOR) + 1} REQUIRED)\n")
    done = subprocess.run(["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "compatible" in done.stderr


@pytest.fixture(scope="session")
def packages():
    """The .deb files by component, made by `make deb`."""
    output = ROOT / "build/deb/packages"
    shutil.rmtree(output, ignore_errors=True)
    run("make", "deb")
    return {component: next(output.glob(f"{name}_{VERSION}-1_*.deb")) for component, name in PACKAGES.items()}


def fields(deb):
    text = re.sub(r"\n(?= )", "", run("dpkg-deb", "--field", deb))
    return dict(line.split(": ", 1) for line in text.splitlines() if line)


def depends(deb):
    return {re.split(r"[ (]", item.strip())[0]: item.strip() for item in fields(deb)["Depends"].split(",")}


def entries(deb):
    """Mode, owner, size, date, time and name of everything in a package."""
    return [line.split()[:6] for line in run("dpkg-deb", "--contents", deb).splitlines()]


def files(deb):
    return {entry[5] for entry in entries(deb) if entry[0][0] != "d"}


def control_file(deb, name):
    return run("dpkg-deb", "--info", deb, name)


def test_packages_are_those(packages):
    assert len(list(packages["runtime"].parent.glob("*.deb"))) == len(packages)
    for component, deb in packages.items():
        assert fields(deb)["Package"] == PACKAGES[component] and fields(deb)["Version"] == f"{VERSION}-1"
        assert "wsbeat authors" in fields(deb)["Maintainer"]


@pytest.mark.parametrize("component", PACKAGES)
def test_what_policy_asks_of_every_package(packages, component, tmp_path):
    deb, name = packages[component], PACKAGES[component]
    for mode, owner, _, _, _, path in entries(deb):
        assert owner == "root/root" and (mode[0] == "l" or mode[5] == mode[8] == "-"), (mode, owner, path)
        assert ("x" in mode) == (mode[0] in "dl" or path.startswith("./usr/bin/")), (mode, path)
    assert {f"./usr/share/doc/{name}/copyright", f"./usr/share/doc/{name}/changelog.Debian.gz"} <= files(deb)
    assert "md5sums" in run("dpkg-deb", "--info", deb)
    assert {"Section", "Priority", "Maintainer", "Description", "Installed-Size"} <= fields(deb).keys()
    run("dpkg-deb", "--extract", deb, tmp_path)
    changes = subprocess.run(["zcat", next(tmp_path.rglob("changelog.Debian.gz"))], capture_output=True, text=True, timeout=60, check=True).stdout
    assert changes.startswith(f"wsbeat ({VERSION}-1) ") and "\n -- The wsbeat authors <" in changes
    for binary in (path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"):
        assert ".debug_info" not in run("readelf", "--sections", "--wide", binary)
        assert str(ROOT).encode() not in binary.read_bytes()


def test_runtime_package(packages):
    names = {name for name in files(packages["runtime"]) if "/doc/" not in name}
    assert {Path(name).name for name in names} == {f"libwsbeat.so.{ABI}", f"libwsbeat.so.{VERSION}"}
    assert all(re.fullmatch(r"\./usr/lib/[^/]*-linux-[^/]*/[^/]*", name) for name in names)
    wanted = depends(packages["runtime"])
    assert {"libwebsockets-evlib-uv", "libuv1", "zlib1g", "libc6", "libstdc++6"} <= wanted.keys()
    assert any(name.startswith("libwebsockets") and name != "libwebsockets-evlib-uv" for name in wanted)
    assert control_file(packages["runtime"], "triggers") == "activate-noawait ldconfig\n"
    assert control_file(packages["runtime"], "shlibs") == f"libwsbeat {ABI} {PACKAGES['runtime']} (>= {VERSION}-1)\n"


def test_dev_package(packages):
    names = {Path(name).name for name in files(packages["dev"])}
    assert {"wsbeat.h", "version.h", "export.h", "libwsbeat.so", "wsbeat.pc", "wsbeatConfig.cmake"} <= names
    assert "wsbeat-server" not in names and f"libwsbeat.so.{VERSION}" not in names
    assert f"(= {VERSION}-1)" in depends(packages["dev"])[PACKAGES["runtime"]]


def test_server_package(packages):
    assert {"./usr/bin/wsbeat-server", "./usr/share/man/man1/wsbeat-server.1.gz"} <= files(packages["server"])
    assert f"(= {VERSION}-1)" in depends(packages["server"])[PACKAGES["runtime"]]


def test_nats_packages(packages):
    names = {Path(name).name for name in files(packages["nats"]) if "/doc/" not in name}
    assert names == {f"libwsbeat-nats.so.{ABI}", f"libwsbeat-nats.so.{VERSION}"}
    assert any(name.startswith("libnats") for name in depends(packages["nats"]))
    assert {"libwsbeat-nats.so", "wsbeat-nats.pc", "wsbeatNatsTargets.cmake"} <= {Path(name).name for name in files(packages["natsdev"])}
    assert f"(= {VERSION}-1)" in depends(packages["natsdev"])[PACKAGES["nats"]]
    assert not any(name.startswith("libnats") for package in ("runtime", "server") for name in depends(packages[package]))


def test_nats_is_found(libdir, tmp_path):
    (tmp_path / "nats.c").write_text("#include <wsbeat/nats.h>\nint main(void) { wsb_backplane made; return wsb_nats_create(NULL, &made, NULL, 0); }\n")
    flags = run("pkg-config", "--cflags", "--libs", "wsbeat-nats", PKG_CONFIG_PATH=str(libdir / "pkgconfig"))
    words = [word.replace("\\ ", " ") for word in re.findall(r"(?:\\.|\S)+", flags)]
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", tmp_path / "nats.c", "-o", tmp_path / "nats", *words)
    run(tmp_path / "nats", LD_LIBRARY_PATH=str(libdir))


def test_unpacked_packages_work_together(packages, tmp_path):
    for deb in packages.values():
        run("dpkg-deb", "--extract", deb, tmp_path)
    libdir = next(tmp_path.rglob("libwsbeat.so")).parent
    assert "--port" in run(tmp_path / "usr/bin/wsbeat-server", "--help", LD_LIBRARY_PATH=str(libdir))
