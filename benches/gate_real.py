#!/usr/bin/env python3
"""Whether `meshtax gate` keeps its promises on this machine: identical sides must seldom fail, a hurt one must.

Two kinds of short gates side by side, in random order from a kept seed:
  same  the scenario against itself;
  hurt  the candidate's proxies with a CPU limit that makes p99 longer by half or more (checked from the gate's own
        figures: a draw in which it did not is counted apart).

  python3 benches/gate_real.py PROGRAM [--same 40] [--hurt 20] [--cpu-limit 60m] [--duet] [--minutes 30] [--out DIR]

The parts of each gate go before other work on the machine (cgroup weights), which must be root's to set; what is left of
that work is noise, and belongs to the test.

Bars: at most 3 of 40 same fail; at least 18 of 20 hurt fail, and none passes. It ends with 1 if one is missed.
"""

import argparse
import glob
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

SCENARIO = """name = "gate-real"

[chain]
services = 1
response_bytes = 1024
work_us = {work_us}

[load]
rate = {rate}
connections = 8

[mesh]
dataplane = "embedded"
{limit}

[trial]
settle = "100ms"
warm_up = "300ms"
measure = "{measure}"
cool_down = "100ms"

[plan]
repeats = 5
"""


def scenario(args, limit):
    line = f'cpu_limit = "{limit}"' if limit else ""
    return SCENARIO.format(work_us=args.work_us, rate=args.rate, measure=args.measure, limit=line)


class Weight(threading.Thread):
    """Has the parts of a gate go before other work on the machine, for as long as it lives."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.ended = pid, threading.Event()

    def run(self):
        while not self.ended.wait(0.1):
            for depth in ("", "*/", "*/*/", "*/*/*/"):
                for tree in map(pathlib.Path, glob.glob(f"/sys/fs/cgroup/{depth}meshtax-{self.pid}-*")):
                    for file, most in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
                        try:
                            (tree / file).write_text(most)
                        except OSError:
                            pass


def gate(args, folder, kind, seed):
    """One gate; what it said, as a line of the table."""
    plain, hurt = folder / "plain.toml", folder / "hurt.toml"
    plain.write_text(scenario(args, None))
    hurt.write_text(scenario(args, args.cpu_limit))
    answer = folder / f"{kind}-{seed}.json"
    command = [args.program, "gate", "--candidate", str(plain if kind == "same" else hurt), "--baseline", str(plain),
               "--max-regress", f"p99={args.limit}", "--pairs-max", str(args.pairs), "--seed", str(seed),
               "--out", str(folder / "gates"), "--json", str(answer)] + (["--duet"] if args.duet else [])
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        weight = Weight(running.pid)
        weight.start()
        output, _ = running.communicate()
        weight.ended.set()
    took = time.monotonic() - began
    if not answer.exists():
        return {"kind": kind, "seed": seed, "verdict": f"could not run ({running.returncode})", "took": took,
                "said": output.strip().splitlines()[-2:]}
    said = json.loads(answer.read_text())
    metric = said["metrics"][0]
    change = metric["change"] or {"value": float("nan")}
    expected = {"pass": 0, "fail": 1, "inconclusive": 3}[said["verdict"]]
    assert running.returncode == expected, f"exit code {running.returncode} for {said['verdict']}"
    invalid = sum("does not count" in doubt for doubt in said["doubts"])
    return {"kind": kind, "seed": seed, "verdict": said["verdict"], "pairs": said["pairs"], "invalid": invalid,
            "change": change["value"], "took": took}


def table(lines):
    print(f"\n{'kind':<5} {'gates':>5} {'pass':>5} {'fail':>5} {'inconclusive':>12} {'other':>6} {'pairs':>6} {'s each':>7} "
          f"{'median change':>14}")
    for kind in ("same", "hurt"):
        of = [line for line in lines if line["kind"] == kind]
        if not of:
            continue
        count = {v: sum(line["verdict"] == v for line in of) for v in ("pass", "fail", "inconclusive")}
        other = len(of) - sum(count.values())
        changes = sorted(line["change"] for line in of if line.get("change") == line.get("change") and "change" in line)
        middle = f"{changes[len(changes) // 2] * 100:+.1f} %" if changes else "n/a"
        pairs = sum(line.get("pairs", 0) for line in of) / len(of)
        took = sum(line["took"] for line in of) / len(of)
        print(f"{kind:<5} {len(of):>5} {count['pass']:>5} {count['fail']:>5} {count['inconclusive']:>12} {other:>6} "
              f"{pairs:>6.1f} {took:>7.1f} {middle:>14}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--same", type=int, default=40)
    parser.add_argument("--hurt", type=int, default=20)
    parser.add_argument("--cpu-limit", default="60m", help="of the candidate's proxies, where it is hurt")
    parser.add_argument("--limit", default="20%", help="of the gate, for p99")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--work-us", type=int, default=300)
    parser.add_argument("--measure", default="1s")
    parser.add_argument("--duet", action="store_true", help="both trials of a pair at once")
    parser.add_argument("--minutes", type=float, default=30.0, help="no gate is begun after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, help="where the gates are kept; a folder that is removed, if not said")
    args = parser.parse_args()
    kinds = ["same"] * args.same + ["hurt"] * args.hurt
    random.Random(args.seed).shuffle(kinds)
    lines, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.out or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, kind in enumerate(kinds, 1):
            if time.monotonic() - began > args.minutes * 60:
                print(f"out of time after {number - 1} of {len(kinds)} gates")
                break
            lines.append(gate(args, folder, kind, args.seed * 1000 + number))
            print(f"{number:>3} {lines[-1]}", flush=True)
    table(lines)
    same = [line for line in lines if line["kind"] == "same"]
    hurt = [line for line in lines if line["kind"] == "hurt"]
    small = [line for line in hurt if line.get("change", 0.0) < 0.5]
    if small:
        print(f"{len(small)} hurt candidates were less than half slower: the limit {args.cpu_limit} hurts too little here")
    missed = []
    if sum(line["verdict"] == "fail" for line in same) * 40 > 3 * max(len(same), 1):
        missed.append("too many of the same failed")
    if sum(line["verdict"] == "fail" for line in hurt) * 20 < 18 * len(hurt):
        missed.append("too few of the hurt failed")
    if any(line["verdict"] == "pass" for line in hurt):
        missed.append("a hurt one passed")
    print("; ".join(missed) or "all bars are kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
