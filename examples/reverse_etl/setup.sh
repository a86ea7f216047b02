#!/usr/bin/env bash
# Makes the virtual environment that the examples and `make test-sync` use, apart from the project's
# own: dbt, drt, dlt and Tryton need not agree on versions.
#
#     examples/reverse_etl/setup.sh [FOLDER]      (default: .venv-sync in the project's folder)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../.venv-sync}

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; run PYTHON=python3.11 setup.sh")'
if ! cmp --silent "$here/requirements.txt" "$folder/installed"; then
    "${PYTHON:-python3}" -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$folder/installed"
fi

# A server is only needed where none is at hand: the tests start one of their own.
if ! ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 && ! command -v initdb > /dev/null; then
    echo "PostgreSQL's server is missing: its tests are skipped. On Debian: apt-get install postgresql" >&2
fi
echo "export COTERIE_SYNC_PYTHON=$(cd "$folder" && pwd)/bin/python"
