#!/usr/bin/env bash
# Says where meshtax is, and builds it first where no program is given.
# Inputs come by the environment and never stand in the script, so that no text of theirs is run.
set -euo pipefail

if [ -z "${MESHTAX_PROGRAM:-}" ]; then
  cargo build --release --locked --package bench-runner --manifest-path "$MESHTAX_SOURCE/Cargo.toml"
  MESHTAX_PROGRAM="${CARGO_TARGET_DIR:-$MESHTAX_SOURCE/target}/release/meshtax"
fi
if ! [ -x "$MESHTAX_PROGRAM" ]; then
  echo "::error title=meshtax gate::no program at $MESHTAX_PROGRAM; give its path as the input 'program', or a checkout to build from as 'source'"
  exit 2
fi
path="$(cd "$(dirname "$MESHTAX_PROGRAM")" && pwd)/$(basename "$MESHTAX_PROGRAM")"
echo "path=$path" >> "$GITHUB_OUTPUT"
