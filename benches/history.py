#!/usr/bin/env python3
"""How long `meshtax history` takes over 1000 runs, in every form, and what it finds in them.

    benches/history.py target/release/meshtax RUN

RUN is a run directory with a findings.json, of which 1000 are made: each a day after the one before, on a commit of its
own, with 5 % of noise on every response time, and 10 % slower from run 600 on. The bar is 2 s.
"""

import copy
import datetime
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

RUNS, STEP_AT, STEP, NOISE, BAR_S = 1000, 600, 1.10, 0.05, 2.0


def made(template, at, chance):
    findings = copy.deepcopy(template)
    day = datetime.datetime(2024, 1, 1) + datetime.timedelta(days=at)
    findings["run"] = f"{day:%Y-%m-%dT%H%M}-{at:04x}"
    findings["started"] = f"{day:%Y-%m-%dT%H:%M:%SZ}"
    findings["source"] = {"commit": f"{at:040x}", "branch": "main", "told_by": ".git"}
    factor = (STEP if at >= STEP_AT else 1.0) * math.exp(chance.gauss(0.0, NOISE))
    for cell in findings["cells"]:
        for figure in cell["response_ns"].values():
            for end in ("value", "low", "high"):
                if figure.get(end) is not None:
                    figure[end] *= factor
    return findings


def main():
    program, run = sys.argv[1:3]
    template = json.loads((pathlib.Path(run) / "findings.json").read_text())
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        size = 0
        for at in range(RUNS):
            path = pathlib.Path(folder) / f"{at:04}"
            path.mkdir()
            text = json.dumps(made(template, at, chance), indent=2)
            (path / "findings.json").write_text(text)
            size += len(text)
        cells = len(template["cells"])
        print(f"{RUNS} runs of {cells} cells, {size / RUNS / 1024:.0f} KiB of findings each")
        slow = False
        for form in ("text", "json", "csv", "html"):
            took = []
            for _ in range(3):
                begin = time.monotonic()
                done = subprocess.run([program, "history", folder, "--format", form], capture_output=True, check=True)
                took.append(time.monotonic() - begin)
            slow |= min(took) > BAR_S
            print(f"{form:5} {min(took):5.2f} s (of three: {', '.join(f'{t:.2f}' for t in took)})")
            if form == "json":
                for series in json.loads(done.stdout)["series"]:
                    at = [(c["earliest"], c["at"], c["latest"]) for c in series["changes"]]
                    print(f"      {series['id']}: changes at {at}; made at {STEP_AT}")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
