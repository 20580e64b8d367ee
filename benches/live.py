"""Whether the live view of `meshtax run` changes what is measured: python3 benches/live.py MESHTAX [PAIRS] [SECONDS]

Pairs of runs of one cell, one with the view and one without, on a terminal each, one straight after the other in random order with
the same seed. Prints the ratio with / without of p50, p99 and p99.9 as the Hodges-Lehmann estimate over the pairs with its
exact signed-rank interval, and the CPU time that the thread of the view used, as the kernel accounts for it. A pair of which the load generator calls a trial
invalid is made again, up to half as many again. Exit code 1 if the interval of the ratio at p99 does not hold 1.
"""

import json
import math
import os
import pathlib
import pty
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

RATE = "500"


def drain(fd, kept):
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:
            return
        if not data:
            return
        kept.append(data)


class ViewClock(threading.Thread):
    """The CPU time of the thread called view, as it was last seen; nanoseconds."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.used_ns, self.begun, self.ended, self.stop = pid, 0, None, None, threading.Event()

    def run(self):
        while not self.stop.wait(0.1):
            for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*"):
                try:
                    if (task / "comm").read_text().strip() == "view":
                        self.used_ns = int((task / "schedstat").read_text().split()[0])
                        self.ended = time.monotonic()
                        self.begun = self.begun or self.ended
                except (OSError, IndexError):
                    continue

    def share(self):
        return self.used_ns / 1e9 / (self.ended - self.begun) if self.begun and self.ended > self.begun else None


def once(program, folder, live, seed, seconds):
    """The trial's load, and the share of a core that the view's thread used."""
    command = [program, "run", "--dataplane", "embedded", "--rate", RATE, "--duration", f"{seconds}s", "--warm-up", "1s"]
    command += ["--repeats", "1", "--seed", str(seed), "--live", "auto" if live else "never", "--out", folder]
    ours, theirs = pty.openpty()
    shown = []
    reader = threading.Thread(target=drain, args=(ours, shown))
    reader.start()
    env = dict(os.environ, TERM="xterm")
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=env, text=True)
    os.close(theirs)
    clock = ViewClock(child.pid)
    clock.start()
    out = child.stdout.read()
    child.wait()
    clock.stop.set()
    clock.join()
    reader.join()
    os.close(ours)
    assert child.returncode == 0, out
    seen = b"last second" in b"".join(shown)
    assert seen == live, "the view was shown where it should not, or was not"
    run = pathlib.Path(out.strip().splitlines()[-1])
    trial = next((run / "trials").iterdir())
    load = json.loads((trial / "load.json").read_text())
    return load, clock.share()


def interval(logs, level=0.95):
    """Hodges-Lehmann and the exact signed-rank interval: value, low, high, the level reached."""
    n = len(logs)
    means = sorted((a + b) / 2 for i, a in enumerate(logs) for b in logs[i:])
    counts = [1]
    for rank in range(1, n + 1):
        longer = counts + [0] * rank
        for at, ways in enumerate(counts):
            longer[at + rank] += ways
        counts = longer
    total, below, cut = 2**n, 0, 0
    while cut < len(counts) and 2 * (below + counts[cut]) / total <= 1 - level:
        below += counts[cut]
        cut += 1
    cut = max(cut, 1)
    reached = 1 - 2 * sum(counts[:cut]) / total
    return statistics.median(means), means[cut - 1], means[-cut], reached


def main():
    program = sys.argv[1]
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    chance = random.Random(7)
    ratios = {name: [] for name in ("p50", "p99", "p999")}
    cpu = []
    left_out = 0
    with tempfile.TemporaryDirectory() as folder:
        at = 0
        while len(cpu) < pairs and at < pairs + pairs // 2:
            at += 1
            found = {}
            for live in chance.sample([True, False], 2):
                found[live] = once(program, folder, live, at, seconds)
            if any(load["verdict"] == "invalid" for load, _ in found.values()):
                left_out += 1
                continue
            for name, logs in ratios.items():
                logs.append(math.log(found[True][0]["response_ns"][name] / found[False][0]["response_ns"][name]))
            cpu.append(found[True][1])
            print(f"pair {at}: p99 {found[True][0]['response_ns']['p99'] / 1e6:.3f} ms with, {found[False][0]['response_ns']['p99'] / 1e6:.3f} ms without", flush=True)
    print(f"{len(cpu)} pairs of {seconds} s at {RATE}/s; {left_out} left out, since the generator called a trial invalid")
    holds = True
    for name, logs in ratios.items():
        value, low, high, level = map(float, interval(logs))
        print(f"{name:5} with / without: {math.exp(value):.3f} [{math.exp(low):.3f}, {math.exp(high):.3f}], {100 * level:.1f} %")
        if name == "p99":
            holds = low <= 0 <= high
    value, low, high, level = interval([1000 * share for share in cpu])
    print(f"CPU of the view's thread: {value:.2f} [{low:.2f}, {high:.2f}] thousandths of a core, {100 * level:.1f} %")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
