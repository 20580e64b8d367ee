#!/usr/bin/env python3
"""What it takes to make the page of a large run: 40 trials of 30 s.

    benches/render.py target/release/meshtax RUN

RUN is any run with a trial of each of its cells. Of its trials 40 are made, each 30 s long: the lines of the measured phase
follow upon themselves until they last that long, with their stamps moved and their counters carried on. Measured are
`meshtax report --format html` and `--format json`: wall time and the largest resident size, the best of three, and how large
the page is. The bars are 2 s, 300 MiB and 1.5 MB.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

TRIALS, MEASURE_NS, BAR_S, BAR_MIB, BAR_BYTES = 40, 30_000_000_000, 2.0, 300.0, 1_500_000

# What is a moment, by the end of its name, in lines whose other numbers are lengths or counts.
MOMENTS = {"start_ns", "before_ns", "after_ns", "due_ns", "read_ns", "intended_ns", "sent_ns", "done_ns", "received_ns",
           "called_ns", "returned_ns", "answered_ns"}
# What grows as long as the machine runs.
COUNTERS = ("_ticks", "_total", "total_us", "run_ns", "run_delay_ns", "usage_ns", "periods", "throttled_ns", "timeslices",
            "cpu_ns", "bursts", "burst_ns", "unexplained_ns", "chunk_median_sum_ns", "round", "_ms", "switches", "forks")


def lines(path):
    packed = path.with_name(path.name + ".zst")
    if packed.exists():
        text = subprocess.run(["zstd", "-dc", packed], capture_output=True, check=True).stdout.decode()
    else:
        text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def moved(value, by_ns, key=""):
    """A line so much later."""
    if isinstance(value, dict):
        return {k: moved(v, by_ns, k) for k, v in value.items()}
    if isinstance(value, list):
        return [moved(v, by_ns, key) for v in value]
    if key in MOMENTS and isinstance(value, int):
        return value + by_ns
    return value


def carried(value, first, last, times, key=""):
    """A line whose counters have gone on as they did between the first and the last line, so many times."""
    if isinstance(value, dict):
        pick = lambda of, k: of.get(k) if isinstance(of, dict) else None
        return {k: carried(v, pick(first, k), pick(last, k), times, k) for k, v in value.items()}
    grows = isinstance(value, int) and isinstance(first, int) and isinstance(last, int) and key.endswith(COUNTERS)
    return value + (last - first) * times if grows and last > first else value


def longer(trial, from_path, to_path):
    """Writes a trial that measures for 30 s; the phase that follows moves by what is added."""
    measure = next(p for p in trial["phases"] if p["phase"] == "measure")
    start, end = measure["start_ns"], measure["end_ns"]
    length = end - start
    copies = -(-MEASURE_NS // length)
    added = (copies - 1) * length
    intervals = lines(from_path / "intervals.jsonl")
    measured = [i for i in intervals if i["phase"] == "measure"]
    out = [i for i in intervals if i["phase"] in ("settle", "warm_up")]
    for k in range(copies):
        out += [moved(i, k * length) for i in measured]
    out += [moved(i, added) for i in intervals if i["phase"] == "cool_down"]
    write(to_path / "intervals.jsonl", out)
    samples = lines(from_path / "samples.jsonl")
    before = [s for s in samples if s["after_ns"] < start]
    inside = [s for s in samples if start <= s["after_ns"] < end]
    after = [s for s in samples if s["after_ns"] >= end]
    out = list(before)
    for k in range(copies):
        out += [carried(moved(s, k * length), inside[0], inside[-1], k) for s in inside]
    out += [carried(moved(s, added), inside[0], inside[-1], copies - 1) for s in after]
    write(to_path / "samples.jsonl", out)
    slow = [s for s in lines(from_path / "slow.jsonl") if s["phase"] == "measure"]
    write(to_path / "slow.jsonl", [moved(s, k * length) for k in range(copies) for s in slow])
    for phase in trial["phases"]:
        if phase["start_ns"] >= end:
            phase["start_ns"] += added
            phase["end_ns"] += added
    measure["end_ns"] += added


def write(path, rows):
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    if path.name == "slow.jsonl":
        path.write_text(text)
        return
    subprocess.run(["zstd", "-q", "-3", "-o", f"{path}.zst"], input=text.encode(), check=True)


def made(run, folder):
    """A run of 40 trials of 30 s, of the cells of another."""
    plan = json.loads((run / "run.json").read_text())
    first = {}
    for planned in plan["trials"]:
        first.setdefault(planned["cell"], planned["id"])
    cells = [cell["id"] for cell in plan["cells"]]
    blocks = -(-TRIALS // len(cells))
    plan["trials"] = []
    for at in range(TRIALS):
        block, cell = at // len(cells) + 1, cells[at % len(cells)]
        plan["trials"].append({"id": f"{at + 1:04}-{cell}-r{block}", "cell": cell, "block": block})
    plan["repeats"], plan["timing"]["measure_ns"] = blocks, MEASURE_NS
    ready = {}
    for at, planned in enumerate(plan["trials"]):
        to = folder / "trials" / planned["id"]
        to.mkdir(parents=True)
        of = first[planned["cell"]]
        if of not in ready:
            trial = json.loads((run / "trials" / of / "trial.json").read_text())
            longer(trial, run / "trials" / of, to)
            ready[of] = (to, trial)
        else:
            for name in ("intervals.jsonl.zst", "samples.jsonl.zst", "slow.jsonl"):
                os.link(ready[of][0] / name, to / name)
        trial = dict(ready[of][1], id=planned["id"], block=planned["block"], position=at + 1)
        # Its files are other ones now.
        trial.pop("sums", None)
        (to / "trial.json").write_text(json.dumps(trial))
    (folder / "run.json").write_text(json.dumps(plan))


def timed(command, output):
    """Wall time in seconds and the largest resident size in MiB of one call."""
    begin = time.monotonic()
    with open(output, "wb") as file:
        child = subprocess.Popen(command, stdout=file)
        _, status, usage = os.wait4(child.pid, 0)
    took = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{command} failed")
    return took, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main():
    program, run = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as parent:
        folder = pathlib.Path(parent) / "run"
        folder.mkdir()
        made(run, folder)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{TRIALS} trials of {MEASURE_NS // 10**9} s, {size / 2**20:.0f} MiB on disk, {os.cpu_count()} CPUs")
        failed = False
        for form in ("html", "json"):
            output = pathlib.Path(parent) / f"report.{form}"
            best = min(timed([program, "report", str(folder), "--format", form], output) for _ in range(3))
            wall, rss, cpu = best
            page = output.stat().st_size
            over = wall > BAR_S or rss > BAR_MIB or (form == "html" and page > BAR_BYTES)
            failed |= over
            print(f"{form}: {wall:.2f} s ({cpu:.2f} s of CPU), {rss:.0f} MiB, {page / 1e6:.2f} MB{'  OVER' if over else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
