"""Judges criterion's comparison with the kept baseline: ours.py CRITERION_DIRECTORY [SHARE]; exits with 1 if a bench is shown to be slower.

Shown is what the whole 99 % interval of the change lies above: criterion's own is of 95 %, so it is widened by the ratio of the
normal quantiles. The share that is let pass (10 %) is for what moves between two builds of the same source, as the place of code.
"""

import json
import pathlib
import sys

WIDER = 2.576 / 1.960


def main():
    root = pathlib.Path(sys.argv[1])
    allowed = float(sys.argv[2]) if len(sys.argv) > 2 else 0.10
    changes = sorted(root.glob("**/change/estimates.json"))
    if not changes:
        sys.exit(f"{root}: no comparison in it; were the benches run with --baseline?")
    slower = 0
    for path in changes:
        change = json.loads(path.read_text())["median"]
        value, interval = change["point_estimate"], change["confidence_interval"]
        low = value - (value - interval["lower_bound"]) * WIDER
        high = value + (interval["upper_bound"] - value) * WIDER
        said = "slower" if low > allowed else "as before"
        slower += low > allowed
        name = path.parent.parent.relative_to(root)
        print(f"{said:10} {name}: {value:+.1%} [{low:+.1%}, {high:+.1%}]")
    sys.exit(1 if slower else 0)


main()
