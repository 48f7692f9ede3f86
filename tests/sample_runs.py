"""Run folders as vqclip writes them, without rendering anything."""

from pathlib import Path

from PIL import Image

from vqclip.config import resolve as configs
from vqclip.runs.run import Run

METADATA = {"versions": {"vqclip": "1.0"}, "device": "cpu", "threads": 1}
COLOURS = ("tomato", "gold", "teal", "slateblue", "orchid", "olivedrab")


def make_run(
    parent: Path, prompt: str, seed: int = 1, *, finished: bool = True, image: bool = True, **settings: object
) -> Path:
    """Make a run folder with a plain image and a step log of 40 steps, and give its path."""
    config = configs.resolve({"prompts": [prompt], "seed": seed, "size": "48x32", "steps": 40, **settings})
    run = Run.create(parent, config, METADATA)
    if image:
        run.save_image(Image.new("RGB", (config.width, config.height), COLOURS[seed % len(COLOURS)]))
    losses = {}
    for step in range(10, 41, 10):
        losses = {"mini-clip-2": 1.0 - step / 100 - seed / 1000, "tv": step / 1000}
        run.log(0, step, losses)
    if finished:
        run.finish({"seed": seed, "prompt": prompt, "steps": 40, "seconds": 1.5, "losses": losses})
    return run.folder
