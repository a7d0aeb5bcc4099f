#!/bin/bash
# Builds the Python module's wheel in build/python/dist and installs it into the fresh virtual environment build/python/venv, in which Debian's
# packages can be imported too. Nothing is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

python=/usr/bin/python3
out=$PWD/build/python
rm -rf "$out/venv" "$out/dist"
mkdir -p "$out"
# The wheel is built in a copy: the sources stay clean, and the core is found beside it as in the repository.
rm -rf "$out/source"
mkdir -p "$out/source/bindings"
cp -r bindings/python "$out/source/bindings/"
rm -rf "$out/source/bindings/python/"{build,dist,*.egg-info}
cp -r CMakeLists.txt LICENSE backplane cmake include lib pkgconfig tools "$out/source/"
$python -m venv --system-site-packages "$out/venv"
"$out/venv/bin/pip" -q --disable-pip-version-check wheel --no-index --no-build-isolation --no-deps -w "$out/dist" "$out/source/bindings/python"
"$out/venv/bin/pip" -q --disable-pip-version-check install --no-index --no-deps "$out"/dist/wsbeat-*.whl
