#!/usr/bin/env python3
"""Whether a saturated limited proxy stalls as the arithmetic says: benches/stall_arithmetic.py PATH-OF-MESHTAX [REPEATS]

A quota of Q ms in each period of 100 ms is used up by T busy threads after Q/T ms, and the rest of the period they
stand still: 100 - Q/T ms. One Envoy (the sidecar of one service; the load comes to it in clear) is kept busy by more
load than it can take, over four connections a worker, so that each period has requests in flight when the stall begins
and none waits behind so many others that its turn comes a period later. What waits for a connection is no part of a
service time. For each limit and number of workers, over all repeats:

  longest     the longest service time of a trial, median over trials, and its ratio to the bound
  p99         the same of a hundredth: with four requests in flight at each stall it is an everyday one
  throttled   what the report says of the measured phase, beside the cgroup's own count read here in the meantime

Then the order in which quantiles of the response time move as the load (of random arrivals) rises to what a limit of 200m
takes: the first rate at which each is 5 ms over what it is without the limit in the same minutes. It needs root, Envoy on PATH and two CPUs with little
else to do; the release program, since a slow generator and service take their share of each period. Ends with 1 when a
longest stall is more than a fifth from the bound, throttled times differ by more than a twentieth, or the order is
another than p99.9, p99, p50."""

import glob
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

meshtax, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
runs = tempfile.TemporaryDirectory(prefix="stall-arithmetic-")
bad = []


class Watch(threading.Thread):
    """Reads the throttled time of the proxy's cgroup, and has the chain go before other work on the machine."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.seen, self.ended = pid, [], threading.Event()

    def trees(self):
        return [t for depth in ("", "*/", "*/*/", "*/*/*/") for t in glob.glob(f"/sys/fs/cgroup/{depth}meshtax-{self.pid}-*")]

    def run(self):
        trees = []
        while not self.ended.wait(0.01):
            trees = trees or self.trees()
            for tree in map(pathlib.Path, trees):
                try:
                    for file, most in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
                        if (tree / file).exists() and (tree / file).read_text().strip() != most:
                            (tree / file).write_text(most)
                    stat = dict(line.split() for line in (tree / "s1-sidecar/cpu.stat").read_text().splitlines())
                except OSError:
                    continue
                if "throttled_time" in stat:
                    self.seen.append((time.monotonic_ns(), int(stat["throttled_time"])))
                elif "throttled_usec" in stat:
                    self.seen.append((time.monotonic_ns(), int(stat["throttled_usec"]) * 1000))

    def between(self, start_ns, end_ns):
        at = lambda ns: max((value for stamp, value in self.seen if stamp <= ns), default=0)
        return at(end_ns) - at(start_ns)


def run(limits, workers, rates, seconds, connections, arrival, trials):
    """A run's directory, and what was counted here in the meantime."""
    command = [meshtax, "run", "--quick", "--dataplane", "envoy", "--entry", "plain", "--sidecars", "server"]
    command += ["--mtls", "disable", "--services", "1", "--cpu-limit", limits, "--workers", str(workers)]
    command += ["--connections", str(connections), "--rate", str(rates), "--arrival", arrival]
    command += ["--warm-up", "1s", "--duration", f"{seconds}s", "--repeats", str(trials), "--out", runs.name]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Watch(running.pid)
    watch.start()
    said, problems = running.communicate()
    watch.ended.set()
    watch.join()
    if running.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{problems}")
    return pathlib.Path(said.splitlines()[-1]), watch


def trial(limit, workers, rate, seconds, connections):
    """One trial as it was sealed, and the proxy's throttled time as reported and as counted here."""
    directory, watch = run(limit, workers, rate, seconds, connections, "constant", 1)
    (one,) = (directory / "trials").iterdir()
    sealed = json.loads((one / "trial.json").read_text())
    measured = next(p for p in sealed["phases"] if p["phase"] == "measure")
    (cell,) = json.loads((directory / "findings.json").read_text())["cells"]
    reported = cell["proxies"]["parts"]["s1-sidecar"]["throttled_ns"]["value"]
    return sealed, reported, watch.between(measured["start_ns"], measured["end_ns"])


def stalls(limit_m, workers):
    bound = 100 - limit_m / 10 / workers
    longest, typical, share, used = [], [], [], []
    for _ in range(repeats):
        sealed, reported, counted = trial(f"{limit_m}m", workers, 50_000, 8, 4 * workers)
        longest.append(sealed["load"]["service_ns"]["max"] / 1e6)
        typical.append(sealed["load"]["service_ns"]["p99"] / 1e6)
        share.append(reported / counted if counted else float("nan"))
        used.append(sealed["load"]["answered"] / 8)
    ratio, apart = statistics.median(longest) / bound, max(share, key=lambda s: abs(s - 1))
    print(
        f"{limit_m:4}m {workers} workers: bound {bound:5.1f} ms; longest {statistics.median(longest):6.1f} ms "
        f"({min(longest):.1f} to {max(longest):.1f}), ratio {ratio:.2f}; p99 {statistics.median(typical):5.1f} ms, "
        f"ratio {statistics.median(typical) / bound:.2f}; throttled {apart:.3f} of the cgroup's count; "
        f"{statistics.median(used):.0f} answers/s",
        flush=True,
    )
    if not 0.8 <= ratio <= 1.2:
        bad.append(f"{limit_m}m with {workers} workers: the longest stall is {ratio:.2f} of the bound")
    if not abs(apart - 1) <= 0.05:
        bad.append(f"{limit_m}m with {workers} workers: throttled time is {apart:.3f} of the cgroup's own count")


def order():
    """At which rate each quantile is a twentieth of a period over that without a limit."""
    capacity = statistics.median(trial("200m", 1, 50_000, 8, 4)[0]["load"]["answered"] / 8 for _ in range(repeats))
    shares = [0.4, 0.5, 0.6, 0.7, 0.9, 1.1, 1.3]
    rates = ",".join(str(round(capacity * share)) for share in shares)
    directory, _ = run("none,200m", 1, rates, 8, 16, "poisson", repeats)
    cells = json.loads((directory / "findings.json").read_text())["cells"]
    moved = {}
    for share in shares:
        rate = round(capacity * share)
        free, held = (
            next(c for c in cells if c["factors"]["rate_per_second"] == rate and c["factors"]["cpu_limit"] == limit)
            for limit in ("none", "200m")
        )
        added = {q: (held["response_ns"][q]["value"] - free["response_ns"][q]["value"]) / 1e6 for q in ("p999", "p99", "p50")}
        print(f"200m at {share:.0%} of {capacity:.0f}/s adds " + ", ".join(f"{ms:.2f} ms at {q}" for q, ms in added.items()))
        for q, ms in added.items():
            if ms > 5:
                moved.setdefault(q, share)
    print("moved first at: " + ", ".join(f"{q} {share:.0%}" for q, share in moved.items()), flush=True)
    at = [moved.get(q, 9) for q in ("p999", "p99", "p50")]
    if at != sorted(at) or at[0] == at[2]:
        bad.append(f"quantiles moved in another order: {moved}")


for limit_m in (100, 200, 500):
    for workers in (1, 2):
        stalls(limit_m, workers)
order()
print("\n".join(bad) or "as the arithmetic says")
sys.exit(1 if bad else 0)
