#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own: tests/postgres.sh cargo nextest run --workspace
# The server listens on a socket in a new folder only, whose path is in KITH_TEST_POSTGRES, and ends with the command.
# Its settings are Debian's, fsync included: what is confirmed has to be durable in tests as well.
set -euo pipefail

bin=$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "PostgreSQL is needed: apt-get install postgresql" >&2; exit 1; }
bin=$(dirname "$bin")

place=$(mktemp -d /tmp/kith-postgres.XXXXXX)
# The server does not run as root.
as_server=()
if [ "$(id -u)" = 0 ]; then
  chown postgres "$place"
  as_server=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
server=
cleanup() {
  if [ -n "$server" ]; then
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$place"
}
trap cleanup EXIT

cd /
"${as_server[@]}" "$bin/initdb" -D "$place/data" -U postgres --auth=trust --no-sync --locale=C --encoding=UTF8 >"$place/initdb.log" 2>&1 \
  || { cat "$place/initdb.log" >&2; exit 1; }
"${as_server[@]}" "$bin/postgres" -D "$place/data" -k "$place" -c listen_addresses= -c max_connections=400 \
  >"$place/log" 2>&1 &
server=$!
# It answers when its socket does.
until "$bin/pg_isready" -q -h "$place"; do
  kill -0 "$server" 2>/dev/null || { cat "$place/log" >&2; exit 1; }
  sleep 0.1
done
cd "$OLDPWD"
chmod 755 "$place"
KITH_TEST_POSTGRES=$place "$@"
