"""What stalls.sh runs: loads during which the target or the generator stands still for a second, and judges them."""

import argparse
import json
import os
import shutil
import signal
import sys
import time

import peers

RATE, SECONDS, CONNECTIONS = 2_000, 10, 32
DUE = RATE * SECONDS
STOP_NS = 1_000_000_000
# Of 20 000 the 200 slowest lie above p99: those due in the first 0.1 s of the second.
TRUTH_S, TOLERANCE_S = 0.90, 0.02
NGINX, GENERATOR = "nginx", "the generator"
# title, who is stopped, and when, from the first due time on
CASES = {
    "c": ("nginx stopped for 1 s in mid-run", NGINX, 4_500_000_000),
    "d": ("the generator stopped for 1 s in mid-run", GENERATOR, 4_500_000_000),
    "g": ("nginx stopped from 0.5 s before the end until 0.5 s after it", NGINX, 9_500_000_000),
}


def wait_until(at_ns):
    """Waits for a moment of the monotonic clock, which is that of the generator."""
    while (left := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left / 1e9)


def start_of(record, process):
    """When the first request fell due, by the first interval that is recorded."""
    path = os.path.join(record, "intervals.jsonl")
    while not peers.has_ended(process):
        try:
            with open(path, encoding="utf-8") as file:
                line = file.readline()
            if line.endswith("\n"):
                return json.loads(line)["start_ns"]
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    return None


def stop(pid, at_ns):
    """Stops a process for a second, and says for how long it was."""
    wait_until(at_ns)
    os.kill(pid, signal.SIGSTOP)
    try:
        begin_ns = time.monotonic_ns()
        wait_until(begin_ns + STOP_NS)
    finally:
        os.kill(pid, signal.SIGCONT)
    return time.monotonic_ns() - begin_ns


def measure(case, url, nginx, args):
    """One load with its stop: its summary, and for how long something was stopped."""
    _, whom, after_ns = CASES[case]
    record = os.path.join(args.temp, "record")
    shutil.rmtree(record, ignore_errors=True)
    stopped_ns = 0

    def meanwhile(process):
        nonlocal stopped_ns
        start_ns = start_of(record, process)
        if start_ns is not None:
            stopped_ns = stop(nginx.pid if whom == NGINX else process.pid, start_ns + after_ns)

    options = ["--rate", str(RATE), "--duration", f"{SECONDS}s", "--connections", str(CONNECTIONS), "--record", record]
    stdout, _ = peers.run(peers.meshtax(url, *options), args.temp, 60, nginx.pid, meanwhile)
    return json.loads(stdout), stopped_ns


def faults(case, summary):
    """What of a summary is not as it should be."""
    found = []
    p99 = summary["response_ns"]["p99"] / 1e9
    if abs(p99 - TRUTH_S) > TOLERANCE_S:
        found.append(f"p99 is {p99:.3f} s and should be {TRUTH_S:.2f} s")
    answered = summary["outcomes"]["answered"].get("200", 0)
    if (summary["due"], answered) != (DUE, DUE):
        found.append(f"{summary['due']} were due and {answered} answered of {DUE}")
    lag = {side: summary["lag_ns"][side]["p99"] for side in ("ours", "theirs")}
    is_ours = lag["ours"] > lag["theirs"]
    is_said = any(warning["kind"] == "generator_lagged" for warning in summary["warnings"])
    should = CASES[case][1] == GENERATOR
    if (is_ours, is_said) != (should, should):
        found.append(f"the lag is {'ours' if is_ours else 'theirs'}, and {'' if is_said else 'not '}said to be ours")
    if (summary["verdict"] == "invalid") != should or summary["verdict"] == "valid":
        found.append(f"the verdict is {summary['verdict']}")
    return found


def judge(case, number, summary, stopped_ns):
    """Prints a summary; whether it is as it should be."""
    response, lag = summary["response_ns"], summary["lag_ns"]
    print(
        f"  round {number}: p99 {response['p99'] / 1e9:.3f} s, max {response['max'] / 1e9:.3f} s,"
        f" due {summary['due']}, answered {summary['answered']}, unsent {summary['unsent']},"
        f" censored {summary['censored']}, lag p99 ours {lag['ours']['p99'] / 1e6:.1f} ms,"
        f" theirs {lag['theirs']['p99'] / 1e6:.1f} ms; stopped for {stopped_ns / 1e9:.4f} s"
    )
    print(f"    {summary['verdict']}: " + ("; ".join(summary["reasons"]) or "no reasons"))
    found = faults(case, summary)
    for fault in found:
        print(f"    MISSED: {fault}")
    sys.stdout.flush()
    return not found


def main():
    parser = argparse.ArgumentParser(prog="stalls.sh")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default=",".join(CASES), help="cases to run, such as c,g")
    parser.add_argument("--temp", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = args.only.split(",")
    if not 1 <= args.repeats <= 100:
        parser.error("--repeats is from 1 to 100")
    if unknown := [case for case in cases if case not in CASES]:
        parser.error(f"there is no case {', '.join(unknown)}")
    peers.set_up("stalls.sh")

    print(f"meshtax: {os.environ['MESHTAX']}; {RATE}/s for {SECONDS} s over {CONNECTIONS} connections")
    print(f"Truth: p99 {TRUTH_S:.2f} s, max {STOP_NS / 1e9:.1f} s, all {DUE} answered.", flush=True)
    missed = 0
    try:
        nginx, urls = peers.start_nginx(args.temp)
        for case in cases:
            print(f"\n== ({case}) {CASES[case][0]}; rounds: {args.repeats}", flush=True)
            for number in range(1, args.repeats + 1):
                missed += not judge(case, number, *measure(case, urls["http"], nginx, args))
    except peers.Failed as error:
        sys.exit(f"meshtax {error}")
    finally:
        peers.tidy_up(args.temp)
    total = len(cases) * args.repeats
    print(f"\n{total - missed} of {total} rounds are as they should be")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
