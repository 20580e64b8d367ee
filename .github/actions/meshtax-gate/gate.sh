#!/usr/bin/env bash
# Runs `meshtax gate` and hands its answer to the forge: outputs, annotations, the summary of the step, files.
# Inputs come by the environment and never stand in the script, so that no text of theirs is run.
set -euo pipefail

case "$GATE_ON_INCONCLUSIVE" in
  warn) junit=skip ;;
  fail | pass) junit="$GATE_ON_INCONCLUSIVE" ;;
  *)
    echo "::error title=meshtax gate::on-inconclusive is '$GATE_ON_INCONCLUSIVE'; it may be warn, fail or pass"
    exit 64
    ;;
esac

arguments=()
while IFS= read -r line || [ -n "$line" ]; do
  line="${line%$'\r'}"
  [ -z "${line//[[:space:]]/}" ] || arguments+=("$line")
done <<< "$GATE_ARGUMENTS"

mkdir -p "$GATE_DIRECTORY"
answer="$GATE_DIRECTORY/gate.json"
# What an earlier gate said is not this one's answer.
rm -f "$answer"
code=0
"$MESHTAX_PROGRAM" gate "${arguments[@]}" --json "$answer" || code=$?
case "$code" in
  0) verdict=pass ;;
  1) verdict=fail ;;
  3) verdict=inconclusive ;;
  *)
    echo "::error title=meshtax gate::it could not run (exit code $code); the log of this step says why"
    exit "$code"
    ;;
esac

render() { "$MESHTAX_PROGRAM" report "$answer" --format "$1" --on-inconclusive "$junit" "${@:2}"; }
render junit --output "$GATE_DIRECTORY/junit.xml"
render markdown --output "$GATE_DIRECTORY/comment.md"
render github-action-benchmark --output "$GATE_DIRECTORY/github-action-benchmark.json"
render bencher --output "$GATE_DIRECTORY/bencher.json"
if [ -n "${GITHUB_ACTIONS:-}" ]; then
  [ "$verdict/$GATE_ON_INCONCLUSIVE" = inconclusive/pass ] || render annotations
fi
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  render summary >> "$GITHUB_STEP_SUMMARY"
fi
if [ -n "${GITHUB_OUTPUT:-}" ]; then
  {
    echo "verdict=$verdict"
    echo "directory=$GATE_DIRECTORY"
    echo "junit=$GATE_DIRECTORY/junit.xml"
    echo "comment=$GATE_DIRECTORY/comment.md"
    echo "json=$answer"
  } >> "$GITHUB_OUTPUT"
fi

case "$verdict/$GATE_ON_INCONCLUSIVE" in
  fail/* | inconclusive/fail) exit 1 ;;
esac
