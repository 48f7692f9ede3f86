"""Measure vqclip against the plain loop of its peers, on this machine's CPU or a GPU: scripts/bench [--device cuda]

One table: seconds a step, images an hour (150 steps each), peak memory of a fresh process and what --plan said of it,
time to help and to the first step (in brackets as a multiple of importing torch and reading the weights), operations a
step, and their share of what the machine's matrix products reach in the same run, in fp32 or bf16, whichever is faster.
Every figure is a median of rounds in which all take turns, every ratio one of ratios within a round, so that other work
on the machine harms both sides alike.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.cases import CASES, SMOKE, Case, sizes_and_crops
from benchmarks.rounds import LOOPS, bench
from benchmarks.show import plot, table

error = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    parser.add_argument("--case", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--smoke", action="store_true", help="one round of a case of seconds, to see that all works"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="instead, memory by size and by crops, as two SVGs"
    )
    parser.add_argument(
        "--device", help="as cuda: steps, memory and launches there, instead of whole processes on the CPU"
    )
    options = parser.parse_args()
    if options.plots:
        draw_plots(options.plots, options.smoke)
        return
    cases = [SMOKE] if options.smoke else [case for case in CASES if case.name in options.case]
    if options.device:
        bench_on_device(cases, options)
        return
    with bench(cases, error.print) as ready:
        rounds = 1 if options.smoke else options.rounds
        told = ready.summary([ready.round(backwards=bool(k % 2)) for k in range(rounds)])
    if options.json:
        print(json.dumps({"peaks": ready.peaks, "cases": told}, indent=2))
        return
    Console(width=120).print(table(told))
    for kind, peak in ready.peaks.items():
        print(f"matrix products in {kind}: {peak / 1e9:.0f} GFLOP/s")


def bench_on_device(cases: Sequence[Case], options: argparse.Namespace) -> None:
    from benchmarks import bench_device  # noqa: PLC0415  # torch: see rounds.py

    with tempfile.TemporaryDirectory(prefix="vqclip-bench-") as folder:
        told = bench_device.measure(cases, options.device, Path(folder), options.smoke)
    if options.json:
        print(json.dumps({"cases": told}, indent=2))
    else:
        Console(width=120).print(bench_device.table(told))


def draw_plots(folder: Path, smoke: bool) -> None:
    sides, crops = sizes_and_crops(smoke)
    with bench([*sides, *crops], error.print) as ready:
        told = ready.summary([ready.round(backwards=False)])
    for file, title, cases in (
        ("memory-size.svg", "GiB at their peak, by the picture's side in pixels", sides),
        ("memory-crops.svg", "GiB at their peak at 256 px, by the number of crops", crops),
    ):
        (folder / file).write_text(
            plot(title, {loop: line(told, loop, cases) for loop in LOOPS}), encoding="utf-8"
        )


def line(
    told: dict[str, dict[str, dict[str, float]]], loop: str, cases: Sequence[Case]
) -> list[tuple[float, float]]:
    """The points of one loop; it ends where memory did."""
    found = [(float(case.name.split()[1]), told[case.name][loop]) for case in cases]
    return [(x, figures["memory"] / 2**30) for x, figures in found if "memory" in figures]


if __name__ == "__main__":
    main()
