"""Make a film's video from the frames in its run folder; it can be made again at any time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import torch
from PIL import Image

from vqclip.base.errors import RunError, UsageError
from vqclip.config.schema import Config
from vqclip.config.timeline import Film
from vqclip.media.video_metadata import Sound
from vqclip.media.video_writer import assemble, check_encoder
from vqclip.pipeline.source_video import open_source
from vqclip.runs.run import Run, image_metadata, origin, read_config, read_provenance

Decode = Callable[
    [torch.Tensor], Image.Image
]  # a latent (1 d y x), on any device, into the image that is saved

FPS = 12.0  # the default of a film without a source


def write_film(
    run: Run, path: Path, fps: float | None = None, *, hold: float = 0.0, forth_and_back: bool = False,
    between: "InBetween | None" = None,
) -> None:  # fmt: skip
    """Write the video of a run's images, or of `between`, with the source's sound.

    A video that plays at another speed than the source has no sound. Raises RunError and VideoError.
    """
    images = run.frames.images
    if not images:
        raise RunError(f"{run.folder} has no frames; story, zoom and restyle make films, which have them")
    own = frame_rate(run.config, run.base)
    smoothness = between.number if between else 1
    rate = fps or own * smoothness
    source, in_step = run.config.source, rate == own * smoothness and not forth_and_back
    assemble(
        between or images, path, rate, image_metadata(run.config, run.metadata), " | ".join(run.config.prompts),
        hold=hold, forth_and_back=forth_and_back,
        sound=Sound(run.base / source.video, source.begin, source.end) if source.video and in_step else None,
    )  # fmt: skip


def remake_film(
    folder: Path, output: Path | None, decoder_of: Callable[[Config, Path], Decode], fps: float | None = None,
    *, between: int = 1, hold: float = 0.0, forth_and_back: bool = False,
) -> Path:  # fmt: skip
    """Make the video of a film's run folder again, in the folder or at `output`.

    `decoder_of` makes what decodes latents of a Config, whose relative paths begin at a folder; `between` above 1 needs
    it.
    """
    config = read_config(folder)
    if not config.is_film:
        raise UsageError(f"{folder} is the run of a still; films are what story, zoom and restyle make")
    metadata = {name: value for name, value in read_provenance(folder).items() if name != "folder"}
    run = Run(folder, config, metadata, origin(folder))
    target = output or run.video
    check_encoder(target)
    decode = decoder_of(config, run.base) if between > 1 else None
    with run.held():
        smooth = InBetween(run, decode, between) if decode else None
        write_film(run, target, fps, hold=hold, forth_and_back=forth_and_back, between=smooth)
    return target


def frame_rate(config: Config, base: Path = Path()) -> float:
    """Give a film's images per second; raises VideoError if its source can't be read."""
    video = None if config.film.fps else open_source(config.source, base)
    return video.fps if video else config.film.fps or FPS


class InBetween(Sequence[Image.Image]):
    """Give a film's images with `number` - 1 more between neighbours, decoded on demand from interpolated latents."""

    def __init__(self, run: Run, decode: Decode, number: int):
        self.run, self.decode, self.number = run, decode, number
        video, output_frames = open_source(run.config.source, run.base), len(run.frames.images)
        self.film = Film(run.config, video.count if video else None)
        # A loop goes on from the last image to the first, unless the film was stopped early.
        closes = self.film.preroll and output_frames == self.film.output_frames
        self._count = output_frames * number if closes else (output_frames - 1) * number + 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...
    @torch.no_grad()
    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number, step = divmod(range(len(self))[index], self.number)
        share = step / self.number
        z = self._latent(number)
        if share:
            z = torch.lerp(z, self._latent((number + 1) % self.film.output_frames), share)
        return self.decode(z)

    def _latent(self, number: int) -> torch.Tensor:
        return self.run.frames.mix(self.film.blend(number))
