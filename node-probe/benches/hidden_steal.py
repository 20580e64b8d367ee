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


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initramfs", required=True)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    return parser.parse_args()


def delays(pid):
    """Run delay of each thread of a process, by its name: schedstat's second field, in ns."""
    found = {}
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(f"{task}/schedstat") as schedstat, open(f"{task}/comm") as comm:
                found[task] = (comm.read().strip(), int(schedstat.read().split()[1]))
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


def grown(before, after, only=None):
    """What the run delay of the threads in both grew by, in ns."""
    return sum(
        after[task][1] - before[task][1] for task in after if task in before and (only is None or only in after[task][0])
    )


def one(options, nice):
    machine, beside = guest(options), None
    marks, text = {}, {"begin": [], "end": []}
    part = None
    try:
        for line in machine.stdout:
            line = line.rstrip("\r\n")
            if "MARK " not in line:
                if part:
                    text[part].append(line)
                continue
            word, _, rest = line.split("MARK ", 1)[1].partition(" ")
            marks[word] = (time.monotonic_ns(), delays(machine.pid), rest)
            part = word if word in text else None
            if word == "ready":
                beside = spinner(nice, options.cpu)
                time.sleep(1)
                machine.stdin.write(f"{options.seconds}\n")
                machine.stdin.flush()
        machine.wait()
    finally:
        end(beside)
        end(machine)
    if "done" not in marks:
        sys.exit("the guest did not get to its end; it said:\n" + "\n".join(text["begin"] + text["end"]))
    report = json.loads("".join(text["begin"][text["begin"].index("{"):]))
    light = json.loads(next(line for line in text["end"] if line.startswith("{")))
    wall = marks["end"][0] - marks["begin"][0]
    all_threads = grown(marks["begin"][1], marks["end"][1]) / wall
    cpu_thread = grown(marks["begin"][1], marks["end"][1], "CPU 0/TCG") / wall
    return report, light, all_threads, cpu_thread, marks["stat"][2].split()[8]


def main():
    options = arguments()
    bad = False
    print(f"CPU {options.cpu}; shares of the time; {options.seconds} s each")
    print("beside      host: all threads   host: its CPU's   guest: lost   of it hidden   off by   stat's steal   light form: full / bursts")
    for _ in range(options.rounds):
        for name, nice in [("nothing", None), ("nice 10", 10), ("nice 0", 0)]:
            report, light, all_threads, cpu_thread, ticks = one(options, nice)
            causes = report["causes"]
            hidden = causes["unexplained"]["share"]
            off = hidden / all_threads - 1
            full = (light["full_before"] + light["full_after"]) / 2
            print(
                f"{name:<10} {all_threads:>17.2%} {cpu_thread:>17.2%} {report['share']:>13.2%} {hidden:>14.2%} {off:>+8.1%}"
                f" {ticks:>14}   {full:.2%} / {light['bursts']:.2%}"
            )
            parts = ", ".join(f"{cause} {of['share']:.2%}" for cause, of in causes.items())
            print(f"           guest: {parts}; a look every {report['look_ns']} ns, interrupts up to {report['interrupt_bound_ns']} ns")
            sys.stdout.flush()
            bad = bad or (nice == 0 and abs(off) > BAR)
    sys.exit(1 if bad else 0)


main()
