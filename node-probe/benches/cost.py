#!/usr/bin/env python3
"""What a round of the probe costs with 20 watched processes, beside a scrape of node_exporter; both from outside.

  node-probe/benches/cost.py [--rounds 5] [--seconds 10] [--every 100ms] [--processes 20] [--threads 4]

Needs a release build (or MESHTAX=PATH) and node_exporter (Debian: prometheus-node-exporter). Each round measures both,
in turn, and their CPU time is taken from the scheduler's account of their threads. Bars: at most 0.4 % of one core at
10 Hz, and at most 1/20 of node_exporter's CPU time per sample.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SLEEPER = """
import threading, time
for _ in range({}):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(600)
"""


def cpu_ns(pid):
    """CPU time of all threads of a process; neither of the two ends threads while measured."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def probe_round(meshtax, every, seconds, watched, directory):
    output = os.path.join(directory, "samples.jsonl")
    args = [meshtax, "probe", "--every", every, "--output", output, "--disk-path", directory]
    for i, process in enumerate(watched):
        args += ["--pid", f"p{i}={process.pid}"]
    probe = subprocess.Popen(args, stdout=subprocess.PIPE)
    try:
        probe.stdout.readline()
        time.sleep(0.5)
        before, lines, start = cpu_ns(probe.pid), count(output), time.monotonic()
        time.sleep(seconds)
        used, samples, wall = cpu_ns(probe.pid) - before, count(output) - lines, time.monotonic() - start
    finally:
        probe.send_signal(signal.SIGTERM)
        probe.wait()
        os.remove(output)
    return used / samples, used / 1e9 / wall, samples


def count(path):
    with open(path, "rb") as f:
        return f.read().count(b"\n")


def exporter_round(pid, url, scrapes):
    before = cpu_ns(pid)
    for _ in range(scrapes):
        with urllib.request.urlopen(url) as answer:
            answer.read()
        time.sleep(0.1)
    return (cpu_ns(pid) - before) / scrapes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--every", default="100ms")
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=4, help="threads of each watched process")
    args = parser.parse_args()
    meshtax = os.environ.get("MESHTAX", "target/release/meshtax")
    exporter_path = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    if exporter_path is None:
        sys.exit("no node_exporter on PATH\n  try: apt-get install prometheus-node-exporter")
    port = free_port()
    started = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            watched = [subprocess.Popen([sys.executable, "-c", SLEEPER.format(args.threads - 1)]) for _ in range(args.processes)]
            started += watched
            listen = f"--web.listen-address=127.0.0.1:{port}"
            exporter = subprocess.Popen([exporter_path, listen], stderr=subprocess.DEVNULL)
            started.append(exporter)
            time.sleep(2)
            shares, ratios = [], []
            for i in range(args.rounds):
                ours, share, samples = probe_round(meshtax, args.every, args.seconds, watched, directory)
                theirs = exporter_round(exporter.pid, f"http://127.0.0.1:{port}/metrics", 30)
                shares.append(share)
                ratios.append(ours / theirs)
                print(
                    f"round {i + 1}: probe {ours / 1e3:.0f} us a sample ({samples} samples, {share * 100:.3f} % of one core), "
                    f"node_exporter {theirs / 1e3:.0f} us a scrape, ratio 1/{theirs / ours:.1f}",
                    flush=True,
                )
            share, ratio = statistics.median(shares), statistics.median(ratios)
            print(f"medians: {share * 100:.3f} % of one core (bar 0.4 %), 1/{1 / ratio:.1f} of node_exporter (bar 1/20)")
        finally:
            for process in started:
                process.kill()
                process.wait()


main()
