#!/usr/bin/env python3
"""What a line for each request costs an Envoy: benches/access_logs.py PATH-OF-MESHTAX [PAIRS]

One Envoy (the sidecar of one service, called in clear) at two rates, without access log and with one as JSON to a file,
in blocks of each once. Of every block the CPU time of that Envoy with the log less that without is taken; and the lines
and bytes of the log. Both should grow with requests alone: the added CPU time of a request is the same at either rate
within its interval, bytes of a request too, and without a log nothing is written. It needs an Envoy on PATH, zstd, and
a machine with little else to do. Ends with 1 when one of these is otherwise."""

import glob
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

meshtax, pairs = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "12"
runs = tempfile.TemporaryDirectory(prefix="access-logs-")
RATES = [500, 2000]


def used_ns(trial, sealed):
    """CPU time of the sidecar from the beginning of the measured phase to after its last line."""
    text = subprocess.run(["zstd", "-dc", trial / "samples.jsonl.zst"], capture_output=True, check=True).stdout
    begin = next(p for p in sealed["phases"] if p["phase"] == "measure")["start_ns"]
    run = [
        (s["before_ns"], s["processes"]["s1-sidecar"]["run_ns"])
        for s in map(json.loads, text.splitlines())
        if "run_ns" in s.get("processes", {}).get("s1-sidecar", {})
    ]
    return run[-1][1] - max((r for r in run if r[0] <= begin), default=run[0])[1]


def hodges_lehmann(values):
    """The middle of all pairwise means, and a 95 % interval: signed rank, by the normal law."""
    n = len(values)
    means = sorted((a + b) / 2 for i, a in enumerate(values) for b in values[i:])
    cut = max(0, round(n * (n + 1) / 4 - 1.96 * (n * (n + 1) * (2 * n + 1) / 24) ** 0.5))
    return statistics.median(means), means[cut], means[-1 - cut]


command = [meshtax, "run", "--dataplane", "envoy", "--entry", "plain", "--sidecars", "server", "--mtls", "disable"]
command += ["--services", "1", "--access-log", "off,json", "--access-log-to", "file", "--connections", "16"]
command += ["--rate", ",".join(map(str, RATES)), "--warm-up", "1s", "--duration", "4s", "--repeats", pairs, "--out", runs.name]
done = subprocess.run(command, capture_output=True, text=True, check=False)
if done.returncode != 0:
    sys.exit(done.stderr)
directory = pathlib.Path(done.stdout.splitlines()[-1])
factors = {cell["id"]: cell["factors"] for cell in json.loads((directory / "run.json").read_text())["cells"]}
cpu, written, bad = {}, {}, []
for trial in (directory / "trials").iterdir():
    sealed = json.loads((trial / "trial.json").read_text())
    cell = factors[sealed["cell"]]
    key = (cell["rate_per_second"], cell["access_log"], sealed["block"])
    cpu[key] = used_ns(trial, sealed) / sealed["load"]["answered"] / 1e3
    logs = [p for p in glob.glob(f"{trial}/**/*access*", recursive=True)]
    written[key] = (sum(pathlib.Path(p).stat().st_size for p in logs), sealed["load"]["answered"])
added, size = {}, {}
for rate in RATES:
    blocks = sorted(block for r, log, block in cpu if r == rate and log == "json")
    added[rate] = hodges_lehmann([cpu[rate, "json", b] - cpu[rate, "off", b] for b in blocks])
    size[rate] = statistics.median(written[rate, "json", b][0] / written[rate, "json", b][1] for b in blocks)
    without = statistics.median(cpu[rate, "off", b] for b in blocks)
    value, low, high = added[rate]
    print(
        f"{rate}/s: a request takes {without:.1f} us without a log, and {value:.2f} us [{low:.2f}, {high:.2f}] more with one: "
        f"{value * rate / 1000:.1f} millicores; {size[rate]:.1f} bytes of log for each measured request"
    )
    if low <= 0:
        bad.append(f"no CPU is seen to be added at {rate}/s")
    if any(written[rate, "off", b][0] for b in blocks):
        bad.append(f"without a log something was written at {rate}/s")
if max(a[1] for a in added.values()) > min(a[2] for a in added.values()):
    bad.append("what is added to a request depends on the rate")
if abs(size[RATES[0]] / size[RATES[1]] - 1) > 0.05:
    bad.append("bytes of a request depend on the rate")
print("\n".join(bad) or "in proportion to requests")
sys.exit(1 if bad else 0)
