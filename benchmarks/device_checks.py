"""Whether a device paints right: the same pixels twice, after a kill, and with graphs; and what prompts look like."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.cases import CASES, PROMPT, SMOKE
from benchmarks.device_steps import vqclip_steps
from vqclip.base.device import strengths
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.guidance.optimize import Step
from vqclip.media.contact_sheet import contact_sheet, thumbnails
from vqclip.media.image import save_png
from vqclip.pipeline.events import result
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.provenance import provenance
from vqclip.runs.run import Run, image_metadata, read_config

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240  # for the forty prompts
PIXELS, LOSSES = 0.02, 0.05  # by how much graphs may differ from ordinary steps: of white, of a loss


@dataclass(frozen=True)
class Row:
    """One line of the table; `verdict` is pass, fail, not run, or – where there is nothing to judge."""

    name: str
    target: str
    value: str
    verdict: str


@dataclass(frozen=True)
class Painting:
    """The parts that paint with the mini models."""

    device: torch.device
    smoke: bool
    folder: Path
    out: Path
    until: float

    def config(self, prompt: str = PROMPT) -> Config:
        small = {"size": "64x64", "steps": 6, "cutouts": {"count": 4}} if self.smoke else {}
        return configs.resolve({"prompts": [prompt], "seed": 0, **small})

    def repeated(self) -> Iterator[Row]:
        images = [result(render(self.config(), Pipeline(self.config(), self.device))).image for _ in range(2)]
        yield same("same pixels twice", *images)

    def resumed(self) -> Iterator[Row]:
        """A process that is killed after its snapshot, and this one, which goes on."""
        config, run = self.config(), self.folder / "killed"
        killed = subprocess.run(
            [sys.executable, "-m", "benchmarks.killed", str(self.device), str(run), configs.dump(config)],
            cwd=ROOT, check=False,
        )  # fmt: skip
        if killed.returncode >= 0 or not any(run.glob("snapshot*")):
            raise RuntimeError(f"the process that was to be killed ended with {killed.returncode}")
        again = Run.open(run, read_config(run), {})
        pictures = [
            result(render(config, Pipeline(config, self.device), each)).image for each in (None, again)
        ]
        yield same("killed and resumed: same pixels", *pictures)

    def replayed(self) -> Iterator[Row]:
        """Steps as one graph and one by one, in the arithmetic of `auto`."""
        if not strengths(self.device).graphs:
            yield Row("graph and ordinary steps", "agree", "no graphs on this device", "–")
            return
        case, steps = (SMOKE, 6) if self.smoke else (CASES[0], 30)
        found: dict[str, Step] = {}
        for switch in ("1", "0"):
            os.environ["VQCLIP_GRAPH"] = switch
            try:
                painting = vqclip_steps(case, steps, self.device)
                objective: Any = next(painting)
                (found[switch],) = list(itertools.chain.from_iterable(painting))[-1:]
                if switch == "1":
                    has_replayed = objective.graphs._replay is not None
            finally:
                del os.environ["VQCLIP_GRAPH"]
        graph, plain = found["1"], found["0"]
        pixels = float((graph.image - plain.image).abs().mean())
        losses = abs(float(graph.loss / plain.loss) - 1)
        word = "pass" if has_replayed else "fail"
        yield Row("steps are replayed as a graph", "yes", "yes" if has_replayed else "no", word)
        value = f"after {steps} steps {pixels:.2%} of white, {losses:.2%} of the loss"
        agrees = pixels <= PIXELS and losses <= LOSSES
        yield Row("graph and ordinary steps", "agree", value, "pass" if agrees else "fail")

    def prompts(self) -> Iterator[Row]:
        """The prompts of docs/prompts.txt, each a picture with its config inside; stops when the time is over."""
        from evaluation.ranking import read_prompts  # noqa: PLC0415

        prompts, began = read_prompts(ROOT / "docs/prompts.txt"), time.monotonic()
        prompts = prompts[:2] if self.smoke else prompts
        cache, paths = ModelCache(self.device), []
        for i, prompt in enumerate(prompts):
            if time.monotonic() > self.until:
                break
            config = self.config(prompt)
            image = result(render(config, Pipeline(config, self.device, cache=cache))).image
            paths.append(self.out / f"{i:02d}-{'-'.join(prompt.split())}.png")
            save_png(image, paths[-1], image_metadata(config, provenance(config, self.device)))
        seconds, done = time.monotonic() - began, len(paths)
        contact_sheet(thumbnails(paths)).save(self.out / "sheet.png")
        is_judged = strengths(self.device).graphs and not self.smoke
        word = ("pass" if done == len(prompts) and seconds <= SECONDS else "fail") if is_judged else "–"
        yield Row(
            "prompts painted",
            f"≤ {SECONDS} s",
            f"{done} of {len(prompts)} in {seconds:.0f} s, {self.out}/sheet.png",
            word,
        )
        yield ranked(paths)


def same(name: str, one: Image.Image, other: Image.Image) -> Row:
    """Whether two pictures have the same pixels."""
    a, b = (torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8) for image in (one, other))
    count = int((a != b).sum())
    value = "the same" if not count else f"{count / len(a):.1%} of the numbers differ"
    return Row(name, "the same", value, "fail" if count else "pass")


def ranked(paths: list[Path]) -> Row:
    """R@1 among all prompts, where the judge and what reads sentences are here."""
    from evaluation.judge import Judge  # noqa: PLC0415
    from evaluation.ranking import WEIGHTS, precision, rank, read_prompts  # noqa: PLC0415

    name, advice = "R@1", "type where it is: scripts/judge docs/prompts.txt FOLDER"
    try:
        judge = Judge.open(WEIGHTS)
    except (SystemExit, ImportError, OSError) as error:
        return Row(name, "", f"no judge here ({error}); {advice}", "not run")
    verdicts = rank(paths, read_prompts(ROOT / "docs/prompts.txt"), judge)
    return Row(name, "", f"{precision(verdicts, 1):.0%} of {len(verdicts)} pictures", "–")
