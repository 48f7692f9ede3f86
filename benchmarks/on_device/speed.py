"""How fast steps and pictures are on a device, by case, by precision and by how many are painted at once."""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace

from benchmarks.cases import Case
from benchmarks.on_device.pixels import config
from benchmarks.on_device.start_up import answer
from benchmarks.on_device.steps import Measured, measure_plain, measure_vqclip, profile, synchronize
from benchmarks.on_device.table import TARGETS, Check, Row
from vqclip.base import device as devices
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import RenderRequest, render_batch

MIB = 2**20
MEMORY = 0.5  # the most that a step may take of the plain loop's memory
SLOWER = 1.1  # by how much what `auto` takes may be slower than the fastest precision
COUNTS = (1, 2, 4, 8)  # images of --count


def steps(check: Check, case: Case) -> Iterator[Row]:
    """A step's time and memory, and the plain loop's."""
    named = _prepared(check, case)
    ours = check.measured[case.name] = measure_vqclip(named, check.pace, check.device)
    target = TARGETS.get(case.name, float("inf"))
    shown = f"≤ {target:g} ms" if case.name in TARGETS else ""
    yield Row(f"{case.name} step", shown, ms(ours), check.verdict(1000 * ours.seconds <= target))
    plain = measure_plain(named, check.pace, check.device)
    yield Row(f"{case.name} step, plain loop", "", f"{ms(plain)}, × {plain.seconds / ours.seconds:.1f}", "–")
    if ours.memory and plain.memory:
        share = ours.memory / plain.memory
        value = f"{ours.memory / MIB:.0f} of {plain.memory / MIB:.0f} MiB, × {share:.2f}"
        yield Row(f"{case.name} memory", f"≤ × {MEMORY:g}", value, check.verdict(share <= MEMORY))
    else:
        yield Row(f"{case.name} memory", f"≤ × {MEMORY:g}", "this device doesn't tell", "–")


def precisions(check: Check) -> Iterator[Row]:
    """A step's time in each arithmetic that the device has, beside what `auto` takes."""
    pace = replace(check.pace, blocks=min(2, check.pace.blocks))
    for case in check.cases():
        named, fast = _prepared(check, case), devices.strengths(check.device)
        there = {"bfloat16": fast.bfloat16, "float16": fast.float16, "tf32": fast.tf32, "float32": True}
        found = {
            name: measure_vqclip(named, pace, check.device, precision=name)
            for name in there if there[name]
        }  # fmt: skip
        taken = devices.arithmetic("auto", check.device)
        fastest = min(measured.seconds for measured in found.values())
        told = ", ".join(f"{name} {ms(measured)}" for name, measured in found.items())
        word = check.verdict(found[taken].seconds <= SLOWER * fastest)
        target = f"auto's ≤ × {SLOWER:g} of the fastest"
        yield Row(f"{case.name} step by precision", target, f"{told}; auto takes {taken}", word)


def together(check: Check) -> Iterator[Row]:
    """Seconds an image of `--count`, all its images as one batch, by their number; models are loaded before."""
    asked = config(check)
    pipeline = Pipeline(asked, check.device, cache=check.models)
    seconds = {}
    _paint_together(pipeline, 1)  # which chooses kernels
    for count in COUNTS[1:2] if check.smoke else COUNTS:
        began = time.perf_counter()
        _paint_together(pipeline, count)
        synchronize(check.device)
        seconds[count] = (time.perf_counter() - began) / count
    told = ", ".join(f"{count}: {each:.2f}" for count, each in seconds.items())
    value = f"{told}; without --batch-size at most {pipeline.batch_size} at once"
    yield Row("seconds an image of --count N as one batch", "", value, "–")


def launches(check: Check, case: Case) -> Iterator[Row]:
    """What a step asks of the GPU."""
    if not check.has_graphs:
        yield Row(f"{case.name} launches a step", "", "a GPU's alone", "–")
        return
    found = profile(_prepared(check, case), check.pace, check.device)
    yield Row(f"{case.name} launches a step", "", f"{found.launches:.1f}, {found.kernels:.0f} kernels", "–")
    yield Row(f"{case.name} kernel time of wall time", "", f"{found.busy:.0%}", "–")


def with_triton(check: Check) -> Iterator[Row]:
    """Steps with Triton's kernels, which VQCLIP_TRITON=1 asks for; a ratio below 1 speaks for them.

    No GPU has proved them, and a kernel that writes where it may not ends all work of its process on the device.
    """
    for case in check.cases():
        name = f"{case.name} step, VQCLIP_TRITON=1"
        if not check.has_graphs:
            yield Row(name, "", "a GPU's alone", "–")
            continue
        asked = {"case": asdict(_prepared(check, case)), "pace": asdict(check.pace)}
        told = answer(check, "triton", str(check.device), given=asked, VQCLIP_TRITON="1")
        if "refused" in told:
            yield Row(name, "", told["refused"], "fail")
            continue
        before = check.measured.get(case.name)
        ratio = f", × {told['seconds'] / before.seconds:.2f}" if before else ""
        yield Row(name, "", f"{1000 * told['seconds']:.2f} ms{ratio}", "–")


def ms(found: Measured) -> str:
    return f"{1000 * found.seconds:.2f} ms"


def _prepared(check: Check, case: Case) -> Case:
    from benchmarks.models import prepared  # noqa: PLC0415  # draws gigabytes of weights

    return prepared(case, check.folder)[0]


def _paint_together(pipeline: Pipeline, count: int) -> None:
    requests = [RenderRequest(replace(pipeline.config, seed=seed)) for seed in range(count)]
    for _ in render_batch(requests, pipeline):
        pass
