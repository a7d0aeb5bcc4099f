"""Builds the extension, the server program and, where NATS's client is, libwsbeat-nats with CMake.

WSBEAT_USE_SYSTEM=1 takes an installed libwsbeat instead of compiling the core in.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
# In an sdist the core's sources lie in core/, in the repository two folders up.
CORE = HERE / "core" if (HERE / "core").is_dir() else HERE.parent.parent
CORE_FILES = ["CMakeLists.txt", "LICENSE", "backplane", "cmake", "include", "lib", "pkgconfig", "tools"]


def version():
    text = (CORE / "include/wsbeat/version.h").read_text(encoding="ascii")
    return ".".join(re.search(rf"#define WSB_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def flag(name):
    return os.environ.get(name, "").lower() not in ("", "0", "no", "off", "false")


class CMakeBuild(build_ext):
    """One CMake build for all; its products go where setuptools wants the package."""

    def build_extension(self, ext):
        import pybind11  # a build requirement, not there when only metadata are asked for

        package = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        build = Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        package.mkdir(parents=True, exist_ok=True)
        for product in (package / "wsbeat-server", *package.glob("libwsbeat-nats.so*")):  # of an earlier build with other options
            product.unlink(missing_ok=True)
        options = {
            "CMAKE_BUILD_TYPE": "RelWithDebInfo" if self.debug else "Release",
            "PYTHON_EXECUTABLE": sys.executable,
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "WSBEAT_CORE": CORE,
            "WSBEAT_USE_SYSTEM": "ON" if flag("WSBEAT_USE_SYSTEM") else "OFF",
            "WSBEAT_PYTHON_OUTPUT": package,
            "WSBEAT_PYTHON_MODULE": Path(self.get_ext_fullpath(ext.name)).name,
        }
        if os.environ.get("WSBEAT_SANITIZE"):
            options["WSBEAT_SANITIZE"] = os.environ["WSBEAT_SANITIZE"]
        if shutil.which("ccache"):
            options["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
            os.environ["CCACHE_NOHASHDIR"] = "1"
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        jobs = str(self.parallel or os.environ.get("JOBS") or os.cpu_count() or 1)
        subprocess.run(["cmake", "-S", HERE, "-B", build, *generator, *[f"-D{name}={value}" for name, value in options.items()]], check=True)
        subprocess.run(["cmake", "--build", build, "--parallel", jobs], check=True)


class SdistWithCore(sdist):
    """Adds the core's sources, so that an sdist builds from its own files."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in CORE_FILES:
            source, target = CORE / name, Path(base_dir) / "core" / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


class BinaryDistribution(Distribution):
    def has_ext_modules(self):
        return True


setup(
    version=version(),
    ext_modules=[Extension("wsbeat._wsbeat", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "sdist": SdistWithCore},
    distclass=BinaryDistribution,
)
