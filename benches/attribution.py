#!/usr/bin/env python3
"""Whether the stall ledger names what was done to a run: benches/attribution.py PATH-OF-MESHTAX [RUNS] [QUIET] [KIND,KIND..]

One thing at a time is done to short runs (three trials of 4 s, two spells each at moments of a kept seed), from outside and
by process id, and the report must tell it from the run directory alone:

  throttling  a quota of 1 ms in 100 ms on one sidecar's cgroup
  run_queue   eight spinners pinned to each CPU, in a group that outweighs the chain
  stopped     SIGSTOP and SIGCONT to a sidecar or a service
  disk        the file system under the access logs stands still. It is mounted `sync` on a loop device whose backing file
              system is frozen (fsfreeze), so that a write waits in the block layer as for a disk. The proxies are nginx,
              which writes its log in the worker that serves; the built-in sidecar and Envoy write theirs in a thread of
              its own, and no request waits for it
  generator   SIGSTOP and SIGCONT to the load generator

and nothing to the quiet runs, which are an unmeshed chain twice (A/A). A run is right if the cause of its kind has the
largest share, and for `throttling` and `stopped` the part that it was done to is among those named. The truth is the share
of the excess (response time above the quiet level: the lower quartile of the windows' p99) that ended in windows whose
requests were out during a spell, from the raw intervals; the mean over trials.

Other work on the machine is a cause like any other, and would be named. So the chain goes before it, by weight and nice, and
the parts of quiet runs are real-time tasks. It needs root, two CPUs, nginx, zstd and e2fsprogs; half an hour. With KEEP=DIR in
the environment runs are kept there, and those that are there are judged again. Ends with 1 when fewer than nine of ten runs
of a kind are right with a share within 15 points of the truth, or a cause is named in more than one quiet run of twenty."""

import base64
import collections
import ctypes
import glob
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

meshtax = sys.argv[1]
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 10
quiet_runs = int(sys.argv[3]) if len(sys.argv) > 3 else 20
KINDS = ["throttling", "run_queue", "stopped", "disk", "generator"]
kinds = sys.argv[4].split(",") if len(sys.argv) > 4 else KINDS
kept = pathlib.Path(os.environ["KEEP"]) if "KEEP" in os.environ else None
scratch = tempfile.TemporaryDirectory(prefix="attribution-")
base = kept or pathlib.Path(scratch.name)
base.mkdir(parents=True, exist_ok=True)

MEASURE_S, SPELLS = 4.0, 2


def weigh(folder, weight):
    """Gives a group so many times the weight of another group or task."""
    for file, most, one in (("cpu.shares", 262144, 1024), ("cpu.weight", 10000, 100)):
        path = folder / file
        if path.exists():
            path.write_text(str(min(most, weight * one)))


def cgroup_of(pid):
    """The directory of a process's cpu cgroup, version 1 or 2."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for root, wanted in (("/sys/fs/cgroup/cpu", "cpu"), ("/sys/fs/cgroup", "")):
            folder = pathlib.Path(root + path)
            if wanted in controllers.split(",") and (folder / "cgroup.procs").exists() and path != "/":
                return folder
    raise FileNotFoundError(f"process {pid} has no cpu cgroup of its own")


def before_all(tree, parts):
    """Makes the parts of a trial real-time tasks, so that no other work on the machine makes them wait: a quiet run must be
    quiet. On version 1 a group has no right to real time of its own."""
    leaves = [leaf for leaf in tree.iterdir() if leaf.is_dir()] if (tree / "cpu.rt_runtime_us").exists() else []
    if leaves:
        (tree / "cpu.rt_runtime_us").write_text("900000")
    for leaf in leaves:
        (leaf / "cpu.rt_runtime_us").write_text(str(900000 // len(leaves)))
    for pid in parts.values():
        for task in os.listdir(f"/proc/{pid}/task"):
            # The probe's sensor gives way to all, and goes on to.
            if os.sched_getscheduler(int(task)) != os.SCHED_IDLE:
                os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(1))


class Disk:
    """A file system whose disk can be made to stand still."""

    def __init__(self):
        # In memory, so that no other disk has a part in it.
        self.folder = tempfile.mkdtemp(prefix="attribution-disk-", dir="/dev/shm")
        path = pathlib.Path(self.folder)
        self.outer, self.inner = path / "outer", path / "inner"
        self.outer.mkdir(), self.inner.mkdir()
        self.image(path / "outer.img", 160)
        self.call("mount", "-o", "loop", path / "outer.img", self.outer)
        self.image(self.outer / "inner.img", 64)
        self.call("mount", "-o", "loop,sync", self.outer / "inner.img", self.inner)

    def call(self, *command):
        subprocess.run([str(word) for word in command], check=True)

    def image(self, path, mib):
        with open(path, "wb") as file:
            file.write(bytes(mib << 20))
        self.call("mkfs.ext4", "-q", path)

    def begin(self, _parts):
        self.call("fsfreeze", "-f", self.outer)

    def end(self):
        self.call("fsfreeze", "-u", self.outer)

    def close(self):
        self.call("umount", self.inner)
        self.call("umount", self.outer)
        subprocess.run(["rm", "-r", self.folder], check=True)


class Quota:
    def __init__(self):
        self.hurt = set()

    def begin(self, parts):
        self.hurt.add("s1-sidecar")
        self.group = cgroup_of(parts["s1-sidecar"])
        if (self.group / "cpu.max").exists():
            (self.group / "cpu.max").write_text("1000 100000")
        else:
            (self.group / "cpu.cfs_quota_us").write_text("1000")

    def end(self):
        if (self.group / "cpu.max").exists():
            (self.group / "cpu.max").write_text("max 100000")
        else:
            (self.group / "cpu.cfs_quota_us").write_text("-1")

    def close(self):
        pass


class Stop:
    def __init__(self, names):
        self.names, self.turn, self.hurt = names, 0, set()

    def begin(self, parts):
        name = self.names[self.turn % len(self.names)]
        self.pid, self.turn = parts[name], self.turn + 1
        self.hurt.add(name)
        os.kill(self.pid, signal.SIGSTOP)

    def end(self):
        os.kill(self.pid, signal.SIGCONT)

    def close(self):
        pass


class Spinners:
    def __init__(self):
        roots = [pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")]
        self.group = next(r for r in roots if (r / "cgroup.procs").exists()) / f"attribution-{os.getpid()}"
        self.group.mkdir()
        weigh(self.group, 256)
        self.pids = []
        for cpu in os.sched_getaffinity(0):
            for _ in range(8):
                pid = os.fork()
                if pid == 0:
                    # Away from this script's group, which must not have stopped members when its terminal goes.
                    os.setsid()
                    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
                    os.kill(os.getpid(), signal.SIGSTOP)
                    os.sched_setaffinity(0, {cpu})
                    while True:
                        pass
                (self.group / "cgroup.procs").write_text(str(pid))
                self.pids.append(pid)

    def begin(self, _parts):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)

    def end(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def close(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        while (self.group / "cgroup.procs").read_text():
            time.sleep(0.05)
        self.group.rmdir()


MAKE = {
    "throttling": Quota,
    "run_queue": Spinners,
    "stopped": lambda: Stop(["s1-sidecar", "s2", "s2-sidecar", "s1"]),
    "disk": Disk,
    "generator": lambda: Stop(["load"]),
}


def parts_of(runner):
    """The parts of the trial that is going on and their process ids, as its probe was told them."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            pid, parent = int(path.split("/")[2]), int(pathlib.Path(path).read_text().rsplit(")", 1)[1].split()[1])
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if parent == runner and words[1:2] == ["probe"]:
            told = [word for flag, word in zip(words, words[1:]) if flag == "--pid"]
            # The first of a name is its main process.
            parts = {name: int(pid) for name, pid in (word.split("=") for word in reversed(told))}
            return parts | {"probe": pid}
    return {}


class Doer(threading.Thread):
    """Waits for each trial's measured phase and does what is to be done in it."""

    def __init__(self, runner, directory, deed, seed):
        super().__init__(daemon=True)
        # The chain goes before other work, but not before the spinners.
        self.weight = 24 if isinstance(deed, Spinners) else 256
        self.runner, self.directory, self.deed = runner, directory, deed
        self.chance, self.spells, self.failed = random.Random(seed), collections.defaultdict(list), None
        self.quiet = {}

    def measured_from(self, trial):
        """The start of its measured phase, once there is a line of it."""
        try:
            with open(trial / "intervals.jsonl") as lines:
                for line in lines:
                    if line.startswith('{"phase":"measure"') and line.endswith("\n"):
                        return json.loads(line)["start_ns"]
        except OSError:
            pass
        return None

    def run(self):
        try:
            known = set()
            while self.runner.poll() is None:
                time.sleep(0.02)
                for tree in glob.glob(f"/sys/fs/cgroup/cpu/meshtax-{self.runner.pid}-*"):
                    weigh(pathlib.Path(tree), self.weight)
                if self.deed is None:
                    self.quieten()
                for trial in sorted(self.directory.glob("*/trials/*")):
                    if trial.name not in known and (start := self.measured_from(trial)):
                        known.add(trial.name)
                        self.disturb(trial.name, start)
        except Exception as problem:  # The thread's problems are the run's.
            self.failed = problem

    def quieten(self):
        if self.quiet and os.path.exists(f"/proc/{self.quiet['probe']}"):
            return
        parts = parts_of(self.runner.pid)
        if parts and parts != self.quiet:
            for tree in glob.glob(f"/sys/fs/cgroup/cpu/meshtax-{self.runner.pid}-*"):
                before_all(pathlib.Path(tree), parts)
            self.quiet = parts

    def disturb(self, trial, start_ns):
        if self.deed is None:
            return
        parts = parts_of(self.runner.pid)
        slot = (MEASURE_S - 0.5) / SPELLS
        for spell in range(SPELLS):
            length = self.chance.uniform(0.25, 0.4)
            offset = 0.4 + spell * slot + self.chance.uniform(0, slot - length - 0.5)
            until = start_ns + int(offset * 1e9)
            time.sleep(max(0, (until - time.monotonic_ns()) / 1e9))
            began = time.monotonic_ns()
            self.deed.begin(parts)
            try:
                time.sleep(length)
            finally:
                self.deed.end()
            self.spells[trial].append((began, time.monotonic_ns()))


def go_first():
    os.nice(-15)


def make_run(kind, seed):
    """The directory of a run, with the spells of each trial in it; one that was kept is not made again."""
    for made in (base / f"{kind}-{seed}").glob("*/spells.json"):
        return made.parent
    deed = MAKE[kind]() if kind != "quiet" else None
    directory = base / f"{kind}-{seed}"
    # One that was cut off is made again.
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    command = [meshtax, "run", "--services", "2", "--rate", "200", "--connections", "16", "--seed", str(seed)]
    command += ["--warm-up", "1s", "--duration", f"{MEASURE_S:.0f}s", "--repeats", "3", "--out", str(directory)]
    if kind == "quiet":
        command += ["--dataplane", "none", "--aa"]
    elif kind == "disk":
        command += ["--dataplane", "nginx", "--workers", "1", "--access-log", "text", "--access-log-to", "file"]
        command += ["--access-log-dir", str(deed.inner), "--log-flush", "50ms", "--log-flush-kb", "4"]
    else:
        command += ["--dataplane", "embedded", "--workers", "1"]
    runner = None
    try:
        runner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=go_first,
                                  start_new_session=True)
        doer = Doer(runner, directory, deed, seed)
        doer.start()
        said, problems = runner.communicate()
        doer.join()
    finally:
        if runner and runner.poll() is None:
            runner.terminate()
            runner.wait()
        if deed:
            deed.close()
    if runner.returncode != 0 or doer.failed:
        raise RuntimeError(f"{' '.join(command)}\n{problems}\n{doer.failed!r}")
    path = pathlib.Path(said.splitlines()[-1])
    (path / "hurt.json").write_text(json.dumps(sorted(getattr(deed, "hurt", []))))
    # Last, since it says that the run is whole.
    (path / "spells.json").write_text(json.dumps(doer.spells))
    return path


def buckets(text):
    """The values and counts of a histogram: V2, deflated (HdrHistogram's interchange form, 1 ns and three digits)."""
    packed = base64.b64decode(text)
    (length,) = struct.unpack(">i", packed[4:8])
    plain = zlib.decompress(packed[8 : 8 + length])
    (payload,) = struct.unpack(">i", plain[4:8])
    at, index, out, body = 0, 0, [], plain[40 : 40 + payload]
    while at < len(body):
        shift = word = 0
        while True:
            byte = body[at]
            at += 1
            word |= (byte if shift == 56 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift == 63:
                break
        count = (word >> 1) ^ -(word & 1)
        if count < 0:
            index -= count
            continue
        if count:
            half, sub = index // 1024 - 1, index % 1024 + 1024
            out.append((((sub - 1024) if half < 0 else (sub << half)), count))
        index += 1
    return out


def truth(run, spells):
    """The share of the excess that ended in windows touched by a spell; the mean over trials."""
    shares = []
    for trial in sorted((run / "trials").iterdir()):
        text = subprocess.run(["zstd", "-dc", trial / "intervals.jsonl.zst"], check=True, capture_output=True).stdout
        windows = [w for w in map(json.loads, text.splitlines()) if w["phase"] == "measure"]
        windows = [(w["start_ns"], w["start_ns"] + w["length_ns"], buckets(w["response"])) for w in windows]
        windows = [w for w in windows if w[2]]
        levels = []
        for _, _, held in windows:
            need, seen = 0.99 * sum(n for _, n in held), 0
            levels.append(next(v for v, n in held if (seen := seen + n) >= need))
        quiet = sorted(levels)[len(levels) // 4]
        inside = total = 0
        for start, end, held in windows:
            excess = sum(max(0, v - quiet) * n for v, n in held)
            from_ns = start - held[-1][0]
            total += excess
            if any(from_ns < e and b < end for b, e in spells.get(trial.name, [])):
                inside += excess
        shares.append(inside / total if total else 0.0)
    return statistics.mean(shares)


def ledger(run):
    said = subprocess.run([meshtax, "report", str(run), "--format", "json"], check=True, capture_output=True).stdout
    found = json.loads(said)
    return [a for a in found["attribution"] if a["cause"] != "unexplained"]


bad = []
for kind in kinds:
    right = near = 0
    for number in range(runs):
        run = make_run(kind, 100 + number)
        true = truth(run, json.loads((run / "spells.json").read_text()))
        named = sorted(ledger(run), key=lambda a: -a["share_of_tail"]["value"])
        said = ", ".join(f"{a['cause']} {a['share_of_tail']['value']:.0%} ({a.get('part') or '-'})" for a in named)
        first = named[0] if named else {"cause": "nothing", "share_of_tail": {"value": 0}}
        hurt = set(json.loads((run / "hurt.json").read_text())) if (run / "hurt.json").exists() else set()
        is_right = first["cause"] == kind and hurt <= {p["part"] for p in first.get("parts", [])}
        is_near = is_right and abs(first["share_of_tail"]["value"] - true) <= 0.15
        right, near = right + is_right, near + is_near
        print(f"{kind:10} {number + 1:2}: truth {true:.0%}; said {said or 'nothing'}{'' if is_near else '   <--'}", flush=True)
    print(f"{kind:10}: {right} of {runs} first, {near} of {runs} first and within 15 points", flush=True)
    if near < 0.9 * runs:
        bad.append(f"{kind}: {near} of {runs}")
named = collections.Counter()
for number in range(quiet_runs):
    run = make_run("quiet", 500 + number)
    causes = {a["cause"] for a in ledger(run)}
    named.update(causes)
    print(f"quiet      {number + 1:2}: {', '.join(sorted(causes)) or 'nothing named'}", flush=True)
print(f"quiet: {dict(named)} named in {quiet_runs} runs", flush=True)
bad += [f"{cause} named in {n} of {quiet_runs} quiet runs" for cause, n in named.items() if n > max(1, quiet_runs // 20)]
print("\n".join(bad) or "as it was done")
sys.exit(1 if bad else 0)
