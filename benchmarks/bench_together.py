"""Pictures an hour of `generate --count`, one after the other and together: scripts/bench_together

The two take turns, each in a process of its own that loads the models; their ratio is what counts. Peaks of memory
stand beside what `--plan` had said.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VQCLIP = Path(sys.executable).parent / "vqclip"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--preset", default="draft")
    options = parser.parse_args()
    words = ["generate", "a red apple", "--preset", options.preset, "--count", str(options.count)]
    ways = {"alone": [*words, "--batch-size", "1"], "together": words}
    seeds = itertools.count(1, options.count)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, command in ways.items():
            seconds, peak = paint([*command, "--seed", str(next(seeds))])
            rates[name].append(3600 * options.count / seconds)
            peaks[name].append(peak)
    for name, command in ways.items():
        plan = json.loads(subprocess.check_output([VQCLIP, *command, "--plan", "--json", "-q"]))
        print(
            f"{name:9} {statistics.median(rates[name]):5.0f} images an hour, {plan['together']}, "
            f"peak {statistics.median(peaks[name]):.2f} GiB, planned {plan['memory']}"
        )
    ratios = [several / single for single, several in zip(*rates.values(), strict=True)]
    print(f"{options.preset}, {options.count} images: {statistics.median(ratios):.2f} times as many together")


def paint(command: list[str]) -> tuple[float, float]:
    """Seconds and peak GiB of one process; all that it writes is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        child = subprocess.Popen([VQCLIP, *command, "-q", "--runs", folder], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"vqclip {' '.join(command)} failed")
    return seconds, usage.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
