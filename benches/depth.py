#!/usr/bin/env python3
"""Whether the tax per hop is the same in short chains and in long ones: benches/depth.py PATH-OF-MESHTAX [REPEATS]

The scenario `depth` twice: on the machine as it is, and with a loop on each CPU that gives way to every other thread
(SCHED_IDLE) and keeps the CPU from halting. A CPU that halts is woken by way of the hypervisor, and the unmeshed answer
of a chain of one comes back before a CPU that polls for a while has halted at all, where the meshed one does not: a
part of the first hop's tax that no later hop has. Ends with 1 when, with CPUs that do not halt, the intervals at p50 of
any two depths have nothing in common. The machine should have little else to do."""

import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

meshtax, repeats = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "6"
runs = tempfile.TemporaryDirectory(prefix="depth-")


def spin():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


def taxes():
    """Depth, and the estimate of the tax per hop at p50, rising by depth."""
    command = [meshtax, "run", "depth", "--duration", "3s", "--repeats", repeats, "--out", runs.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    findings = json.loads((pathlib.Path(done.stdout.splitlines()[-1]) / "findings.json").read_text())
    depth = {cell["id"]: cell["factors"]["services"] for cell in findings["cells"]}
    found = [(depth[tax["cell"]], tax["response_ns"]["p50"]["per_hop"]) for tax in findings["taxes"]]
    return sorted(found, key=lambda pair: pair[0])


def told(name, found):
    for depth, tax in found:
        low, value, high = (tax[key] / 1e6 for key in ("low", "value", "high"))
        print(f"{name}: {depth:2} services, p50 per hop {value:.3f} ms [{low:.3f}, {high:.3f}], {tax['n']} pairs", flush=True)


told("CPUs that halt", taxes())
parent = os.getpid()
loops = [multiprocessing.Process(target=spin, daemon=True) for _ in os.sched_getaffinity(0)]
for loop in loops:
    loop.start()
awake = taxes()
for loop in loops:
    loop.terminate()
told("CPUs kept from halting", awake)
common = max(tax["low"] for _, tax in awake) <= min(tax["high"] for _, tax in awake)
print("flat within its interval" if common else "not flat: two intervals have nothing in common")
sys.exit(0 if common else 1)
