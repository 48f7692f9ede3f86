"""Whether a device paints the same pixels: twice, with graphs, after a stop or a kill, and from an image's metadata."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image

from benchmarks.cases import CASES, PROMPT, SMOKE
from benchmarks.on_device.steps import vqclip_steps
from benchmarks.on_device.table import Check, Row
from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.guidance.optimize import Step
from vqclip.pipeline import render as rendering
from vqclip.pipeline.events import Compared, Stepped, result
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.frame_store import FrameStore
from vqclip.runs.run import Run, read_config
from vqclip.session import Session

ROOT = Path(__file__).resolve().parents[2]
PIXELS, LOSSES = 0.02, 0.05  # by how much graphs may differ from ordinary steps: of white, of a loss


def config(check: Check, prompt: str = PROMPT, **settings: Any) -> Config:
    """The default picture by the mini models, or a small one."""
    small = {"size": "64x64", "steps": 5, "cutouts": {"count": 4}} if check.smoke else {}
    return configs.resolve({"prompts": [prompt], "seed": 0, **small, **settings})


def repeated(check: Check) -> Iterator[Row]:
    asked = config(check)
    yield same("same pixels twice", *([_painted(check, asked)] for _ in range(2)))


def killed(check: Check) -> Iterator[Row]:
    """A process that is killed after its snapshot, and this one, which goes on."""
    asked, folder = config(check), check.folder / "killed"
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.killed", str(check.device), str(folder), configs.dump(asked)],
        cwd=ROOT, check=False, timeout=check.patience,
    )  # fmt: skip
    if child.returncode >= 0 or not any(folder.glob("snapshot*")):
        raise RuntimeError(f"the process that was to be killed ended with {child.returncode}")
    pictures = [_painted(check, asked), _painted(check, asked, folder)]
    yield same("killed and resumed: same pixels", *([picture] for picture in pictures))


def two_clips(check: Check) -> Iterator[Row]:
    """Stop and go on where CLIPs of two sizes read crops with noise."""
    asked, folder = _of_two_clips(check), check.folder / "two-clips"
    _paint_and_stop(check, asked, folder, share=0.2)  # early: small differences need steps to move a code
    pictures = [_painted(check, asked), _painted(check, asked, folder)]
    yield same("two CLIPs, stopped and resumed: same pixels", *([picture] for picture in pictures))


def reproduced(check: Check) -> Iterator[Row]:
    """Make the second image of two again from its metadata: one that was made alone, and one of a batch."""
    session = Session(str(check.device))
    asked = [replace(_of_two_clips(check), seed=seed) for seed in (0, 1)]
    for size, name in ((2, "as one batch"), (1, "one by one"))[: 1 if check.smoke else 2]:
        runs = check.folder / f"reproduce-{size}"
        image = result(session.generate(asked, batch_size=size, runs=runs)).folder
        assert image is not None
        *_, last = session.reproduce(image / "image.png")
        assert isinstance(last, Compared)
        value = "the same" if last.is_same else f"{last.share:.1%} of the pixels differ"
        word = "pass" if last.is_same else "fail"
        yield Row(f"reproduce the second of two, made {name}", "the same", value, word)


def film(check: Check) -> Iterator[Row]:
    """A few frames of a zoom, at once, and with a stop in between."""
    length = {"frames": 2, "steps": 2} if check.smoke else {"frames": 3}
    asked = config(check, motion={"zoom": 1.05}, film=length)
    frames: list[list[Image.Image]] = []
    with _frames_alone():
        for folder in (check.folder / "film", check.folder / "film-stopped"):
            if frames:
                _paint_and_stop(check, asked, folder)
            _painted(check, asked, folder)
            frames.append([_read(path) for path in FrameStore(folder).images])
    yield same(f"a film of {len(frames[0])} frames, stopped and resumed: same pixels", *frames)


def _read(path: Path) -> Image.Image:
    """Read an image whole, so that its file does not stay open."""
    with Image.open(path) as image:
        return image.copy()


def replayed(check: Check) -> Iterator[Row]:
    """Steps as one graph and one by one, in the arithmetic of `auto`."""
    if not check.has_graphs:
        yield Row("graph and ordinary steps", "agree", "no graphs on this device", "–")
        return
    count = 6 if check.smoke else 30
    graph, has_replayed = _last_step(check, count, "1")
    plain, _ = _last_step(check, count, "0")
    pixels = float((graph.image - plain.image).abs().mean())
    losses = abs(float(graph.loss / plain.loss) - 1)
    word = "pass" if has_replayed else "fail"
    yield Row("steps are replayed as a graph", "yes", "yes" if has_replayed else "no", word)
    value = f"after {count} steps {pixels:.2%} of white, {losses:.2%} of the loss"
    agrees = pixels <= PIXELS and losses <= LOSSES
    yield Row("graph and ordinary steps", "agree", value, "pass" if agrees else "fail")


def same(name: str, one: Sequence[Image.Image], other: Sequence[Image.Image]) -> Row:
    """Whether pictures have the same pixels as others."""
    a, b = (
        torch.frombuffer(bytearray(b"".join(image.tobytes() for image in images)), dtype=torch.uint8)
        for images in (one, other)
    )
    if a.shape != b.shape:
        return Row(name, "the same", f"{len(one)} and {len(other)} pictures, or other sizes", "fail")
    count = int((a != b).sum())
    value = "the same" if not count else f"{count / len(a):.1%} of the numbers differ"
    return Row(name, "the same", value, "fail" if count else "pass")


def _last_step(check: Check, count: int, switch: str) -> tuple[Step, bool]:
    """The last of some steps with VQCLIP_GRAPH set, and whether it was replayed."""
    with mock.patch.dict(os.environ, VQCLIP_GRAPH=switch):
        painting = vqclip_steps(SMOKE if check.smoke else CASES[0], count, check.device)
        objective: Any = next(painting)
        *_, (last,) = itertools.chain(painting)
        return last, objective.graphs.has_replayed


def _of_two_clips(check: Check) -> Config:
    from benchmarks.models import small_clip  # noqa: PLC0415

    clips = ["mini-clip-2", small_clip(check.folder)]
    few = {"count": 4} if check.smoke else {}
    return config(check, perceptors=[{"model": clip} for clip in clips], cutouts={"noise": 0.2, **few})


def _painted(check: Check, asked: Config, folder: Path | None = None) -> Image.Image:
    """A picture by a new Pipeline, in a run folder if there is one, from where that is."""
    run = None if folder is None else Run.open(folder, read_config(folder) if folder.is_dir() else asked, {})
    return result(render(asked, Pipeline(asked, check.device, cache=check.models), run)).image


def _paint_and_stop(check: Check, asked: Config, folder: Path, share: float = 0.6) -> None:
    """Paint into a new run folder, and stop after a share of the steps."""
    stop, pipeline = StopToken(), Pipeline(asked, check.device, cache=check.models)
    for event in render(asked, pipeline, Run.open(folder, asked, {}), stop):
        if isinstance(event, Stepped) and event.done >= share * event.steps:
            stop.stop()


@contextmanager
def _frames_alone() -> Iterator[None]:
    """Films end with their frames, as ffmpeg, which makes videos of them, may be missing."""
    with mock.patch.multiple(rendering, check_encoder=mock.DEFAULT, write_film=mock.DEFAULT):
        yield
