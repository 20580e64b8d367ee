"""What peers.sh runs: starts the servers, runs the generators in turn, reads their results and prints the ratios."""

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

SERVER_CPU, GENERATOR_CPU = 0, 1
NOISY = 0.3  # CPUs that others use during a run, from which on it is marked
TICK = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)
started = []  # every process of ours that may still run


class Failed(Exception):
    """A tool that could not run, with what it said."""


# -- processes


def start(argv, cpu, **streams):
    """Starts a process on one CPU that ends when we do."""

    def in_child():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, {cpu})

    process = subprocess.Popen(argv, preexec_fn=in_child, **streams)
    started.append(process)
    return process


def end(process):
    """Ends a process of ours by its id, and waits for it."""
    if process in started:
        started.remove(process)
    if process.returncode is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def busy_seconds():
    """CPU seconds that this machine has been busy, or was not given by its host."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def cpu_seconds(pid):
    """CPU seconds of a process that runs."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def own_seconds():
    """CPU seconds of this driver."""
    times = os.times()
    return times.user + times.system


def has_ended(process):
    """Whether a process has ended; it is still there to be waited for."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def run(argv, temp, limit_s, server_pid, meanwhile=lambda process: None):
    """Runs a generator to its end: its output, its CPU, the server's and that of others.

    `meanwhile` is called with the process once it runs, and should return before it has ended or soon after.
    """
    out_path, err_path = os.path.join(temp, "out"), os.path.join(temp, "err")
    with open(out_path, "wb") as out, open(err_path, "wb") as err:
        before = time.monotonic(), busy_seconds(), cpu_seconds(server_pid), own_seconds()
        process = start(argv, GENERATOR_CPU, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        meanwhile(process)
        pid = 0
        while pid == 0:
            # By wait4, for the usage of this child alone.
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid == 0:
                if time.monotonic() - before[0] > limit_s:
                    process.kill()
                time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        started.remove(process)
        after = time.monotonic(), busy_seconds(), cpu_seconds(server_pid), own_seconds()
    lasted, busy, server, own = (b - a for a, b in zip(before, after))
    cpu = usage.ru_utime + usage.ru_stime
    with open(out_path, encoding="utf-8", errors="replace") as out:
        stdout = out.read()
    if process.returncode != 0:
        with open(err_path, encoding="utf-8", errors="replace") as err:
            said = [line for line in err.read().splitlines() + stdout.splitlines() if line.strip()] or ["nothing"]
        raise Failed(f"ended with {process.returncode} and said: {said[0]}")
    return stdout, {"cpu": cpu, "server_cpu": server, "foreign": max(0.0, (busy - cpu - server - own) / lasted)}


# -- servers


def free_ports(count):
    """Ports that nobody has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start_nginx(temp, connections=4096):
    """One process of nginx for so many connections: its process, and its addresses for HTTP/1.1, h2c and TLS."""
    plain, h2c, tls = free_ports(3)
    key, cert = os.path.join(temp, "key.pem"), os.path.join(temp, "cert.pem")
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split()
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    places = "".join(f"{name}_temp_path {temp}/{name};" for name in "client_body proxy fastcgi uwsgi scgi".split())
    answer = 'location / { return 200 "ok\\n"; }'
    conf = os.path.join(temp, "nginx.conf")
    with open(conf, "w", encoding="ascii") as file:
        # Without a master: one process, which is the worker, and ends when told.
        file.write(
            f"""daemon off; master_process off; worker_processes 1; pid {temp}/nginx.pid;
error_log {temp}/error.log; events {{ worker_connections {connections}; }}
http {{
  access_log off; default_type text/plain; keepalive_timeout 1h; keepalive_requests 1000000000; {places}
  server {{ listen 127.0.0.1:{plain}; {answer} }}
  server {{ listen 127.0.0.1:{h2c} http2; {answer} }}
  server {{ listen 127.0.0.1:{tls} ssl; ssl_protocols TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};
            {answer} }}
}}
"""
        )
    with open(os.path.join(temp, "nginx.err"), "wb") as err:
        nginx = start(["nginx", "-p", temp, "-c", conf, "-e", f"{temp}/error.log"], SERVER_CPU, stderr=err)
    for port in (plain, h2c, tls):
        until = time.monotonic() + 5
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError as error:
                if nginx.poll() is not None or time.monotonic() > until:
                    with open(os.path.join(temp, "error.log"), encoding="utf-8") as log:
                        sys.exit(f"nginx does not serve port {port}: {error}\n{log.read()}")
                time.sleep(0.05)
    return nginx, {
        "http": f"http://127.0.0.1:{plain}/",
        "h2c": f"http://127.0.0.1:{h2c}/",
        "https": f"https://127.0.0.1:{tls}/",
    }


def start_recorder(rate):
    """The recording server for arrivals at a rate, and its address. The first half second is not recorded."""
    argv = [os.environ["RECORDING_SERVER"], "--rate", str(rate), "--skip", str(rate // 2), "--cpu", str(SERVER_CPU)]
    recorder = start(argv, SERVER_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return recorder, f"http://{json.loads(recorder.stdout.readline())['listen']}/"


def recorded(recorder):
    """What the recording server saw; it ends."""
    said, _ = recorder.communicate(timeout=30)
    end(recorder)
    seen = json.loads(said)
    if "gap_ns" not in seen:
        raise Failed(f"the server saw {seen['count']} requests after the first {seen['skipped']}")
    return {
        "per_second": seen["rate"],
        "gap_p50": seen["gap_ns"]["p50"] / 1e3,
        "gap_p99": seen["gap_ns"]["p99"] / 1e3,
        "burst": seen["burst_share"] * 100,
        "dispersion": seen["index_of_dispersion"],
        "late_p50": seen["lateness_ns"]["p50"] / 1e3,
        "late_p99": seen["lateness_ns"]["p99"] / 1e3,
        "late_max": seen["lateness_ns"]["max"] / 1e3,
    }


# -- what the tools say: requests answered well, those that failed, per second, p50 and p99 in ms


def read_meshtax(text):
    s = json.loads(text)
    answered = s["outcomes"].pop("answered")
    good = sum(n for status, n in answered.items() if status.startswith("2"))
    bad = sum(answered.values()) - good + sum(s["outcomes"].values()) + s["unsent"]
    times = {q: s["response_ns"][q] / 1e6 for q in ("p50", "p99")}
    return {"requests": good, "failed": bad, "per_second": s["achieved_per_second"], **times}


def read_oha(text):
    s = json.loads(text)
    good = sum(n for status, n in s["statusCodeDistribution"].items() if status.startswith("2"))
    # At its end it cuts off what is on its way, once per connection, and calls that an error.
    bad = sum(n for what, n in s["errorDistribution"].items() if "deadline" not in what)
    bad += sum(s["statusCodeDistribution"].values()) - good
    times = {q: s["latencyPercentiles"][q] * 1e3 for q in ("p50", "p99")}
    return {"requests": good, "failed": bad, "per_second": good / s["summary"]["total"], **times}


def read_fortio(text):
    s = json.loads(text)
    good = s["RetCodes"].get("200", 0)
    values = {p["Percentile"]: p["Value"] * 1e3 for p in s["DurationHistogram"]["Percentiles"]}
    bad = sum(s["RetCodes"].values()) - good
    return {"requests": good, "failed": bad, "per_second": s["ActualQPS"], "p50": values[50], "p99": values[99]}


def read_wrk(text):
    total = int(re.search(r"(\d+) requests in", text)[1])
    bad = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    bad += sum(int(n) for line in re.findall(r"Socket errors: (.*)", text) for n in re.findall(r"\d+", line))
    found = {"requests": total - bad, "failed": bad, "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])}
    for name, percent in (("p50", "50"), ("p99", "99")):
        value = re.search(rf"^\s+{percent}(?:\.000)?%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.M)
        if value:
            found[name] = float(value[1]) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[value[2]]
    return found


def read_wrk2_at_most(text):
    # Its plan can't be kept, so its times are those of the backlog.
    return {name: value for name, value in read_wrk(text).items() if name not in ("p50", "p99")}


def read_h2load(text):
    good, failed, errored = map(int, re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", text).groups())
    per_second = float(re.search(r"finished in .*?, ([\d.]+) req/s", text)[1])
    return {"requests": good, "failed": failed + errored, "per_second": per_second}


# -- what is run


def meshtax(*options):
    return [os.environ["MESHTAX"], "load", *options, "--format", "json"]


def oha(*options):
    # Its default is a thread for each core of the machine, whatever CPU it is kept on.
    return ["oha", "--no-tui", "--output-format", "json", "--worker-threads", "1", *options]


def fortio(*options):
    # Its own buckets of 1 ms would hide what there is to see here.
    return ["fortio", "load", "-quiet", "-r", "0.00005", "-p", "50,99", "-json", "-", *options]


def at_most(url, s, ours, theirs):
    """HTTP/1.1 at the maximum over 32 connections."""
    return {
        "meshtax": (meshtax(url, "--rate", "max", "--connections", "32", "--duration", f"{s}s", *ours), read_meshtax),
        "wrk": (["wrk", "-t1", "-c32", f"-d{s}s", "--latency", url], read_wrk),
        "wrk2": (["wrk2", "-t1", "-c32", f"-d{s}s", "-R1000000", url], read_wrk2_at_most),
        "h2load": (["h2load", "--h1", "-c32", "-t1", "-D", str(s), url], read_h2load),
        "oha": (oha("-z", f"{s}s", "-c", "32", *theirs["oha"], url), read_oha),
        "fortio": (fortio("-qps", "0", "-c", "32", "-t", f"{s}s", *theirs["fortio"], url), read_fortio),
    }


def mode_max(urls, s):
    return at_most(urls["http"], s, ["--cpus", "1"], {"oha": [], "fortio": []})


def mode_tls(urls, s):
    return at_most(urls["https"], s, ["--cpus", "1", "--insecure"], {"oha": ["--insecure"], "fortio": ["-k"]})


def mode_h2(urls, s):
    url = urls["h2c"]
    ours = ["--http2", "--connections", "8", "--streams", "10", "--rate", "max", "--cpus", "1"]
    return {
        "meshtax": (meshtax(url, *ours, "--duration", f"{s}s"), read_meshtax),
        "h2load": (["h2load", "-c8", "-m10", "-t1", "-D", str(s), url], read_h2load),
        "oha": (oha("-z", f"{s}s", "--http2", "-c", "8", "-p", "10", url), read_oha),
        # It has no streams of one connection to ask for.
        "fortio": (fortio("-qps", "0", "-h2", "-c", "80", "-t", f"{s}s", url), read_fortio),
    }


def at_rate(url, s, rate, wrk2_s):
    """A rate over 32 connections."""
    ours = [url, "--rate", str(rate), "--connections", "32", "--duration", f"{s}s", "--pace"]
    return {
        "meshtax hybrid": (meshtax(*ours, "hybrid"), read_meshtax),
        "meshtax economy": (meshtax(*ours, "economy"), read_meshtax),
        "wrk2": (["wrk2", "-t1", "-c32", f"-d{wrk2_s}s", f"-R{rate}", "--latency", url], read_wrk),
        "h2load": (["h2load", "--h1", "-c32", "-t1", "-D", str(s), f"--rps={rate / 32}", url], read_h2load),
        "oha": (oha("-z", f"{s}s", "-c", "32", "-q", str(rate), url), read_oha),
        "oha corrected": (oha("-z", f"{s}s", "-c", "32", "-q", str(rate), "--latency-correction", url), read_oha),
        "fortio": (fortio("-qps", str(rate), "-c", "32", "-t", f"{s}s", url), read_fortio),
    }


def mode_rate(urls, s):
    # wrk2 forgets its first 10 s.
    return at_rate(urls["http"], s, 10_000, s + 10)


MODES = {
    "max": ("HTTP/1.1 as fast as it goes, 32 connections", mode_max),
    "h2": ("HTTP/2 in cleartext as fast as it goes, 8 connections of 10 streams", mode_h2),
    "tls": ("HTTP/1.1 over TLS 1.3 as fast as it goes, 32 connections", mode_tls),
    "rate": ("10 000/s, 32 connections", mode_rate),
}
# name in the results, title, digits, whether a ratio is printed
SPEED = [
    ("per_second", "req/s", 0, True),
    ("cpu_100k", "CPU-s/100k", 3, True),
    ("p50", "p50 ms", 3, True),
    ("p99", "p99 ms", 3, True),
    ("server_100k", "server CPU-s/100k", 3, False),
    ("foreign", "foreign CPUs", 2, False),
]
ARRIVALS = [
    ("per_second", "arrivals/s", 1, False),
    ("gap_p50", "gap p50 us", 1, False),
    ("gap_p99", "gap p99 us", 1, False),
    ("burst", "burst %", 1, False),
    ("dispersion", "IoD", 2, False),
    ("late_p50", "late p50 us", 0, False),
    ("late_p99", "late p99 us", 0, True),
    ("late_max", "late max us", 0, False),
    ("cpu_100k", "CPU-s/100k", 2, True),
    ("foreign", "foreign CPUs", 2, False),
]


# -- rounds


def spread(values, digits):
    """Median [lowest-highest]."""
    if not values:
        return "-"
    middle, low, high = (f"{v:,.{digits}f}" for v in (statistics.median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} [{low}-{high}]"


def table(rows):
    """Prints rows of cells in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def rounds(title, columns, tools, repeats, measure):
    """Measures every tool once a round, in an order that rotates, and prints what came out."""
    print(f"\n== {title}; rounds: {repeats}", flush=True)
    results = {name: {} for name in tools}
    out_of_it = set()
    names = list(tools)
    for i in range(repeats):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            if name in out_of_it:
                continue
            try:
                found = measure(*tools[name])
            except (Failed, ValueError, KeyError, TypeError) as error:
                # Most likely an option that this version of it has not, so that more rounds would not help.
                why = error if isinstance(error, Failed) else f"its result can't be read: {error!r}"
                print(f"  {name} is left out from here: {why}", flush=True)
                out_of_it.add(name)
                continue
            results[name][i] = found
            line = ", ".join(f"{t} {found[k]:,.{d}f}" for k, t, d, _ in columns if found.get(k) is not None)
            marks = "  NOISY: others were using the CPUs" if found["foreign"] > NOISY else ""
            marks += f"  FAILED: {found['failed']} requests" if found["failed"] else ""
            print(f"  round {i + 1} {name}: {line}{marks}", flush=True)
    results = {name: of_round for name, of_round in results.items() if of_round}
    if not results:
        return
    print()
    rows = [["", *(t for _, t, _, _ in columns), "noisy"]]
    for name, of_round in results.items():
        found = list(of_round.values())
        cells = [spread([f[k] for f in found if f.get(k) is not None], d) for k, _, d, _ in columns]
        rows.append([name, *cells, f"{sum(f['foreign'] > NOISY for f in found)}/{len(found)}"])
    table(rows)
    ratios = [["ours / peer", *(t for _, t, _, ratio in columns if ratio)]]
    for ours in (name for name in results if name.startswith("meshtax")):
        for peer in (name for name in results if not name.startswith("meshtax")):
            both = [(results[ours][i], results[peer][i]) for i in results[ours] if i in results[peer]]
            cells = [
                spread([a[k] / b[k] for a, b in both if a.get(k) is not None and b.get(k)], 2)
                for k, _, _, ratio in columns
                if ratio
            ]
            ratios.append([f"{ours} / {peer}", *cells])
    if len(ratios) > 1:
        print()
        table(ratios)


def with_cpu(found, usage):
    """A tool's own figures with those taken from outside."""
    per_100k = 1e5 / max(1, found["requests"])
    return {
        **found,
        "cpu_100k": usage["cpu"] * per_100k,
        "server_100k": usage["server_cpu"] * per_100k,
        "foreign": usage["foreign"],
    }


def measure_modes(modes, chosen, args):
    """The modes with nginx as the server."""
    nginx, urls = start_nginx(args.temp)
    for mode in modes:
        title, commands = MODES[mode]

        def measure(argv, read):
            stdout, usage = run(argv, args.temp, 3 * args.seconds + 60, nginx.pid)
            return with_cpu(read(stdout), usage)

        rounds(f"{mode}: {title}, {args.seconds} s", SPEED, chosen(commands(urls, args.seconds)), args.repeats, measure)
    end(nginx)


def measure_arrivals(chosen, args):
    """Arrivals as the recording server stamps them; each run has its own."""
    for rate in (1_000, 10_000):

        def measure(argv, read, rate=rate):
            recorder, url = start_recorder(rate)
            try:
                argv = [url if word == "URL" else word for word in argv]
                stdout, usage = run(argv, args.temp, 3 * args.seconds + 60, recorder.pid)
                return {**with_cpu(read(stdout), usage), **recorded(recorder)}
            finally:
                end(recorder)

        title = f"arrivals: {rate:,}/s, 32 connections, {args.seconds} s, as the server sees them"
        rounds(title, ARRIVALS, chosen(at_rate("URL", args.seconds, rate, args.seconds)), args.repeats, measure)


def set_up(prog):
    """What holds for every driver: it ends with its script, and has its CPUs and a program to measure."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not {SERVER_CPU, GENERATOR_CPU} <= os.sched_getaffinity(0):
        sys.exit(f"{prog} needs CPUs 0 and 1, one for the server and one for the generator")
    if not os.access(os.environ["MESHTAX"], os.X_OK):
        sys.exit(f"{os.environ['MESHTAX']} is no program; MESHTAX=path says which to measure")


def tidy_up(temp):
    """Ends what still runs of ours, and removes what it left."""
    for process in list(started):
        end(process)
    shutil.rmtree(temp, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="peers.sh")
    parser.add_argument("modes", nargs="+", choices=[*MODES, "arrivals", "all"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", help="tools to run, such as meshtax,wrk")
    parser.add_argument("--temp", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (1 <= args.repeats <= 100 and 1 <= args.seconds <= 300):
        parser.error("--repeats is from 1 to 100, --seconds from 1 to 300")
    set_up("peers.sh")

    peers = ["wrk", "wrk2", "h2load", "oha", "fortio"]
    here = [name for name in peers if shutil.which(name)]
    print(f"meshtax: {os.environ['MESHTAX']}; peers: {', '.join(here) or 'none'}", end="")
    print("; not here: " + ", ".join(absent) if (absent := [p for p in peers if p not in here]) else "")
    print("Each cell: the median [lowest-highest]. p50 and p99 are what each tool says itself.", flush=True)
    only = args.only.split(",") if args.only else ["meshtax", *here]

    def chosen(tools):
        return {n: t for n, t in tools.items() if n.split()[0] in only and n.split()[0] in ("meshtax", *here)}

    modes = [*MODES, "arrivals"] if "all" in args.modes else list(dict.fromkeys(args.modes))
    try:
        if with_nginx := [mode for mode in modes if mode != "arrivals"]:
            measure_modes(with_nginx, chosen, args)
        if "arrivals" in modes:
            measure_arrivals(chosen, args)
    finally:
        tidy_up(args.temp)


if __name__ == "__main__":
    main()
