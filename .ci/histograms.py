"""Loads a service of meshtax's own and reads the recorded histograms with the public HdrHistogram library:
histograms.py PATH-OF-MESHTAX DIRECTORY"""

import json
import pathlib
import subprocess
import sys

from hdrh.histogram import HdrHistogram

meshtax, directory = sys.argv[1], pathlib.Path(sys.argv[2])
service = subprocess.Popen([meshtax, "service", "--name", "s1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
try:
    address = json.loads(service.stdout.readline())["ready"]["listen"]
    load = ["load", f"http://{address}/", "--rate", "1000", "--duration", "2s", "--format", "json"]
    load += ["--record", str(directory), "--hlog", str(directory.parent / "load-alone.hlog")]
    subprocess.run([meshtax, *load], check=True, stdout=subprocess.DEVNULL)
finally:
    service.stdin.close()
    service.wait(timeout=10)

summary = json.loads((directory / "load.json").read_text())
merged = HdrHistogram(1, 3_600_000_000_000, 3)
for line in (directory / "intervals.jsonl").read_text().splitlines():
    interval = json.loads(line)
    if interval["phase"] == "measure":
        merged.add(HdrHistogram.decode(interval["response"].encode()))
assert merged.get_total_count() == summary["due"] == 2000, (merged.get_total_count(), summary["due"])
for name, percentile in [("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("max", 100)]:
    theirs, ours = merged.get_value_at_percentile(percentile), summary["response_ns"][name]
    assert abs(theirs - ours) <= 0.001 * ours, (name, theirs, ours)
    print(f"{name}: {ours} ns here, {theirs} ns there")
