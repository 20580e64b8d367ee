"""Boots the guest that hidden_steal.sh has made, beside each spinner, and compares the two sides."""

import argparse
import glob
import json
import os
import subprocess
import sys
import time

# Of the host's figure.
BAR = 0.10
# What QEMU calls the thread that runs the guest's CPU.
VCPU = "CPU 0/TCG"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initramfs", required=True)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    return parser.parse_args()


def threads(pid):
    """Each thread of a process: its name, and what it ran and waited in ns (schedstat's first two fields)."""
    found = {}
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(f"{task}/schedstat") as schedstat, open(f"{task}/comm") as comm:
                run, delay = schedstat.read().split()[:2]
                found[task] = (comm.read().strip(), int(run), int(delay))
        except OSError:
            continue
    return found


def spinner(nice, cpu):
    if nice is None:
        return None
    command = ["nice", "-n", str(nice), "taskset", "-c", str(cpu), "sh", "-c", "while :; do :; done"]
    return subprocess.Popen(command)


def end(process):
    if process is not None:
        process.kill()
        process.wait()


def guest(options):
    """QEMU, with every thread on one CPU; its serial line is our pipe."""
    command = ["taskset", "-c", str(options.cpu), "qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-smp", "1"]
    command += ["-m", "384", "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-serial", "stdio"]
    command += ["-name", "hidden-steal,debug-threads=on", "-kernel", options.kernel, "-initrd", options.initramfs]
    command += ["-append", "console=ttyS0 quiet panic=-1 tsc=reliable"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace")


def grown(before, after, only=""):
    """What the threads that are in both ran and waited between the two, in ns."""
    kept = [task for task in after if task in before and only in after[task][0]]
    return [sum(after[task][field] - before[task][field] for task in kept) for field in (1, 2)]


def one(options, nice):
    machine, beside = guest(options), None
    marks, said = {}, {"begin": [], "end": []}
    part = None

    def mark(word, rest=""):
        marks[word] = (time.monotonic_ns(), threads(machine.pid), rest)

    try:
        for line in machine.stdout:
            line = line.rstrip("\r\n")
            if line.startswith("bursts "):
                mark(line)
            elif "MARK " in line:
                word, _, rest = line.split("MARK ", 1)[1].partition(" ")
                mark(word, rest)
                part = word if word in said else None
            elif part:
                said[part].append(line)
            if "MARK ready" in line:
                beside = spinner(nice, options.cpu)
                time.sleep(1)
                machine.stdin.write(f"{options.seconds}\n")
                machine.stdin.flush()
        machine.wait()
    finally:
        end(beside)
        end(machine)
    if "done" not in marks:
        sys.exit("the guest did not get to its end; it said:\n" + "\n".join(said["begin"] + said["end"]))
    wall = marks["end"][0] - marks["begin"][0]
    host = {
        "all": grown(marks["begin"][1], marks["end"][1])[1] / wall,
        "cpu": grown(marks["begin"][1], marks["end"][1], VCPU)[1] / wall,
    }
    run, _ = grown(marks["bursts begin"][1], marks["bursts end"][1], VCPU)
    _, delay = grown(marks["bursts begin"][1], marks["bursts end"][1])
    # A CPU that sleeps between bursts loses of the time that it wants; another thread of QEMU has to wake it.
    host["bursts"] = delay / (run + delay)
    report = json.loads("".join(said["begin"][said["begin"].index("{"):]))
    light = json.loads(next(line for line in said["end"] if line.startswith("{")))
    return report, light, host, marks["stat"][2].split()[8]


def main():
    options = arguments()
    bad = False
    print(f"CPU {options.cpu}, {options.seconds} s each. Shares of the time: what the host knows that QEMU's threads waited (all, and the")
    print("one that is the guest's CPU), and what the guest found hidden, by a full spin and by bursts of 2 % of its CPU.")
    print(f"{'beside':<9}{'host all':>10}{'its CPU':>10}{'guest':>10}{'off all':>9}{'off CPU':>9}{'stat':>6}   {'in bursts: host':>15}{'guest':>9}{'off':>8}")
    for _ in range(options.rounds):
        for name, nice in [("nothing", None), ("nice 10", 10), ("nice 0", 0)]:
            report, light, host, ticks = one(options, nice)
            hidden = report["causes"]["unexplained"]["share"]
            off = {which: hidden / host[which] - 1 for which in ("all", "cpu")}
            off_bursts = light["bursts"] / host["bursts"] - 1
            print(
                f"{name:<9}{host['all']:>10.2%}{host['cpu']:>10.2%}{hidden:>10.2%}{off['all']:>+9.1%}{off['cpu']:>+9.1%}{ticks:>6}"
                f"   {host['bursts']:>15.2%}{light['bursts']:>9.2%}{off_bursts:>+8.1%}"
            )
            parts = ", ".join(f"{cause} {of['share']:.2%}" for cause, of in report["causes"].items())
            print(f"         guest: lost {report['share']:.2%} = {parts}; a look every {report['look_ns']} ns, "
                  f"interrupts of {report['interrupt_usual_ns']} ns up to {report['interrupt_bound_ns']} ns")
            sys.stdout.flush()
            bad = bad or (nice == 0 and abs(off["cpu"]) > BAR)
    sys.exit(1 if bad else 0)


main()
