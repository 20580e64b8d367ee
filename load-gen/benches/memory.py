"""What memory.sh runs: a load over nginx, its resident memory each second, and what is to hold of both."""

import argparse
import json
import os
import resource
import statistics
import sys
import time

import peers

MOST_MIB, MOST_GROWTH = 64, 0.02
# rate, connections, seconds unless others are asked for
MODES = {"flat": (20_000, 1_000, 600), "connections": (5_000, 10_000, 20)}


def resident_kib(pid):
    """The resident memory of a process that runs; none when it has ended."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return None


def sample(process, seconds):
    """Resident memory in KiB each second of a load, with the seconds since it was started."""
    samples = []
    begin = time.monotonic()
    for at in range(1, seconds + 1):
        time.sleep(max(0.0, begin + at - time.monotonic()))
        if peers.has_ended(process) or (kib := resident_kib(process.pid)) is None:
            break
        samples.append((at, kib))
    return samples


def raise_limit(connections):
    """Raises the limit of open files for what is started, and says what it is."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"open files: the limit was {before} and is set to {most}", flush=True)
    # The server has no other, and each connection is one.
    if most < connections + connections // 4:
        sys.exit(f"the limit of open files is too low for {connections} connections; raise it: ulimit -Hn 65536")


def memory(samples, is_flat):
    """Prints what was taken of memory; what of it should not be."""
    if len(samples) < 10:
        return [f"the load ended after {len(samples)} s"]
    early, late = samples[len(samples) // 10 - 1], samples[-1]
    largest = max(kib for _, kib in samples)
    slope = statistics.linear_regression(*zip(*samples[len(samples) // 10 - 1 :])).slope
    growth = late[1] / early[1] - 1
    print(
        f"  RSS {early[1]} KiB at 10 % ({early[0]} s), {late[1]} KiB at 100 % ({late[0]} s): {growth:+.2%};"
        f" slope {slope * 60:+.1f} KiB/min; largest {largest} KiB"
    )
    found = []
    if is_flat and growth >= MOST_GROWTH:
        found.append(f"it grew by {growth:.2%}, which should be under {MOST_GROWTH:.0%}")
    if is_flat and largest >= MOST_MIB << 10:
        found.append(f"it reached {largest / 1024:.1f} MiB, which should be under {MOST_MIB} MiB")
    return found


def outcomes(summary):
    """Prints what became of the requests; what of it should not be."""
    counts = summary["outcomes"]
    print(
        f"  due {summary['due']}, answered {counts['answered']}, unsent {summary['unsent']},"
        f" censored {summary['censored']}, connect_failed {counts['connect_failed']}, reset {counts['reset']},"
        f" timed_out {counts['timed_out']}; {summary['achieved_per_second']:.0f}/s,"
        f" p50 {summary['response_ns']['p50'] / 1e6:.3f} ms, p99 {summary['response_ns']['p99'] / 1e6:.3f} ms"
    )
    print(f"  {summary['verdict']}: " + ("; ".join(summary["reasons"]) or "no reasons"))
    return [f"{counts[kind]} {kind}" for kind in ("connect_failed", "reset") if counts[kind]]


def main():
    parser = argparse.ArgumentParser(prog="memory.sh")
    parser.add_argument("mode", nargs="?", default="flat", choices=MODES)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--temp", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    rate, connections, seconds = MODES[args.mode]
    seconds = args.seconds or seconds
    if not 10 <= seconds <= 86_400:
        parser.error("--seconds is from 10 to 86400")
    peers.set_up("memory.sh")

    print(f"meshtax: {os.environ['MESHTAX']}; {rate}/s for {seconds} s over {connections} connections")
    raise_limit(connections)
    samples = []
    try:
        # It closes idle ones when less than a sixteenth of its places is free.
        nginx, urls = peers.start_nginx(args.temp, connections + connections // 4)
        options = ["--rate", str(rate), "--connections", str(connections), "--duration", f"{seconds}s"]
        stdout, usage = peers.run(
            peers.meshtax(urls["http"], *options),
            args.temp,
            seconds + 60,
            nginx.pid,
            lambda process: samples.extend(sample(process, seconds)),
        )
        found = memory(samples, args.mode == "flat") + outcomes(json.loads(stdout))
    except peers.Failed as error:
        sys.exit(f"meshtax {error}")
    finally:
        peers.tidy_up(args.temp)
    if usage["foreign"] > peers.NOISY:
        print(f"  NOISY: others used {usage['foreign']:.2f} CPUs")
    for fault in found:
        print(f"  MISSED: {fault}")
    print("  " + ("not as it should be" if found else "as it should be"))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
