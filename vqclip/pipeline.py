"""A Config's models, loaded, placed on a device, and ready to begin a Frame."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator, Tensor

from vqclip import device as devices
from vqclip import seeds
from vqclip.canvas import Canvas
from vqclip.cutouts import Cutouts
from vqclip.film import Frame
from vqclip.latent import starting_picture
from vqclip.losses import Target, penalties
from vqclip.media import load_picture
from vqclip.models.loading import load_vqgan
from vqclip.models.sketch import READER, load_sketcher
from vqclip.ops import unit
from vqclip.optimize import Studio, View
from vqclip.perceptor import Perceptor
from vqclip.prompt import Kind, Prompt
from vqclip.schedule import Schedule
from vqclip.schema import Config, PerceptorConfig
from vqclip.sketch import Sketch
from vqclip.state import State

log = logging.getLogger(__name__)

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

    def __init__(self, config: Config, device: torch.device, pull: bool = False):
        self.config, self.device = config, device
        # The user's own files first: they are read in a moment, and are wrong more often than the models.
        self._init = load_picture(Path(config.init)) if config.init else None
        pictures = {
            wish.body: load_picture(Path(wish.body)) for wish in config.wishes if wish.kind is Kind.IMAGE
        }
        dtype = devices.dtype_for(config.precision, device)
        self.cutouts = Cutouts(config.cutouts)
        self.vqgan = load_vqgan(config.vqgan).to(device, dtype)
        self.perceptors = [Perceptor(p.model, device, dtype, pull) for p in config.perceptors]
        self._targets = [
            {wish: self._embed(perceptor, k, wish, pictures) for wish in config.wishes}
            for k, perceptor in enumerate(self.perceptors)
        ]
        self._sketch = (
            self._prepare_sketch(pictures) if config.start == "sketch" and not config.init else None
        )
        for perceptor in self.perceptors:
            perceptor.forget_texts()

    def studio(self, frame: Frame, seed: int) -> Studio:
        """What the loop needs to paint a frame from a seed."""
        config, canvas = self.config, Canvas(self.vqgan, frame.width, frame.height)
        weights = {name: Schedule.parse(text) for name, text in vars(config.penalties).items()}
        return Studio(
            seed=seed,
            canvas=canvas,
            cutouts=self.cutouts,
            views=self._views(frame),
            penalties=penalties(weights, canvas.deviation),
            rate=Schedule.parse(config.optimizer.rate),
            average=config.latent.average,
            plateau=config.plateau,
        )

    def begin(self, frame: Frame, studio: Studio) -> State:
        """The State before a frame's first step."""
        generator = Generator().manual_seed(seeds.derive(studio.seed, "start", frame.index))
        canvas, cells = studio.canvas, studio.canvas.cells(frame.stages[0].scale)
        if self._init is None and self.config.start == "codes":
            return State.begin(canvas.random(cells, generator), self.make_optimizer)
        if self._init is not None:
            picture = self._init
        elif self._sketch is not None:
            picture = self._sketch.picture(frame.prompts, frame.height, frame.width, generator)
        else:
            picture = starting_picture(self.config.start, frame.height, frame.width, generator)
        return State.begin(canvas.encode(picture, cells), self.make_optimizer)

    def make_optimizer(self, z: Tensor) -> torch.optim.Optimizer:
        """The Config's optimiser of one tensor; the loop sets its rate before every step."""
        return _OPTIMIZERS[self.config.optimizer.name]([z], lr=1.0)

    def _prepare_sketch(self, pictures: dict[str, Tensor]) -> Sketch:
        """The sketcher, and the wishes as its own CLIP embeds them, be that one of the perceptors or not."""
        targets = next(
            (known for known, p in zip(self._targets, self.perceptors, strict=True) if p.name == READER), None
        )
        if targets is None:
            reader = Perceptor(READER, self.device, torch.float32)
            targets = {wish: self._embed(reader, 0, wish, pictures) for wish in self.config.wishes}
        return Sketch(load_sketcher(self.config.sketcher), targets)

    def _views(self, frame: Frame) -> list[View]:
        uses = Counter(p.model for p in self.config.perceptors)
        return [
            View(
                name=_label(settings, k, uses),
                perceptor=perceptor,
                targets=[self._targets[k][wish] for wish in frame.prompts],
                weight=settings.weight,
                crops=settings.crops or self.config.cutouts.count,
            )
            for k, (settings, perceptor) in enumerate(
                zip(self.config.perceptors, self.perceptors, strict=True)
            )
        ]

    @torch.no_grad()
    def _embed(self, perceptor: Perceptor, k: int, wish: Prompt, pictures: dict[str, Tensor]) -> Target:
        """A wish in a perceptor's space: a text's vector, the vectors of an image's crops, or a random direction."""
        match wish.kind:
            case Kind.TEXT:
                if (tokens := perceptor.tokens(wish.body)) > perceptor.context:
                    log.warning(
                        "%s reads %d tokens, and the prompt has %d: its end goes unread: %r",
                        perceptor.name, perceptor.context, tokens, wish.body,
                    )  # fmt: skip
                return Target(wish, perceptor.embed_texts([wish.body]))
            case Kind.IMAGE:
                seed = seeds.derive(k, "image prompt")
                crops = self.cutouts.of(pictures[wish.body].to(self.device), perceptor.size, seed)
                return Target(wish, perceptor.embed_crops(crops.pixels))
            case Kind.NOISE:
                generator = Generator().manual_seed(seeds.derive(int(wish.body), "noise prompt"))
                width = perceptor.embed_texts([""]).shape[-1]
                return Target(wish, unit(torch.randn(1, width, generator=generator)).to(self.device))


def _label(settings: PerceptorConfig, k: int, uses: Counter[str]) -> str:
    """A perceptor's name among the losses; numbered where one model serves twice."""
    return settings.model if uses[settings.model] == 1 else f"{settings.model} #{k + 1}"
