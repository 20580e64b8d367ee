#!/usr/bin/env python3
"""Whether a CPU limit breaks an SLO where `meshtax plan` says: benches/cliff.py PATH-OF-MESHTAX [REPEATS] [LIMITS]

Real Envoy, one service, Poisson arrivals, one worker. A short run without a limit predicts the cliff of each limit (150m, 200m,
250m) for p99 of 25 ms. Then each limit is swept by rates around its prediction, every block with the same rates without a
limit, in drawn order. The cliff that this sweep shows is held against the one predicted from its trials without a limit alone.
Ends with 1 if the two are more than 15 % apart at any limit, and with 3 where the SLO broke without the limit too, so that
nothing can be told: the machine should have little else to do. A cgroup that may be written is needed (root)."""

import json
import pathlib
import subprocess
import sys
import tempfile

meshtax = sys.argv[1]
repeats = sys.argv[2] if len(sys.argv) > 2 else "5"
limits = sys.argv[3].split(",") if len(sys.argv) > 3 else ["150m", "200m", "250m"]
SLO, APART = "p99=25ms", 0.15
runs = tempfile.TemporaryDirectory(prefix="cliff-")
prices = pathlib.Path(runs.name) / "prices.toml"


def run(limit, rates, trials, seconds):
    command = [meshtax, "run", "--dataplane", "envoy", "--services", "1", "--workers", "1", "--arrival", "poisson"]
    command += ["--connections", "16", "--cpu-limit", limit, "--rate", ",".join(str(rate) for rate in rates)]
    command += ["--warm-up", "500ms", "--duration", f"{seconds}s", "--repeats", str(trials), "--out", runs.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return pathlib.Path(done.stdout.splitlines()[-1])


def plan(directory, more):
    host = json.loads((directory / "run.json").read_text())["host"]
    prices.write_text(
        f'currency = "EUR"\n[[plan]]\nname = "this"\ncores = {len(host["cpus_online"])}\n'
        f'memory = "{host["memory_bytes"]}"\nprice_per_month = 1.0\nruns = ["{directory.name}"]\n'
    )
    command = [meshtax, "plan", str(directory), "--slo", SLO, "--rps", "1000", "--services", "10"]
    command += ["--prices", str(prices), "--format", "json", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    report = json.loads(done.stdout)
    # What the host holds without a limit, relied on; 0 where the SLO broke at the lowest rate too.
    holds = (report["plans"][0]["use"].get("host_capacity") or {}).get("low") or 0.0
    return {cliff["cpu_limit"]: cliff for cliff in report["cliffs"]}, holds


first, _ = plan(run("none", [250, 500, 1000, 2000], 2, 4), ["--limits", ",".join(limits)])
bad, unsure = [], []
for limit in limits:
    guess = first[limit]["predicted"]["value"]
    rates = [round(guess * share) for share in (0.55, 0.7, 0.85, 1.0, 1.15, 1.35)]
    cliffs, holds = plan(run(f"none,{limit}", rates, repeats, 4), [])
    cliff = cliffs[limit]
    predicted, found = cliff["predicted"], (cliff["measured"] or {}).get("value")
    if found is None:
        bad.append(f"{limit}: not found between {rates[0]} and {rates[-1]} requests/s")
        continue
    apart = predicted["value"] / found - 1
    low, high = cliff["measured"]["low"], cliff["measured"]["high"]
    print(
        f"{limit}: predicted {predicted['value']:.0f} [{predicted['low']:.0f}, {predicted['high']:.0f}], measured {found:.0f} "
        f"[{low:.0f}, {high or float('inf'):.0f}] requests/s, {apart:+.1%}; quota used up at "
        f"{cliff['quota_used_up_at']['value']:.0f}; guessed {guess:.0f}",
        flush=True,
    )
    if holds < found or not low:
        unsure.append(f"{limit}: something else than the limit broke the SLO; the machine has too much else to do")
    elif abs(apart) > APART:
        bad.append(f"{limit}: {apart:+.1%} apart")
print("\n".join(bad + unsure) or f"each within {APART:.0%}")
sys.exit(1 if bad else 3 if unsure else 0)
