"""A Config's models, loaded, placed on a device, and ready to begin a Frame, or to go on with the next."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from vqclip import device as devices
from vqclip import motion, seeds
from vqclip.canvas import Canvas, cover
from vqclip.cutouts import Cutouts
from vqclip.economy import SMALL, Economy, best_together
from vqclip.errors import WeightsError
from vqclip.film import STANDSTILL, Film, Frame
from vqclip.latent import starting_picture
from vqclip.losses import penalties
from vqclip.meanings import Meanings
from vqclip.media import load_picture
from vqclip.models.vqgan import VQGAN
from vqclip.objective import Studio, View
from vqclip.phrases import outline
from vqclip.prompt import Kind
from vqclip.requirements.needs import READER, SKETCHBOOK, requirements
from vqclip.schedule import Schedule
from vqclip.schema import Config, PerceptorConfig
from vqclip.shelf import Shelf
from vqclip.sketch import Sketch
from vqclip.source import Source, footage
from vqclip.state import State
from vqclip.step_graph import step_graphs

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


class Pipeline:
    """Loads what a Config names, and builds States and Studios for its frames."""

    def __init__(self, config: Config, device: torch.device, pull: bool = False, shelf: Shelf | None = None):
        """Load from a shelf that others use as well, or from one of its own, whose texts are then forgotten."""
        small = config.width * config.height <= SMALL
        devices.keep_pages(small and devices.strengths(device).keeps_pages)
        self.config, self.device = config, device
        # The user's own files first: they are read in a moment, and are wrong more often than the models.
        self._init = load_picture(Path(config.init)) if config.init else None
        video = footage(config.source)
        self._source = Source(video) if video else None
        if video and config.source.flow:
            motion.check_flow()
        self.film = Film(config, video.count if video else None)
        pictures = {
            wish.body: load_picture(Path(wish.body)) for wish in config.wishes if wish.kind is Kind.IMAGE
        }
        dtype = devices.dtype_for(config.precision, device)
        self.cutouts = Cutouts(config.cutouts)
        # One for all frames: what it learned holds for the next.
        self._economy = Economy.of(config.width, config.height, device)
        self._graphs = step_graphs(device, dtype)
        own = self._shelf = shelf or Shelf(device, pull)
        self.vqgan = own.vqgan(config.vqgan, dtype)
        _check_start(config, self.vqgan)
        self._meanings = [
            Meanings(own.perceptor(p.model, dtype), k, config.wishes, pictures, self.cutouts)
            for k, p in enumerate(config.perceptors)
        ]
        self._begins_bare = not config.init and self._source is None
        names = {need.role: need.name for need in requirements(config)}
        self._sketch = self._prepare_sketch(own, names, pictures) if SKETCHBOOK in names else None
        if shelf is None:
            for meanings in self._meanings:
                meanings.perceptor.forget_texts()

    def in_float32(self) -> "Pipeline":
        """The same with networks that don't overflow."""
        return Pipeline(replace(self.config, precision="float32"), self.device, shelf=self._shelf)

    @property
    def together(self) -> int:
        """How many pictures of the Config are best painted at once."""
        return best_together(self.config, self.vqgan.architecture.full_width, self.device)

    def studio(self, frame: Frame) -> Studio:
        """What the loop needs to paint a frame."""
        config = self.config
        canvas = Canvas(self.vqgan, frame.width, frame.height, config.tile)
        weights = vars(config.penalties) | {"near_source": config.source.pull}
        source = canvas.encode(self._source.picture(frame.index), canvas.cells()) if self._source else None
        return Studio(
            canvas=canvas,
            cutouts=self.cutouts,
            views=self._views(frame),
            penalties=penalties(
                {name: Schedule.parse(text) for name, text in weights.items()}, canvas.deviation, source
            ),
            rate=Schedule.parse(config.film.learning_rate if frame.index else config.optimizer.learning_rate),
            average=config.latent.ema_decay,
            plateau=config.plateau,
            economy=self._economy,
            graphs=self._graphs,
        )

    def begin(self, frame: Frame, studio: Studio, seed: int) -> State:
        """The State before a film's first step, from a seed."""
        canvas, cells = studio.canvas, studio.canvas.cells(frame.stages[0].scale)
        generator = self._chance(frame, seed)
        if self.config.start == "codes" and self._begins_bare:
            return State.begin(canvas.random(cells, generator), self.make_optimizer, seed)
        z = canvas.encode(self._beginning(frame, generator), cells)
        return State.begin(z, self.make_optimizer, seed)

    def go_on(self, state: State, frame: Frame, studio: Studio) -> State:
        """The State before a frame's first step, from the State after the last one's."""
        canvas, border = studio.canvas, self.config.motion.border
        share = frame.fresh if self._begins_bare else 0.0  # a given picture is no scene's own
        if state.latent.cells != canvas.cells():
            state.resize(*canvas.cells())  # the last frame settled early, on a coarse latent
        if frame.move == STANDSTILL and not self.config.source.flow and not share:
            return state.carried()
        with torch.no_grad():
            picture = canvas.draw_whole(state.latent.mean)
            size = (picture.shape[2], picture.shape[3])
            grid = self._grid(frame, size, size)
            picture = motion.sample(picture, grid, border)
            if border == "paint" or share:
                fresh = cover(self._beginning(frame, self._chance(frame, state.seed)), *size).to(picture)
                empty = motion.uncovered(grid).to(picture) if border == "paint" else 0.0
                picture = picture + (fresh - picture) * torch.as_tensor(empty).clamp(min=share)
        cells = self._grid(frame, size, canvas.cells())
        z = canvas.encode(picture, canvas.cells())
        return state.moved(z, lambda moment: motion.sample(moment, cells, border, "bilinear"))

    def _grid(self, frame: Frame, size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
        """Where the last picture's content goes: with the source's, then as the motion says.

        `size` (h, w) is the picture's, `shape` (y, x) the grid's resolution.
        """
        grid = motion.moving(frame.move, size, shape)
        if self._source is None or not self.config.source.flow:
            return grid
        before, after = (cover(self._source.picture(frame.index - i), *size) for i in (1, 0))
        return motion.through(grid, motion.drifting(motion.flow_between(before, after)))

    def _chance(self, frame: Frame, seed: int) -> Generator:
        """What a beginning is drawn with: the same for all frames of a scene."""
        return Generator().manual_seed(seeds.derive(seed, "start", frame.scene))

    def _beginning(self, frame: Frame, generator: Generator) -> Tensor:
        """The picture that a frame begins from, if none was painted before it."""
        if self._init is not None:
            return self._init
        if self._source is not None:
            return self._source.picture(frame.index)
        if self._sketch is not None:
            prompts = [wish.prompt for wish in frame.wishes]
            return self._sketch.picture(prompts, frame.height, frame.width, generator)
        start = "noise" if self.config.start == "codes" else self.config.start
        return starting_picture(start, frame.height, frame.width, generator)

    def make_optimizer(self, z: Tensor) -> torch.optim.Optimizer:
        """The Config's optimiser of one tensor; the loop sets its rate before every step."""
        optimizer = _OPTIMIZERS[self.config.optimizer.name]([z], lr=1.0)
        if z.is_cuda:
            for group in optimizer.param_groups:
                group["capturable"] = True  # it counts its steps on the device
        return optimizer

    def _prepare_sketch(self, shelf: Shelf, names: dict[str, str], pictures: dict[str, Tensor]) -> Sketch:
        """The sketchbook, and what wishes mean to its own CLIP, be that one of the perceptors or not.

        `names` maps the roles of the Config's weights to their names.
        """
        meanings = next((known for known in self._meanings if known.perceptor.name == names[READER]), None)
        if meanings is None:
            reader = shelf.perceptor(names[READER], torch.float32)
            meanings = Meanings(reader, 0, self.config.wishes, pictures, self.cutouts)
        said = [outline(wish.body) for wish in self.config.wishes if wish.kind is Kind.TEXT]
        texts = sorted(set().union(*(outline.texts for outline in said)))
        known = {text: meanings.perceptor.embed_texts([text]) for text in texts}
        return Sketch(shelf.sketchbook(names[SKETCHBOOK]), meanings.perceptor, meanings.of, known)

    def _views(self, frame: Frame) -> list[View]:
        uses = Counter(p.model for p in self.config.perceptors)
        return [
            View(
                name=_label(settings, k, uses),
                perceptor=meanings.perceptor,
                targets=[meanings.target(wish) for wish in frame.wishes],
                weight=settings.weight,
                crops=settings.crops or self.config.cutouts.count,
            )
            for k, (settings, meanings) in enumerate(zip(self.config.perceptors, self._meanings, strict=True))
        ]


def _check_start(config: Config, vqgan: VQGAN) -> None:
    """Refuse to begin or go on from a picture with a VQGAN that is a decoder alone; raises WeightsError."""
    if vqgan.encoder is not None or (config.start == "codes" and not config.init and not config.source.video):
        return
    given = "init" if config.init else "source"
    bare = not config.init and not config.source.video
    cure = f"start {config.start!r} is one" if bare else f"leave {given} out"
    raise WeightsError(
        f"{config.vqgan} is a decoder alone and begins from no picture: {cure}; add --set start=codes"
    )


def _label(settings: PerceptorConfig, k: int, uses: Counter[str]) -> str:
    """A perceptor's name among the losses; numbered where one model serves twice."""
    return settings.model if uses[settings.model] == 1 else f"{settings.model} #{k + 1}"
