#!/usr/bin/env bash
# Starts Superset on loopback and creates the dashboard in it; Ctrl-C ends it. To be run in the
# environment in which requirements.txt is installed. COTERIE_DATABASE: the file to show.
set -euo pipefail
cd "$(dirname "$0")"

export COTERIE_DATABASE=${COTERIE_DATABASE:-$(cd ../.. && pwd)/coterie.duckdb}
export SUPERSET_HOME=${SUPERSET_HOME:-$PWD/local}
export SUPERSET_CONFIG_PATH=$PWD/superset_config.py
export SUPERSET_ADMIN=${SUPERSET_ADMIN:-admin}
PORT=${PORT:-8088}
export SUPERSET_URL=http://127.0.0.1:$PORT

if [ ! -e "$COTERIE_DATABASE" ]; then
    echo "There is no $COTERIE_DATABASE: run make demo, or name yours by COTERIE_DATABASE." >&2
    exit 1
fi

# Importing the settings makes the folder and the secrets.
SUPERSET_ADMIN_PASSWORD=$(python -c 'import superset_config as s; print(s.kept_secret("SUPERSET_ADMIN_PASSWORD", "admin_password"))')
export SUPERSET_ADMIN_PASSWORD

superset db upgrade
superset fab create-admin --username "$SUPERSET_ADMIN" --firstname Admin --lastname Local \
    --email admin@localhost --password "$SUPERSET_ADMIN_PASSWORD"
superset init

superset run --host 127.0.0.1 --port "$PORT" --with-threads &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 300); do
    if python -c "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('$SUPERSET_URL/health', timeout=2)" 2>/dev/null; then
        break
    fi
    kill -0 "$server"
    sleep 1
done
python bootstrap.py
echo "Log in as $SUPERSET_ADMIN with the password in $SUPERSET_HOME/admin_password, or the one you set."
wait "$server"
