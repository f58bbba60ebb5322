#!/usr/bin/env bash
# Build the documentation as a site, strictly: a broken link or an unknown name in the reference fails.
#   scripts/build_site.sh [FOLDER]     default: site/
# The tools go into a folder of their own, which is kept in DCFST_SITE_VENV if that is set.
set -euo pipefail
out=$(realpath -m "${1:-site}")
cd "$(dirname "$0")/.."
venv=${DCFST_SITE_VENV:-}
if [ -z "$venv" ]; then
    venv=$(mktemp -d)
    trap 'rm -rf "$venv"' EXIT
fi
if [ ! -x "$venv/bin/mkdocs" ]; then
    "${PYTHON3:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "mkdocs-material>=9.5,<10" "mkdocstrings[python]>=0.27,<2"
fi
NO_MKDOCS_2_WARNING=1 "$venv/bin/mkdocs" build --strict --quiet --site-dir "$out"
echo "$out/index.html"
