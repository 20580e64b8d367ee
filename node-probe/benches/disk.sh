#!/usr/bin/env bash
# Compares meshtax disk with fio in alternating runs, and its net figures beside a spinner with those without one.
#
#   node-probe/benches/disk.sh [--rounds 5] [--seconds 3] [--dir DIR] [--size 1G] [--cpu N] [--only fio|spinner]
#
#   fio      read at depth 1 (psync) and at depth 32 (io_uring): the ratio of our IOPS to fio's, round by round. Bar:
#            the median within 10 %.
#   spinner  everything pinned to one CPU that is kept awake, in turns alone and beside a loop that spins there: net IOPS
#            and net p50 beside it to those alone. Bar: the median within 25 %, while gross shows the damage.
#
# write + fdatasync is shown beside the spinner without a bar: threads of the kernel take part in it, and their waiting
# is not ours. Ends with 1 when a bar is missed. It needs fio (apt-get install fio), python3, taskset and a directory on
# a disk with O_DIRECT. MESHTAX names the program to measure; without it, what this tree holds is built.
set -euo pipefail

cd "$(dirname "$0")/../.."
rounds=5 seconds=3 dir=. size=1G cpu=$(($(nproc) - 1)) only=both
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --dir) dir=$2 ;;
        --size) size=$2 ;;
        --cpu) cpu=$2 ;;
        --only) only=$2 ;;
        *) echo "unknown: $1; see the head of $0" >&2; exit 64 ;;
    esac
    shift 2
done
for tool in fio python3 taskset chrt; do
    command -v "$tool" >/dev/null || { echo "$tool is missing; try: apt-get install fio python3 util-linux" >&2; exit 2; }
done
if [ -z "${MESHTAX:-}" ]; then
    cargo build --locked --quiet --release -p bench-runner
    MESHTAX=target/release/meshtax
fi

work=$(mktemp -d "$dir/disk-bench-XXXXXX")
spinner=
finish() {
    if [ -n "$spinner" ]; then kill "$spinner" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

ours() { # arms, prefix command...
    local arms=$1
    shift
    "$@" "$MESHTAX" disk "$work" --size "$size" --seconds "$seconds" --only "$arms" --format json 2>/dev/null
}

load() { cut -d' ' -f1 /proc/loadavg; }

if [ "$only" != spinner ]; then
    # fio writes its file once, with random bytes, and reads it in every round.
    fio --name=fill --filename="$work/fio" --rw=write --bs=1M --size="$size" --direct=1 --refill_buffers \
        --end_fsync=1 --output="$work/fill.txt"
    theirs() { # engine depth
        taskset -c "$cpu" fio --name=read --filename="$work/fio" --rw=randread --bs=4k --size="$size" --direct=1 \
            --ioengine="$1" --iodepth="$2" --time_based --runtime="$seconds" --ramp_time=1 --randrepeat=0 \
            --invalidate=0 --output-format=json --output="$work/fio.json"
    }
    compare() { # arm engine depth round
        # Who goes first changes, so that a drift of the disk falls on both. Both on one CPU, so that neither is moved.
        if (($4 % 2)); then
            ours "$1" taskset -c "$cpu" >"$work/ours.json"
            theirs "$2" "$3"
        else
            theirs "$2" "$3"
            ours "$1" taskset -c "$cpu" >"$work/ours.json"
        fi
        python3 - "$work/ours.json" "$work/fio.json" "$4" "$(load)" <<'PY' | tee -a "$work/ratios"
import json, sys
arm = json.load(open(sys.argv[1]))["arms"][0]
read = json.load(open(sys.argv[2]))["jobs"][0]["read"]
ours, theirs = arm["iops"], read["iops"]
p50 = arm["gross_ns"]["p50"] / 1e3, read["clat_ns"]["percentile"]["50.000000"] / 1e3
print(f"fio round {sys.argv[3]} {arm['kind']:9} ours {ours:8.0f} fio {theirs:8.0f} ratio {ours / theirs:.3f}"
      f"  p50 us {p50[0]:6.1f} {p50[1]:6.1f}  waiting {arm['waiting_share']:.0%}  load {sys.argv[4]}")
PY
    }
    for ((round = 1; round <= rounds; round++)); do
        compare read_qd1 psync 1 "$round"
        compare read_qd32 io_uring 32 "$round"
    done
fi

if [ "$only" != fio ]; then
    arms=read_qd1,read_qd32,write_fdatasync
    for ((round = 1; round <= rounds; round++)); do
        # A CPU with nothing to do halts, and waking it from that takes longer than the disk on many a virtual machine;
        # beside a spinner it never halts. So that both have it alike, a loop that gives way to everything keeps it awake.
        taskset -c "$cpu" chrt --idle 0 sh -c 'while :; do :; done' &
        spinner=$!
        ours "$arms" taskset -c "$cpu" >"$work/alone.json"
        kill "$spinner"
        wait "$spinner" 2>/dev/null || true
        taskset -c "$cpu" sh -c 'while :; do :; done' &
        spinner=$!
        ours "$arms" taskset -c "$cpu" >"$work/beside.json"
        kill "$spinner"
        wait "$spinner" 2>/dev/null || true
        spinner=
        python3 - "$work/alone.json" "$work/beside.json" "$round" "$(load)" <<'PY' | tee -a "$work/ratios"
import json, sys
def arms(path):
    return {arm["kind"]: arm for arm in json.load(open(path))["arms"]}
alone, beside = arms(sys.argv[1]), arms(sys.argv[2])
for kind in ("read_qd1", "read_qd32", "write_fdatasync"):
    a, b = alone[kind], beside[kind]
    iops = lambda arm: arm["iops_net"] if isinstance(arm["iops_net"], float) else float("nan")
    p50 = lambda arm: arm["net_ns"].get("p50", float("nan")) / 1e3
    print(f"spinner round {sys.argv[3]} {kind:15} gross IOPS {a['iops']:7.0f} -> {b['iops']:7.0f} ({b['iops'] / a['iops']:.2f})"
          f"  net IOPS {iops(a):7.0f} -> {iops(b):7.0f} ratio {iops(b) / iops(a):.3f}"
          f"  net p50 us {p50(a):6.1f} -> {p50(b):6.1f} ({p50(b) / p50(a):.2f})"
          f"  waiting {a['waiting_share']:.0%} -> {b['waiting_share']:.0%}  load {sys.argv[4]}")
PY
    done
fi

python3 - "$work/ratios" <<'PY'
import math, re, statistics, sys
ratios = {}
for line in open(sys.argv[1]):
    test, kind = line.split()[0], line.split()[3]
    ratios.setdefault((test, kind), []).append(float(re.search(r"ratio (\S+)", line)[1]))
missed = False
for (test, kind), found in ratios.items():
    bar = {"fio": 0.10, "spinner": 0.25}[test]
    if kind == "write_fdatasync":
        continue
    median = statistics.median(found)
    good = not math.isnan(median) and abs(median - 1) <= bar
    missed |= not good
    print(f"{test:7} {kind:15} median {median:.3f} of {len(found)} [{min(found):.3f}, {max(found):.3f}]"
          f"  {'within' if good else 'NOT within'} {bar:.0%}")
sys.exit(missed)
PY
