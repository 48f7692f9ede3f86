#!/usr/bin/env python3
"""Render jobs of random prompts and settings on tiny models: what is accepted becomes an image, the rest one line.

    PYTHONPATH=.:tests .venv/bin/python tests/stress/renders.py [COUNT] [SEED]      # 400 jobs by default

A traceback, the word "unexpected", a job without a line in the manifest, an image of another size than was asked for,
or a job that fails otherwise than in one line ends the run, with the batch file kept and named.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from conftest import DEFAULTS, TINY, describe, random_vqgan, write_clip
from PIL import Image
from safetensors.torch import save_file
from stress.inputs import PROMPTS, WORDS, Broken, mutate, run_command

from vqclip.base.errors import VqclipError
from vqclip.config import resolve as configs
from vqclip.config.conversion import merge
from vqclip.config.diff import flatten
from vqclip.config.schema import BORDERS, OPTIMIZERS, UNITS

LEAVES = flatten(configs.to_dict(configs.resolve({"prompts": ["a"], "seed": 1})))
AT_ONCE = 20  # jobs in a batch, which shares its models
SIZES = [
    "16x16",
    "8x8",
    "24x16",
    "9x31",
    "1x1",
    "17x33",
    "40x16",
    "2x64",
    "0x0",
    "64",
    "16 x 16",
    "9999999999x1",
]
STEPS: list[Any] = [1, 2, 3, 1, 2, 3, "2", 0, -1, "many", 1.5, None]
SEEDS: list[Any] = [0, 7, 12345, "9", 2**62, "apple", -1, 1e3, 2**70, None]
VALUES: list[Any] = [
    0, 1, 2, -1, 0.5, 0.001, 1e-9, 1e9, 1e18, 1e39, "0.4 -> 0.1", "0:1, 50%:0", "nan", True, None, "", "words",
    "noise", "grey", "gradient", "codes", "fft", "adamw", "nadam", "sgd", "squash", "wrap", "smear", "latent",
    "bfloat16",
    "#f00", ["#f00", "#00f"], [{"scale": 0.5, "share": 0.5}, {"scale": 1, "share": 0.5}], {"name": "fft"}, {},
]  # fmt: skip
NUMBERS: list[Any] = [0, 1, 1, 2, 0.5, 0.05, 0.9, 0.01, 1e-9, 1e3, 1e18]
SCHEDULES: list[Any] = ["0", "0.3", "0.4 -> 0.1", "0:1, 50%:0", "1:0.2, 2:0.1", "1e-9", "1e9 -> 0", 1, -1]
CHOICES = {
    "optimizer.name": OPTIMIZERS, "optimizer.unit": UNITS, "cutouts.border": BORDERS,
    "cutouts.aspect": ("keep", "squash"),
    "precision": ("float32", "bfloat16", "auto"), "start": ("noise", "grey", "gradient", "codes"),
    "start.name": ("noise", "codes"), "drawer": ("fft",),
}  # fmt: skip
LEFT_ALONE = ("version", "prompts", "film", "story", "source", "motion", "steps", "size")


def write_base(folder: Path) -> Path:
    """Tiny random models, and a config that names them."""
    save_file(random_vqgan().state_dict(), folder / "model.safetensors")
    (folder / "model.yaml").write_text(yaml.safe_dump(describe(TINY)))
    (folder / "clip").mkdir()
    small = {
        "size": "16x16", "steps": 2, "vqgan": str(folder / "model.safetensors"), "start": "noise",
        "perceptors": [{"model": str(write_clip(folder / "clip", seed=0))}], "cutouts": {"count": 3, "anchors": 1},
        "precision": "float32", "losses": {"tv": "0", "near_start": "0"},
    }  # fmt: skip
    values = configs.to_dict(configs.resolve(merge(DEFAULTS, small | {"prompts": ["a"], "seed": 1})))
    del values["prompts"], values["seed"]
    (folder / "base.yaml").write_text(yaml.safe_dump(values))
    return folder / "base.yaml"


def make_job(chance: random.Random) -> dict[str, Any]:
    """A job of a mutated prompt, and of some keys with any values."""
    wish = chance.choice([*PROMPTS, "a red apple", "an owl | a clock:0.5", chance.choice(WORDS)])
    job: dict[str, Any] = {
        "prompt": mutate(wish, chance).decode(errors="replace") if chance.random() < 0.3 else wish
    }
    for key, values in (("size", SIZES), ("steps", STEPS), ("seed", SEEDS)):
        if chance.random() < 0.15:
            job[key] = chance.choice(values)
    keys = [key for key in LEAVES if key.split(".")[0] not in LEFT_ALONE and "[" not in key]
    for key in chance.sample(keys, chance.choice([0, 0, 1, 1, 2])):
        job[key] = chance.choice(fitting(key) if chance.random() < 0.95 else VALUES)
    return job


def fitting(key: str) -> Sequence[Any]:
    """Values of the kind that a key takes, ordinary and extreme ones."""
    if key in CHOICES:
        return CHOICES[key]
    default = LEAVES.get(key)
    if isinstance(default, bool):
        return (True, False)
    return NUMBERS if isinstance(default, int | float) else SCHEDULES if isinstance(default, str) else VALUES


def is_small(job: dict[str, Any], base: Path) -> bool:
    """Whether the tests have the time to render a job; what is refused takes none."""
    flat = {key: value for key, value in job.items() if "." not in key and key != "prompt"}
    settings = [f"{key}={json.dumps(value)}" for key, value in job.items() if "." in key]
    try:
        config = configs.resolve({"prompts": [job["prompt"]], **flat}, None, base, settings)
    except VqclipError:
        return True
    crops = max(config.cutouts.count, *(perceptor.crops or 0 for perceptor in config.perceptors))
    return (
        not config.is_film and config.width * config.height <= 64 * 64 and config.steps <= 3 and crops <= 64
    )


def check(entry: dict[str, Any]) -> str:
    """The outcome of a line of the manifest."""
    if entry["status"] == "failed":
        if not entry["error"] or "\n" in entry["error"] or "unexpected" in entry["error"]:
            raise Broken(f"no single line: {entry['error']!r}")
        return "refused"
    if entry["status"] != "done":
        raise Broken(f"a job is {entry['status']}: {entry}")
    with Image.open(entry["image"]) as image:
        image.load()
        size = f"{image.width}x{image.height}"
    if configs.read_yaml(Path(entry["run"]) / "config.yaml")["size"] != size:
        raise Broken(f"{entry['image']} is {size}")
    return "rendered"


def render(jobs: list[dict[str, Any]], base: Path, name: str) -> Iterator[str]:
    """Render a batch, and check each job."""
    Path(f"{name}.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    small = ("-c", str(base), "--devices", "cpu", "--workers", "1", "--threads", "1", "-q")
    code, out, said = run_command("batch", f"{name}.jsonl", *small, lines=None)
    lines = (Path("runs") / name / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    outcomes = [check(json.loads(line)) for line in lines]
    if len(outcomes) != len(jobs) or len(out.splitlines()) != outcomes.count("rendered"):
        raise Broken(f"{len(jobs)} jobs, {len(outcomes)} lines in the manifest, {out!r} on stdout")
    failures = [line for line in said.split("\n") if line.startswith("vqclip: line ")]
    if len(failures) != outcomes.count("refused") or code != int(bool(failures)):
        raise Broken(f"{outcomes.count('refused')} refused, exit code {code}: {said!r}")
    yield from outcomes


def run(count: int, seed: int, base: Path) -> Counter[str]:
    """Outcomes of so many jobs; raises Broken, which names the batch file."""
    chance, outcomes = random.Random(seed), Counter[str]()
    Image.effect_noise((20, 12), 60).save("a.png")  # which some prompts name
    for first in range(0, count, AT_ONCE):
        name, jobs = f"batch{first}", []
        while len(jobs) < min(AT_ONCE, count - first):
            job = make_job(chance)
            if is_small(job, base):
                jobs.append(job)
        try:
            outcomes.update(render(jobs, base, name))
        except Exception as error:
            raise Broken(f"{Path(name).absolute()}.jsonl: {type(error).__name__}: {error}") from error
    return outcomes


if __name__ == "__main__":
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="vqclip-renders-"))
    os.chdir(folder)
    (folder / "models").mkdir()
    print(f"batches are written to {folder}")
    for outcome, times in sorted(
        run(jobs, int(sys.argv[2]) if len(sys.argv) > 2 else 1, write_base(folder / "models")).items()
    ):
        print(f"{outcome:<10} {times}")
    print(
        f"{jobs} jobs in {time.monotonic() - began:.0f} s: each became an image, or was refused in one line"
    )
