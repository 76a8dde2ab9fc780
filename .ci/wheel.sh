#!/usr/bin/env bash
# Builds the wheel and installs it into a fresh environment for each Python that is named; then a whole campaign is
# replayed, a database migrated and the client imported, far from the repository: schemas and migrations must be inside.
#
#   .ci/wheel.sh BUILDER PYTHON…      BUILDER: a Python that has the build requirements
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
builder=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
quiet=(--quiet --disable-pip-version-check)

"$builder" -m pip wheel "${quiet[@]}" --no-deps --no-build-isolation --wheel-dir "$scratch/dist" .
wheel=$(echo "$scratch"/dist/chfw_sr-*.whl)
echo "wheel: $(basename "$wheel"), $(stat -c %s "$wheel") octets"

checked=0
for python in "$@"; do
  if ! command -v "$python" > /dev/null || ! "$python" -c '' 2> /dev/null; then
    echo "wheel: NOT CHECKED with $python: it is not here" >&2
    continue
  fi
  venv=$scratch/$python
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install "${quiet[@]}" --require-hashes --no-deps -r requirements/runtime.txt
  "$venv/bin/python" -m pip install "${quiet[@]}" --no-deps "$wheel"
  (
    mkdir "$scratch/$python-work"
    cd "$scratch/$python-work"
    "$venv/bin/chfw-sr" --database sqlite+aiosqlite:///new.sqlite3 migrate 2> /dev/null
    timeout 300 "$venv/bin/chfw-sr" replay "$repository/fixtures/campaign" --out out > replay.txt 2>&1
    "$venv/bin/chfw-sr" validate out/alerts/*/*.xml > /dev/null
    "$venv/bin/python" -c 'import chfw_sr, chfw_sr.client, chfw_sr.client.rabbitmq, pathlib
assert pathlib.Path(chfw_sr.__file__).with_name("py.typed").is_file()
assert "site-packages" in chfw_sr.__file__'
  )
  echo "wheel: well with $("$venv/bin/python" --version): $(find "$scratch/$python-work/out" -name '*.xml' | wc -l) messages of a replayed campaign"
  checked=$((checked + 1))
done
[ "$checked" -gt 0 ] || { echo "wheel: NOT CHECKED at all" >&2; exit 1; }
