#!/usr/bin/env bash
# What the gap detector says where the answer is known: an idle machine, a spinner on the same CPU, a quota.
#
#   node-probe/benches/gaps.sh [--seconds 10] [--cpu N]
#
#   idle     the unexplained part is under 2 % of the time
#   spinner  at least 95 % of what is lost is own run delay
#   quota    20 ms in each 100 ms: at least 95 % of what is lost is the quota's (needs root); the group has the largest
#            weight, so that it hardly ever waits for another reason
#
# Ends with 1 when one of them is not so. It needs python3 and taskset, and a machine that is idle otherwise. MESHTAX
# names the program to take; without it, what this tree holds is built.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
seconds=10
allowed=$(taskset -pc $$ | sed 's/.*: //')
cpu=${allowed##*[,-]}
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//p}' "$here/gaps.sh"; exit 0 ;;
    --seconds) seconds=$2; shift 2 ;;
    --cpu) cpu=$2; shift 2 ;;
    *) echo "gaps.sh knows no '$1'; see --help" >&2; exit 64 ;;
  esac
done
for needed in python3 taskset; do
  command -v "$needed" >/dev/null || { echo "gaps.sh needs $needed; install it first" >&2; exit 2; }
done
[ -z "${MESHTAX:-}" ] || MESHTAX=$(realpath "$MESHTAX")
cd "$here/../.." || exit 2
if [ -z "${MESHTAX:-}" ]; then
  cargo build --locked --release --quiet -p bench-runner
  MESHTAX=${CARGO_TARGET_DIR:-target}/release/meshtax
fi

spinner=
group=
cleanup() {
  [ -z "$spinner" ] || { kill "$spinner" 2>/dev/null || true; wait "$spinner" 2>/dev/null || true; }
  [ -z "$group" ] || rmdir "$group"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

failed=0
# NAME CAUSE lost|wall at-least|at-most PERCENT, the report on standard input
judge() {
  python3 -c '
import json, sys
name, cause, of, bar, percent = sys.argv[1:]
report = json.load(sys.stdin)
part = report["causes"][cause]["lost_ns"] / report[of + "_ns"] * 100
good = part >= float(percent) if bar == "at-least" else part <= float(percent)
shares = ", ".join("%s %.3f %%" % (c, v["share"] * 100) for c, v in report["causes"].items())
print("%-8s %s is %.2f %% of what %s (%s %s %%): %s" % (
    name, cause, part, "was lost" if of == "lost" else "was watched", bar, percent, "yes" if good else "NO"))
print("         lost %.2f %% of %.1f s: %s" % (report["share"] * 100, report["wall_ns"] / 1e9, shares))
sys.exit(0 if good else 1)
' "$@"
}
watch() { "$MESHTAX" probe --gaps "${seconds}s" --cpu "$cpu" --format json; }

watch | judge idle unexplained wall at-most 2 || failed=1

taskset -c "$cpu" sh -c 'while :; do :; done' &
spinner=$!
watch | judge spinner own_run_delay lost at-least 95 || failed=1
kill "$spinner"
wait "$spinner" 2>/dev/null || true
spinner=

name=meshtax-gaps-bench-$$
if [ -e /sys/fs/cgroup/cpu/tasks ]; then
  made=/sys/fs/cgroup/cpu/$name
else
  made=/sys/fs/cgroup/$name
fi
if mkdir "$made" 2>/dev/null; then
  group=$made
  if [ -e "$group/cpu.cfs_quota_us" ]; then
    echo 100000 >"$group/cpu.cfs_period_us"
    echo 20000 >"$group/cpu.cfs_quota_us"
    echo 262144 >"$group/cpu.shares"
  elif [ -e "$group/cpu.max" ]; then
    echo "20000 100000" >"$group/cpu.max"
    echo 10000 >"$group/cpu.weight"
  else
    echo "quota    n/a: the cpu controller is not enabled below the root of the cgroups"
    exit "$failed"
  fi
  (echo "$BASHPID" >"$group/cgroup.procs" && watch) | judge quota quota lost at-least 95 || failed=1
else
  echo "quota    n/a: $made cannot be made (run as root)"
fi
exit "$failed"
