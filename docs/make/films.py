"""Paint the films that the README shows, make strips of their frames, and measure what they promise.

    .venv/bin/python -m docs.make.films [NAME ...] [--video FILE] [--folder runs/films] [--out docs/films]

Films that the same command has already painted are kept, so a stopped call goes on where it was. `--video` restyles
that one instead of a small one that is made here.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from evaluation.judge import Judge
from evaluation.ranking import WEIGHTS
from vqclip.base.device import pick
from vqclip.cli.app import main as vqclip
from vqclip.config.schema import Config
from vqclip.guidance.ops import cover
from vqclip.media.image import load_image, save_png, to_pil
from vqclip.media.video_writer import VideoWriter
from vqclip.pipeline.events import result
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.pipeline.source_video import Source, open_source
from vqclip.runs.record import read_record
from vqclip.runs.run import Run, read_config

SCENES = ("a red apple", "a sunflower", "a green tree")
FILMS = {
    "story": f'story "{" ^ ".join(SCENES)}" --frames 12',
    "zoom": 'zoom "a mountain lake under a blue sky" --frames 24 --zoom 1.05',
    "wander": 'zoom "a field of red flowers" --frames 24 --zoom 1 --right -6 --border paint',
    "loop": 'story "a green tree ^ an autumn tree" --frames 8 --loop',
    "restyle": 'restyle {video} "an oil painting of a red apple" --flow --frame-steps 10',
}
STRIP = 8  # pictures
LENGTHS = (4, 8, 16, 24)  # frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(FILMS)}, memory; all without one"
    )
    parser.add_argument("--video", type=Path, help="the one to restyle")
    parser.add_argument("--folder", type=Path, default=Path("runs/films"), help="where the runs go")
    parser.add_argument("--out", type=Path, default=Path("docs/films"), help="where the strips go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    video = options.video or bouncing_ball(options.folder / "ball.mp4")
    for name in options.names or [*FILMS, "memory"]:
        if name == "memory":
            print(*memory(video), sep="\n", flush=True)
            continue
        run = paint(FILMS[name].format(video=shlex.quote(str(video))), options.folder / name)
        strip(run.frames.images).save(options.out / f"{name}.webp", quality=85)
        for line in MEASURES[name](run):
            print(f"{name}: {line}", flush=True)


def paint(command: str, folder: Path) -> Run:
    """The run of a vqclip command, draft size and seed 0, in a folder of its own."""
    words = [*shlex.split(command), "--preset", "draft", "--seed", "0", "--runs", str(folder), "--quiet"]
    done = [path for path in folder.glob("*") if read_record(path)]
    if not done:
        begun = sorted(folder.glob("*"))
        sys.argv[1:] = ["resume", str(begun[0]), "--quiet"] if begun else words
        try:
            vqclip()
        except SystemExit as end:
            if end.code:
                raise
        done = sorted(folder.glob("*"))
    return Run(done[0], read_config(done[0]), {})


def strip(pictures: Sequence[Path]) -> Image.Image:
    """Evenly spread pictures of a film, the first and the last among them, side by side."""
    chosen = [pictures[round(i * (len(pictures) - 1) / (STRIP - 1))] for i in range(STRIP)]
    images = [Image.open(path) for path in chosen]
    width, height = images[0].size
    made = Image.new("RGB", (STRIP * (width + 4) - 4, height), "white")
    for i, image in enumerate(images):
        made.paste(image, (i * (width + 4), 0))
    return made


def bouncing_ball(path: Path) -> Path:
    """A video of a ball that flies over a hill, with a tone for its sound."""
    with VideoWriter(path, 192, 144, 12, {}, "a ball") as video:
        for i in range(24):
            image = Image.new("RGB", (192, 144), (150, 190, 230))
            draw = ImageDraw.Draw(image)
            draw.ellipse((-60, 90, 252, 260), fill=(70, 130, 60))
            x, y = 10 + 7 * i, 80 - 2.4 * i + 0.1 * i * i
            draw.ellipse((x - 18, y - 18, x + 18, y + 18), fill=(200, 40, 40))
            video.write(image.filter(ImageFilter.GaussianBlur(1)))
    return path


def told(run: Run) -> Iterator[str]:
    """Whether the judge finds each scene's wish first among all at the scene's end."""
    judge, frames = Judge.open(WEIGHTS), run.config.story.frames
    texts = judge.read(list(SCENES))
    for i, prompt in enumerate(SCENES):
        likeness = (judge.see(load_image(run.frames.images[(i + 1) * frames - 1])) @ texts.T)[0]
        place = 1 + int((likeness > likeness[i]).sum())
        yield f"{prompt!r} ranks {place} of {len(SCENES)} at its scene's end"


def steady(run: Run) -> Iterator[str]:
    """How colourful the first and the last picture are, and how much neighbours differ."""
    images = [load_image(path) for path in run.frames.images]
    first, last = (float(image.std(1).mean()) for image in (images[0], images[-1]))
    yield f"spread of colours {first:.3f} in the first picture, {last:.3f} in the last"
    yield f"neighbours differ by {change(images):.4f}"


def closes(run: Run) -> Iterator[str]:
    """How much the last picture differs from the first, in changes from picture to picture."""
    images = [load_image(path) for path in run.frames.images]
    jump = float((images[-1] - images[0]).abs().mean())
    yield f"from the last to the first {jump:.4f}, between neighbours {change(images):.4f}"


def coherent(run: Run) -> Iterator[str]:
    """Frame-to-frame change, less the source's own, against frames that are painted each for itself."""
    config = run.config
    video = open_source(config.source)
    assert video
    source = Source(video)
    originals = [cover(source.image(i), config.height, config.width).clamp(0, 1) for i in range(video.count)]
    own = change(originals)
    film = change([load_image(path) for path in run.frames.images]) - own
    alone = change(list(independent(config, originals, run.folder))) - own
    yield f"neighbours differ by {film:.4f} more than the source's ({own:.4f}), independent frames by {alone:.4f} more"


def independent(config: Config, originals: Sequence[Tensor], folder: Path) -> Iterator[Tensor]:
    """Each of the originals painted over as a still, from the same seed."""
    alone = folder / "alone"
    alone.mkdir(exist_ok=True)
    for i, original in enumerate(originals):
        path, start = alone / f"{i:04d}.png", alone / f"{i:04d}-original.png"
        if not path.is_file():
            save_png(to_pil(original), start, {})
            still = replace(config, init=str(start), source=replace(config.source, video=None, flow=False))
            save_png(result(render(still, Pipeline(still, pick("auto")))).image, path, {})
        yield load_image(path)


def change(images: Sequence[Tensor]) -> float:
    """Mean absolute difference of neighbours."""
    return float(torch.stack([(a - b).abs().mean() for a, b in pairwise(images)]).mean())


def memory(video: Path) -> Iterator[str]:
    """Peak memory of whole processes that paint films of different lengths."""
    films = {
        "zoom": ["zoom", "a red apple", "--frames", "{frames}"],
        "restyle": ["restyle", str(video), "a red apple", "--set", "film.frames={frames}"],
    }
    for name, words in films.items():
        peaks = [f"{peak([word.format(frames=n) for word in words]):.0f}" for n in LENGTHS]
        yield f"{name} of {', '.join(map(str, LENGTHS))} frames: {', '.join(peaks)} MiB at the most"


def peak(words: Sequence[str]) -> float:
    """MiB that a vqclip command with few steps needed at its peak."""
    vqclip = str(Path(sys.executable).with_name("vqclip"))
    few = ["--size", "96x96", "--steps", "4", "--frame-steps", "1", "--seed", "0", "--quiet"]
    with tempfile.TemporaryDirectory() as runs:
        process = subprocess.Popen([vqclip, *words, *few, "--runs", runs], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words[0]} failed")
    return usage.ru_maxrss / 1024


MEASURES = {"story": told, "zoom": steady, "wander": steady, "loop": closes, "restyle": coherent}

if __name__ == "__main__":
    main()
