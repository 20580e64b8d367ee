"""Scrapes a probe of meshtax's own twice and reads both formats with the parsers of Prometheus' Python client:
scrape.py PATH-OF-MESHTAX"""

import os
import subprocess
import sys
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def scrape(url, accept, content_type):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=30) as answer:
        assert answer.headers["Content-Type"] == content_type, answer.headers["Content-Type"]
        return answer.read().decode()


def samples(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


watch = ["probe", "--serve", "0", "--every", "50ms", "--pid", f"ci={os.getpid()}"]
probe = subprocess.Popen([sys.argv[1], *watch], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
try:
    url = probe.stderr.readline().split()[-1]
    first = list(parse_open_metrics(scrape(url, "application/openmetrics-text;version=1.0.0", OPEN_METRICS)))
    older = samples(parse_text(scrape(url, "text/plain;version=0.0.4", TEXT)))
    time.sleep(2.5)
    second = list(parse_open_metrics(scrape(url, "*/*", OPEN_METRICS)))
finally:
    probe.terminate()
    ended = probe.wait(timeout=30)
assert ended == 0, ended

for family in first:
    assert family.documentation, f"{family.name} says nothing of itself"
    assert not family.unit or family.name.endswith(f"_{family.unit}"), (family.name, family.unit)
before, after = samples(first), samples(second)
kinds = {family.name: family.type for family in first}
counters = [key for key in before if kinds.get(key[0].removesuffix("_total")) == "counter"]
back = [key for key in counters if key in after and after[key] < before[key]]
# The kernel's own sums of idle and iowait do go backwards at times; what is judged is what we made of the rest.
back = [key for key in back if dict(key[1]).get("mode") not in ("idle", "iowait")]
assert not back, back
for name in ["cpus_seconds_total", "context_switches_total", "probe_rounds_total", "process_run_seconds_total"]:
    name = f"meshtax_node_{name}"
    grown = [key for key in counters if key[0] == name and after.get(key, 0) > before[key]]
    assert grown, f"{name} did not grow"
# What of both is there at all does not depend on the format, nor on the tier that was due.
assert before.keys() == older.keys(), before.keys() ^ older.keys()
ages = {dict(labels)["source"]: age for (name, labels), age in after.items() if name == "meshtax_node_read_age_seconds"}
assert {"stat", "processes", "meminfo", "tcp"} <= ages.keys(), ages
print(f"{len(first)} families, {len(before)} samples, {len(counters)} counters; the oldest {max(ages.values()):.2f} s")
