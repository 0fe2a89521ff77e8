#!/usr/bin/env bash
# What must stand in one place only, and what must stand nowhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0
complain() { printf '%s\n%s\n' "$1" "$2" >&2; failed=1; }

found=$(git grep -nE '\bbincode::' -- '*.rs' ':!protocol/src/wire/codec.rs' ':!fuzz' || true)
[ -z "$found" ] || complain "bincode is named outside protocol::wire::codec:" "$found"

found=$(git grep -nE 'todo!\(|unimplemented!\(|#\[ignore' -- '*.rs' || true)
[ -z "$found" ] || complain "stubs or muted tests:" "$found"

found=$(git grep -nE 'unbounded_channel|mpsc::unbounded' -- '*.rs' || true)
[ -z "$found" ] || complain "unbounded queues:" "$found"

# Pages that the code cites must have the section that it cites.
while IFS=: read -r page section; do
  [ -f "$page" ] || { complain "a cited page does not exist:" "$page"; continue; }
  [ -z "$section" ] || grep -qE "^#+ ${section}\b" "$page" || complain "a cited section does not exist:" "$page §$section"
done < <(git grep -hoE 'docs/[A-Za-z_/]+\.md`?( §[0-9]+)?' -- '*.rs' | sed -E 's/`//; s/ §/:/; /:/!s/$/:/' | sort -u)

[ "$failed" = 0 ] && echo "names are in their places"
exit "$failed"
