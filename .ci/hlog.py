"""Reads an interval log with the public HdrHistogram library and compares it with the summary of the same load:
hlog.py LOG.hlog LOAD.json"""

import json
import math
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

log, summary = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
merged = {tag: HdrHistogram(1, 3_600_000_000_000, 3) for tag in ("response", "service")}
intervals, latest_ms = dict.fromkeys(merged, 0), 0
reader = HistogramLogReader(log, HdrHistogram(1, 3_600_000_000_000, 3))
while (interval := reader.get_next_interval_histogram()) is not None:
    tag = interval.get_tag()
    start_ms, end_ms = interval.get_start_time_stamp(), interval.get_end_time_stamp()
    assert latest_ms <= start_ms <= end_ms, (intervals, latest_ms, start_ms, end_ms)
    latest_ms = start_ms
    intervals[tag] += 1
    merged[tag].add(interval)
reader.close()

# The column for people: milliseconds, and of the histogram beside it.
with open(log, encoding="utf-8") as lines:
    for line in lines:
        if line.startswith("Tag="):
            _, _, _, max_ms, encoded = line.strip().split(",")
            max_ns = HdrHistogram.decode(encoded).get_max_value()
            assert abs(float(max_ms) * 1e6 - max_ns) <= 0.001 * max_ns, (max_ms, max_ns)

assert intervals["response"] == intervals["service"] > 0, intervals
for tag, count in [("response", summary["due"]), ("service", summary["sent"])]:
    assert merged[tag].get_total_count() == count > 0, (tag, merged[tag].get_total_count(), count)
    for name, quantile in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)]:
        # By the rank: of 1029 values ours takes the 927th for p90 and theirs rounds to the 926th, in a sparse tail
        # another value altogether.
        theirs = merged[tag].get_value_at_percentile(100 * math.ceil(quantile * count) / count)
        ours = summary[f"{tag}_ns"][name]
        assert abs(theirs - ours) <= 0.001 * ours, (tag, name, theirs, ours)
        print(f"{tag} {name}: {ours} ns here, {theirs} ns there")
print(f"{intervals['response']} intervals, the first at {reader.get_start_time_sec():.3f} s since 1970")
