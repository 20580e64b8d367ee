#!/usr/bin/env python3
"""Whether anything grows in a long trial: memory, descriptors, the generator's own lag.

    benches/soak.py target/release/meshtax [--minutes 30] [--rate 300] [--neighbour cpu:1] [--csv soak.csv] [--keep DIR]

One trial of so many minutes: three services with embedded sidecars under mutual TLS, certificates renewed every five seconds,
a canary, failing and repeated requests, an access log, scrapes, connections that end after a hundred requests, Poisson arrivals, and
somebody else on a CPU. Every few seconds each process of it, the runner among them, is looked at from outside (/proc/PID/status,
smaps_rollup, fd), and written to the table. After it the run's own record says by how much the generator was late.

Growth is taken from the first sixth of the time (minute 5 of 30) to its end: the medians of 25 parts of it (minutes), the slope of Theil and
Sen through them with Sen's interval of 95 %, times the time, over the median of all. A figure fails where its growth is over
2 % and its interval over 0; it is said where one could be over 2 % and cannot be told from none. Memory that is a process's own
(anonymous, and its share of what it shares) is a tenth of what is resident, and moves by an allocator's steps: there a growth counts
from 1 MiB on. Exit code 1: something grows.
Needs root, or a cgroup that may be written, for the neighbour.
"""

import argparse
import csv
import io
import itertools
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BAR, LEVEL_Z, EVERY_S, PARTS = 0.02, 1.96, 5.0, 25
FIGURES = ("rss_bytes", "anonymous_bytes", "pss_bytes", "descriptors", "threads")
MIB = 1 << 20
# Of the process alone: less than this is a step of its allocator, or of what it keeps to write down at the end.
OWN, LEAST_OWN = ("anonymous_bytes", "pss_bytes"), MIB


def mixed_load(out, minutes, rate, neighbour):
    """What is measured: everything that allocates while it runs."""
    return [
        "run", "--no-live", "--out", out, "--dataplane", "embedded", "--mtls", "strict", "--rotate", "5s",
        "--neighbour", neighbour, "--services", "3", "--rate", str(rate), "--connections", "8", "--arrival", "poisson",
        "--canary", "v1=90,v2=10", "--error-rate", "0.01", "--retries", "1", "--requests-per-connection", "100",
        "--access-log", "text", "--stats-scrape", "15s", "--repeats", "1", "--duration", f"{round(minutes * 60)}s",
    ]


def processes():
    """Each process and whose child it is."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
                # The name of a program may hold spaces and brackets; what follows the last one does not.
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
            except OSError:
                continue
    return parents


def family(runner):
    """The runner and all that it started, whoever is their parent by now."""
    parents, found = processes(), {runner}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def kib(text, name):
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return None


def look(pid):
    """What a process takes now; none if it has ended meanwhile."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        return {
            "rss_bytes": kib(status, "VmRSS:"),
            "anonymous_bytes": kib(status, "RssAnon:"),
            "pss_bytes": kib(rollup, "Pss:"),
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": int(next(l for l in status.splitlines() if l.startswith("Threads:")).split()[1]),
        }
    except (OSError, StopIteration):
        return None


def highest(pid):
    """The largest resident size that a process has had; 0 once it has ended."""
    try:
        return kib(pathlib.Path(f"/proc/{pid}/status").read_text(), "VmHWM:") or 0
    except OSError:
        return 0


def watched(runner, rows, peak):
    """Looks at every process until the runner ends."""
    begun = time.monotonic()
    for at in itertools.count():
        due = begun + at * EVERY_S
        while (left := due - time.monotonic()) > 0:
            try:
                return runner.wait(timeout=left)
            except subprocess.TimeoutExpired:
                pass
        if runner.poll() is not None:
            return runner.returncode
        stamp = time.monotonic_ns()
        peak[0] = max(peak[0], highest(runner.pid))
        for pid in family(runner.pid):
            if (seen := look(pid)) and all(value is not None for value in seen.values()):
                rows.append({"monotonic_ns": stamp, "pid": pid, **seen})


def by_part(points, start_ns, end_ns):
    """Medians of equal parts of a time, minutes where it is a half hour: (part, median)."""
    parts = {}
    for at, value in points:
        if start_ns <= at < end_ns:
            parts.setdefault((at - start_ns) * PARTS // (end_ns - start_ns), []).append(value)
    return [(part, statistics.median(values)) for part, values in sorted(parts.items())]


def growth(points):
    """By what share a figure grows over these parts, with the ends of its interval (Sen 1968); none of too few."""
    level = statistics.median(value for _, value in points) if points else 0
    if len(points) < 4 or level <= 0:
        return None
    slopes = sorted((y - x) / (b - a) for (a, x), (b, y) in itertools.combinations(points, 2))
    n, pairs = len(points), len(slopes)
    ties = [sum(1 for _ in same) for _, same in itertools.groupby(sorted(value for _, value in points))]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    reach = LEVEL_Z * math.sqrt(variance)
    low = slopes[max(0, math.floor((pairs - reach) / 2))]
    high = slopes[min(pairs - 1, math.ceil((pairs + reach) / 2))]
    times = (points[-1][0] - points[0][0]) / level
    return statistics.median(slopes) * times, low * times, high * times, level


def judged(name, figure, points):
    """A line for a figure, and whether it grows."""
    found = growth(points)
    if found is None:
        return f"{name:16} {figure:16} n/a: seen in {len(points)} parts of the time, or 0", False
    value, low, high, level = found
    grows = value > BAR and low > 0 and (figure not in OWN or value * level >= LEAST_OWN)
    doubt = "" if grows or high <= BAR or (figure in OWN and high * level < LEAST_OWN) else "  could be over the bar"
    shown = f"{level / MIB:9.2f} MiB" if figure.endswith("_bytes") else f"{level:9.0f}    "
    if figure.endswith("_ns"):
        shown = f"{level / 1e3:9.1f} us "
    verdict = "GROWS" if grows else "flat "
    return f"{name:16} {figure:16} {shown} {value:+8.2%} [{low:+.2%}, {high:+.2%}] {verdict}{doubt}", grows


def lag(program, run, start_ns, end_ns):
    """The generator's own lag in each tenth of a second, from the run's record."""
    table = subprocess.run([program, "report", run, "--format", "intervals-csv"], capture_output=True, text=True, check=True)
    rows = csv.DictReader(io.StringIO(table.stdout))
    points = [(int(r["start_ns"]), int(r["lag_ours_p99_ns"])) for r in rows if r["phase"] == "measure" and r["lag_ours_p99_ns"]]
    return by_part(points, start_ns, end_ns)


def report_peak(program, run):
    """The largest resident size of making the page."""
    child = subprocess.Popen([program, "report", run, "--format", "html"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_maxrss * 1024


def written(path, rows, names):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["monotonic_ns", "name", "pid", *FIGURES])
        table.writeheader()
        table.writerows({"name": names.get(row["pid"], "helper"), **row} for row in rows)


def asked():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--neighbour", default="cpu:1")
    parser.add_argument("--csv", type=pathlib.Path, default=pathlib.Path("soak.csv"))
    parser.add_argument("--keep", type=pathlib.Path, help="keep the run directory here")
    return parser.parse_args()


def main():
    told = asked()
    folder = told.keep or pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    command = [told.program, *mixed_load(str(folder), told.minutes, told.rate, told.neighbour)]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    rows, peak = [], [0]
    code = watched(runner, rows, peak)
    said = runner.stdout.read().strip().splitlines()
    if code != 0 or not said:
        written(told.csv, rows, {runner.pid: "runner"})
        sys.exit(f"the run ended with {code}; its files are in {folder}, what was seen until then in {told.csv}")
    run = said[-1]
    trial = json.loads(next(pathlib.Path(run).glob("trials/*/trial.json")).read_text())
    names = {part["pid"]: part["name"] for part in trial["parts"]} | {runner.pid: "runner"}
    written(told.csv, rows, names)

    measure = next(phase for phase in trial["phases"] if phase["phase"] == "measure")
    end_ns = measure["end_ns"]
    start_ns = measure["start_ns"] + (end_ns - measure["start_ns"]) // 6
    print(f"{run}: growth over {(end_ns - start_ns) / 60e9:.1f} min, after {(start_ns - measure['start_ns']) / 60e9:.1f} min")
    grows = []
    for pid in sorted({row["pid"] for row in rows}, key=lambda pid: names.get(pid, "~")):
        mine = [row for row in rows if row["pid"] == pid]
        for figure in FIGURES:
            points = by_part([(row["monotonic_ns"], row[figure]) for row in mine], start_ns, end_ns)
            if pid in names:
                line, bad = judged(names[pid], figure, points)
                print(line)
                grows += [line] if bad else []
    line, bad = judged("load", "lag_ours_p99_ns", lag(told.program, run, start_ns, end_ns))
    print(line)
    grows += [line] if bad else []
    code, bytes_ = report_peak(told.program, run)
    print(f"the runner took {peak[0] / MIB:.1f} MiB at most, the seal and the findings included; the page {bytes_ / MIB:.1f} MiB (exit {code})")
    print(f"{len(grows)} figures grow by more than {BAR:.0%}; the table is {told.csv}")
    sys.exit(1 if grows or code else 0)


if __name__ == "__main__":
    main()
