#!/usr/bin/env bash
# crypto and protocol decide and do nothing: none of these may be among what they are built of.
set -euo pipefail
cd "$(dirname "$0")/../.."
banned='^(tokio|async-std|smol|futures|libp2p|quinn|axum|hyper|reqwest|sled|tracing|log|mio|socket2|getrandom|chrono|time|bootstrap|node) v'
failed=0
for crate in crypto protocol; do
  tree=$(cargo tree --locked -p "$crate" -e normal --prefix none)
  found=$(sort -u <<<"$tree" | grep -E "$banned" || true)
  if [ -n "$found" ]; then
    printf '%s is not pure any more; it is built of:\n%s\n' "$crate" "$found" >&2
    failed=1
  fi
done
[ "$failed" = 0 ] && echo "crypto and protocol are pure"
exit "$failed"
