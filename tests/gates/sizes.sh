#!/usr/bin/env bash
# No source file has more than 500 lines before its tests. (Functions: clippy, 80 lines.)
set -euo pipefail
cd "$(dirname "$0")/../.."
limit=500
failed=0
while read -r file; do
  lines=$(awk '/^#\[cfg\(test\)\]/ { exit } { count++ } END { print count + 0 }' "$file")
  if [ "$lines" -gt "$limit" ]; then
    printf '%s has %s lines: divide it by noun (limit %s)\n' "$file" "$lines" "$limit" >&2
    failed=1
  fi
done < <(git ls-files --cached --others --exclude-standard -- '*.rs' '*.js' '*.mjs' '*.css' | grep -vE '(^|/)tests?/|tests\.rs$|^tests/|vendor/')
[ "$failed" = 0 ] && echo "every source file is within $limit lines"
exit "$failed"
