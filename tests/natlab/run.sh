#!/bin/bash
# Two people behind separate NATs, the relay on the internet between them: does the first message
# arrive, and does it still when the relay was restarted?
#
#   tests/natlab/run.sh                      cone×cone and symmetric×symmetric, over TCP and QUIC
#   tests/natlab/run.sh cone:symmetric:quic  Ada's NAT, Ben's NAT, how they reach the relay
#
# Needs root, Linux, iproute2, nftables and python3, and the programs built before
# (cargo build -p node -p bootstrap); KITH_BIN and KITH_RELAY_BIN name others. With KEEP=1 the
# logs and stores of the run stay, and it says where.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
built=$here/../../target/debug
export KITH_BIN=${KITH_BIN:-$built/kith} KITH_RELAY_BIN=${KITH_RELAY_BIN:-$built/kith-relay}

stop() {
  echo "natlab: $1" >&2
  exit 2
}
[ "$(id -u)" = 0 ] || stop "making network namespaces needs root; run it with sudo"
for tool in ip nft sysctl python3; do
  command -v "$tool" >/dev/null || stop "$tool is missing (iproute2, nftables, procps, python3)"
done
for program in "$KITH_BIN" "$KITH_RELAY_BIN"; do
  [ -x "$program" ] || stop "$program is not built"
done

# shellcheck source=topology.sh
. "$here/topology.sh"
lab=kith$$
folder=$(mktemp -d)
leave() {
  tear_down
  if [ "${KEEP:-0}" = 1 ]; then echo "kept in $folder"; else rm -rf "$folder"; fi
}
trap leave EXIT
trap 'exit 130' INT TERM

[ $# -gt 0 ] || set -- cone:cone:tcp cone:cone:quic symmetric:symmetric:tcp symmetric:symmetric:quic
: >"$folder/results"
for case in "$@"; do
  IFS=: read -r ada ben transport <<<"$case"
  build "$ada" "$ben"
  mkdir "$folder/$case"
  # A failed check is counted below, and the next case is run all the same. A case that ended
  # without saying why is a failed one too.
  results=$folder/$case/results
  : >"$results"
  if ! python3 "$here/scenario.py" --lab "$lab" --folder "$folder/$case" --results "$results" \
    --ada "$ada" --ben "$ben" --transport "${transport:-quic}" && ! grep -q '^FAILED' "$results"; then
    echo "FAILED  $case: the case ended early" | tee -a "$results"
  fi
  cat "$results" >>"$folder/results"
  tear_down
done
passed=$(grep -c '^ok' "$folder/results" || true)
failed=$(grep -c '^FAILED' "$folder/results" || true)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
