#!/usr/bin/env python3
"""What a scrape of `meshtax probe --serve` costs: benches/scrape_cost.py PATH-OF-MESHTAX [SCRAPES]

The CPU time of the serving thread, from its own schedstat before and after each scrape, so that rounds are not in it;
medians, for no watched process and for twenty. And how long a scrape took, as its reader sees it."""

import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request

meshtax, scrapes = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000


def run_ns(task):
    return int((task / "schedstat").read_text().split()[0])


def measure(watched):
    sleepers = [subprocess.Popen(["sleep", "3600"]) for _ in range(watched)]
    watch = [argument for i, s in enumerate(sleepers) for argument in ("--pid", f"p{i}={s.pid}")]
    command = [meshtax, "probe", "--serve", "0", "--every", "100ms", *watch]
    probe = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        url = probe.stderr.readline().split()[-1]
        request = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text"})
        # The thread has its name by the time it has answered once.
        urllib.request.urlopen(request).read()
        tasks = pathlib.Path(f"/proc/{probe.pid}/task").iterdir()
        serving = next(task for task in tasks if (task / "comm").read_text().strip() == "serve")
        cpu_us, took_us = [], []
        for _ in range(scrapes):
            before, begun = run_ns(serving), time.perf_counter_ns()
            with urllib.request.urlopen(request) as answer:
                page = answer.read()
            took_us.append((time.perf_counter_ns() - begun) / 1e3)
            # The thread goes to sleep shortly after the last byte has been read here.
            time.sleep(0.002)
            cpu_us.append((run_ns(serving) - before) / 1e3)
    finally:
        probe.terminate()
        probe.wait()
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    spread = statistics.quantiles(cpu_us, n=20)
    print(
        f"{watched} processes: {statistics.median(cpu_us):.0f} us of CPU a scrape (5 to 95 %: {spread[0]:.0f} to "
        f"{spread[-1]:.0f}), {statistics.median(took_us):.0f} us to its reader, {len(page) / 1024:.1f} KiB, "
        f"{sum(1 for line in page.splitlines() if not line.startswith(b'#'))} samples; n = {scrapes}"
    )


for watched in (0, 20):
    measure(watched)
