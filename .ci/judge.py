"""Judges a run directory by its findings: judge.py RUN CLAIM...; exits with 1 at the first claim that does not hold."""

import json
import pathlib
import sys


def cells(findings, **factors):
    return [c for c in findings["cells"] if all(c["factors"][k] == v for k, v in factors.items())]


def no_failures(run, findings):
    for path in sorted(run.glob("trials/*/trial.json")):
        load = json.loads(path.read_text())["load"]
        answered = load["outcomes"]["answered"]
        assert load["due"] == load["answered"] == answered.get("200"), (path.name, load["outcomes"])
    sealed = len(list(run.glob("trials/*/trial.json")))
    planned = len(json.loads((run / "run.json").read_text())["trials"])
    assert sealed == planned > 0, f"{sealed} of {planned} trials"
    return f"{sealed} trials, every request answered with 200"


def mtls_proven(run, findings):
    proven = 0
    for path in sorted(run.glob("trials/*/trial.json")):
        trial = json.loads(path.read_text())
        sidecars = [p["name"] for p in trial["parts"] if p["role"] == "sidecar"]
        for name in sidecars:
            claims = [p for p in trial["proofs"] if p["part"] == name and "mTLS" in p["claim"]]
            assert claims, f"{trial['id']}: no proof of mTLS for {name}"
            proven += len(claims)
    assert proven > 0, "no sidecar at all"
    return f"{proven} proofs of mTLS"


def positive_tax(run, findings, dataplane):
    [cell] = cells(findings, dataplane=dataplane, cpu_limit="none")
    [tax] = [t for t in findings["taxes"] if t["cell"] == cell["id"]]
    p50 = tax["response_ns"]["p50"]["difference"]
    assert p50["low"] > 0, p50
    said = {k: round(p50[k] / 1e6, 3) for k in ("value", "low", "high")}
    return f"{dataplane} adds {said['value']} ms [{said['low']}, {said['high']}] at p50, level {p50['level']}, n {p50['n']}"


def throttled(run, findings, limit):
    [cell] = cells(findings, cpu_limit=limit)
    periods = cell["proxies"]["throttled_periods"]
    assert periods["value"] > 0, periods
    return f"{periods['value']:.0f} throttled periods a trial and proxy"


def p99_times(run, findings, limit, times):
    [limited] = cells(findings, cpu_limit=limit)
    [free] = cells(findings, cpu_limit="none")
    a, b = limited["response_ns"]["p99"]["value"], free["response_ns"]["p99"]["value"]
    assert a >= float(times) * b, f"p99 {a / 1e6:.1f} ms against {b / 1e6:.1f} ms"
    return f"p99 {a / 1e6:.1f} ms against {b / 1e6:.1f} ms without a limit: {a / b:.0f} times"


def nothing_between_twins(run, findings):
    [tax] = [t for t in findings["taxes"] if t.get("kind") == "aa"]
    said = []
    for q in ("p50", "p99"):
        d = tax["response_ns"][q]["difference"]
        assert d["low"] <= 0 <= d["high"], (q, d)
        said.append(f"{q} [{d['low'] / 1e6:.3f}, {d['high'] / 1e6:.3f}] ms at level {d['level']:.3f}")
    return "the interval holds 0: " + ", ".join(said)


def main():
    run = pathlib.Path(sys.argv[1])
    findings = json.loads((run / "findings.json").read_text())
    for claim in sys.argv[2:]:
        name, *arguments = claim.split(":")
        print(f"{claim}: {globals()[name.replace('-', '_')](run, findings, *arguments)}")


main()
