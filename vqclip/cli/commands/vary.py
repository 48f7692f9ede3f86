"""`vqclip vary`: generate variations of an image, or what lies between two."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from vqclip.base.errors import UsageError
from vqclip.cli import help_layout, options
from vqclip.cli.help_layout import HOW, WHAT
from vqclip.cli.outputs import plan_configs
from vqclip.cli.painting_options import PaintingOptions, painting
from vqclip.cli.shape import shaped_like
from vqclip.config import prompt as prompts

if TYPE_CHECKING:
    from vqclip.config.schema import Config


class Command(help_layout.Command):
    """States the defaults of the preset vary."""

    defaults: ClassVar[Mapping[str, str]] = {
        "size": "the image's shape",
        "start": "noise",
        "init": "the image",
    }


@painting
def vary(
    common: PaintingOptions,
    images: Annotated[list[Path], typer.Argument(help="One image, or two.", metavar="IMAGE…")],
    count: Annotated[
        int,
        typer.Option("-n", "--count", min=1, help="Generate N images.", metavar="N", rich_help_panel=WHAT),
    ] = 4,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength",
            min=0,
            max=1,
            help="Share of noise in the start: 0 starts from the image, 1 from noise.",
            metavar="X",
            rich_help_panel=HOW,
            show_default="0.5",
        ),
    ] = None,
    output: options.Output = None,
    batch_size: options.BatchSize = None,
) -> None:
    """Generate variations of an image, with consecutive seeds.

    The image's own embeddings are the prompt. Of two images, generate what lies between them.
    """
    if len(images) > 2:
        raise UsageError(f"vary takes one image or two, not {len(images)}; name two at the most")
    targets = [prompts.format(prompts.Prompt(prompts.Kind.IMAGE, str(image))) for image in images]
    common = replace(common, init=common.init or str(images[0]))
    config = common.config(" ^ ".join(targets), "vary", story={"at": 0.0 if len(images) == 2 else None})
    if strength is not None:
        config = replace(config, strength=strength)
    if common.size is None and common.aspect is None:
        config = replace(config, size=_shape(images[0], config))
    varied = [_varied(config, images, number, count) for number in range(count)]
    common.run(plan_configs(varied, output, count, force=common.force), batch_size=batch_size)


def _varied(config: "Config", images: Sequence[Path], number: int, count: int) -> "Config":
    """Give the Config of a variation; one between two images starts from the nearer one."""
    seed = config.seed + number
    if len(images) == 1:
        return replace(config, seed=seed)
    share = (number + 1) / (count + 1)
    nearer = str(images[share > 0.5])
    return replace(config, seed=seed, init=nearer, story=replace(config.story, at=round(share, 6)))


def _shape(image: Path, config: "Config") -> str:
    """Give a size with the shape of an image; raises ImageError."""
    from vqclip.media.opening import open_image  # noqa: PLC0415

    return shaped_like(*open_image(image).size, config)
