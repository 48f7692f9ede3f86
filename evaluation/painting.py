"""Paint configs into PNGs that carry them, and lay PNGs out on a sheet with their prompts and ranks."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from evaluation.ranking import Verdict
from vqclip.base.errors import ConfigError, ImageError
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.media.image import read_metadata, save_png
from vqclip.pipeline.events import result
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.provenance import provenance
from vqclip.runs.run import image_metadata

COLUMNS, SIDE, LINE = 8, 160, 16


def paint(config: Config, path: Path, cache: ModelCache) -> float:
    """Paint a config into a PNG that carries it; returns the seconds of the loop."""
    painting = result(render(config, Pipeline(config, cache.device, cache=cache)))
    save_png(painting.image, path, image_metadata(config, provenance(config, cache.device)))
    return painting.seconds


def painted(path: Path, config: Config) -> bool:
    """Whether this very config was painted there before."""
    try:
        return path.is_file() and configs.from_dict(read_metadata(path)["config"]) == config
    except (ConfigError, ImageError):
        return False


def sheet(verdicts: Sequence[Verdict], columns: int = COLUMNS, side: int = SIDE) -> Image.Image:
    """All pictures in rows, each under its prompt and rank."""
    rows, font = -(-len(verdicts) // columns), ImageFont.load_default(11)
    made = Image.new("RGB", (columns * side, rows * (side + LINE)), "white")
    draw = ImageDraw.Draw(made)
    for i, verdict in enumerate(verdicts):
        x, y = i % columns * side, i // columns * (side + LINE)
        with Image.open(verdict.picture) as image:
            made.paste(image.resize((side - 4, side - 4), Image.Resampling.LANCZOS), (x + 2, y + LINE))
        letters = (side - 24) // 5
        title = verdict.prompt if len(verdict.prompt) <= letters - 1 else f"{verdict.prompt[: letters - 2]}…"
        draw.text((x + 2, y + 2), f"{title} {verdict.rank}", fill="black", font=font)
    return made
