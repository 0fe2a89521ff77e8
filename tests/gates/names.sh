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

# What the threat model calls a proof must be there: tests in Rust by function, models by file, tests in the browser by title.
[ "$(grep -coE '^\|.*`[a-z0-9]+(_[a-z0-9]+){3,}`' docs/THREAT_MODEL.md)" -gt 60 ] || complain "the threat model cites too few tests:" "has its form changed?"
words() { grep -E '^\|' docs/THREAT_MODEL.md | grep -oE "$1" | tr -d '`' | sort -u; }
while read -r name; do
  git grep -qE "fn ${name}\b" -- '*.rs' || complain "the threat model cites a test that does not exist:" "$name"
done < <(words '`[a-z0-9]+(_[a-z0-9]+){3,}`')
while read -r _ name; do
  [ -f "crypto/models/$name.vp" ] || complain "the threat model cites a model that does not exist:" "$name"
done < <(grep -oE 'models? (`[a-z_]+`(, )?)+' docs/THREAT_MODEL.md | grep -oE '`[a-z_]+`' | tr -d '`' | sed 's/^/model /' | sort -u)
while IFS= read -r title; do
  git grep -qF "$title" -- 'tests/browser/*.mjs' || complain "the threat model cites a browser test that does not exist:" "$title"
done < <(words '`[A-Za-z][a-z,]*( [a-z,]+){3,}`')
while read -r file; do
  [ -e "$file" ] || complain "the threat model cites a file that does not exist:" "$file"
done < <(words '`[a-z-]+(/[A-Za-z0-9_.-]+)+`')

[ "$failed" = 0 ] && echo "names are in their places"
exit "$failed"
