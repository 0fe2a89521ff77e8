#!/usr/bin/env bash
# Symbolic models of invite, handshake and ratchet (crypto/models): in the honest ones every query
# must hold, in each broken one exactly the query that it names must fail.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=1.6.7
root=${XDG_CACHE_HOME:-$HOME/.cache}/kith/verifpal-$version
prover=$root/bin/verifpal
limit=300 # seconds for one model
field() { sed -n "s|^// $1: ||p" "$2"; }
queries() { sed -n '/^queries\[/,/^\]/{/?/s/^[[:space:]]*//p}' "$1"; }

# One line for each query of a model: fine or WRONG, model, query, result, seconds.
judge() {
  local file=$1 base model begun code seconds fails wrong result expected i=0
  base=$(basename "$file" .vp) begun=$EPOCHREALTIME fails=$(field Fails "$file")
  code=$(nice -n 19 timeout "$limit" "$prover" verify --quiet --result-code --color never \
    --sessions "$(field Sessions "$file")" "$file" 2>&1 | tail -1) || code=
  seconds=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  while read -r query; do
    case ${code:i*2+1:1} in 0) result=holds ;; 1) result=fails ;; *) result="no result" ;; esac
    expected=holds
    [ "$query" != "$fails" ] || expected=fails
    [ "$result" = "$expected" ] && wrong=fine || wrong=WRONG
    printf '%s\t%s\t%s\t%s\t%s\n' "$wrong" "$base" "$query" "$result" "$seconds"
    i=$((i + 1))
  done < <(queries "$file")
}
if [ "${1:-}" = judge ]; then judge "$2"; exit; fi

[ "$("$prover" --version 2>/dev/null)" = "verifpal $version" ] || {
  echo "installing verifpal $version into $root" >&2
  # It names a newer Rust than it needs.
  nice -n 19 cargo install --locked --quiet --ignore-rust-version --version "$version" --root "$root" verifpal
}

failed=0
complain() { printf '%s\n' "$1" >&2; failed=1; }
for file in crypto/models/*.vp; do
  while read -r query; do
    grep -qxF "// Fails: $query" "crypto/models/broken/$(basename "$file" .vp)__"*.vp \
      || complain "no broken variant of $file for: $query"
  done < <(queries "$file")
done
# A variant is its model with one change: a few lines, and the same queries.
for file in crypto/models/broken/*.vp; do
  name=$(basename "$file")
  honest=crypto/models/${name%%__*}.vp
  changed=$(diff <(grep -v '^//' "$honest") <(grep -v '^//' "$file") | grep -c '^[<>]' || true)
  [ "$changed" -ge 1 ] && [ "$changed" -le 6 ] || complain "$file differs from $honest in $changed lines"
  [ "$(queries "$honest")" = "$(queries "$file")" ] || complain "$file has other queries than $honest"
  queries "$file" | grep -qxF -- "$(field Fails "$file")" || complain "$file names no query of its own"
done

begun=$SECONDS
# The long ones first.
table=$(printf '%s\n' crypto/models/symbols.vp crypto/models/*.vp crypto/models/broken/*.vp | awk '!seen[$0]++' \
  | xargs -P 2 -n 1 "$0" judge | LC_ALL=C sort -t $'\t' -k2,2)
awk -F '\t' 'BEGIN { f = "%-5s  %-30s  %-38s  %-9s %7s\n"; printf f, "", "model", "query", "result", "seconds" }
  { printf f, $1, $2, $3, $4, $5 }' <<<"$table"
grep -q . <<<"$table" || complain "no model was checked"
! grep -q '^WRONG' <<<"$table" || complain "a model has another result than expected"
[ "$failed" = 0 ] && echo "every model has its result ($((SECONDS - begun)) s)"
exit "$failed"
