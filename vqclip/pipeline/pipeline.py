"""Load a Config's models onto a device, and make the first State and the Objective of each frame."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Generator, Tensor

from vqclip.base import device as devices
from vqclip.base import seeds
from vqclip.base.stop import StopToken
from vqclip.config.prompt import Kind
from vqclip.config.schedule import Moment, Schedule
from vqclip.config.schema import Config
from vqclip.config.timeline import Film, Frame
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.filtered_drawer import filtered
from vqclip.guidance.interfaces import Drawer, FirstLatent, PerceptorEntry, Scene
from vqclip.guidance.loss import penalties
from vqclip.guidance.losses.near_start import NearSource
from vqclip.guidance.masking import masked
from vqclip.guidance.memory import MemoryBudget, best_batch_size
from vqclip.guidance.memory_estimate import fitting
from vqclip.guidance.objective import Objective
from vqclip.guidance.optimize import optimize
from vqclip.guidance.optimizers import make_optimizer
from vqclip.guidance.overlay import check_overlay
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig
from vqclip.guidance.prompt_embeddings import PromptEmbeddings
from vqclip.guidance.references import WholeView, make_references
from vqclip.guidance.state import State
from vqclip.guidance.step_graph import step_graphs
from vqclip.guidance.transparent_drawer import check_alpha, transparent
from vqclip.media.image import load_image
from vqclip.models.image_prior import for_each, load_image_prior
from vqclip.pipeline.enlarge import enlarging
from vqclip.pipeline.frame_motion import FrameMotion
from vqclip.pipeline.inputs import read_inputs
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.perceptor_losses import perceptor_losses
from vqclip.start.chosen import check_start, chosen_start

REPORT_EVERY = 20  # steps of a start that optimises

log = logging.getLogger(__name__)


class Pipeline:
    """Hold a Config's models, and make States and Objectives for its frames."""

    def __init__(
        self, config: Config, device: torch.device, pull: bool = False, cache: ModelCache | None = None,
        base: Path = Path(),
    ):  # fmt: skip
        """Load models from a shared `cache`, or from one of its own, whose text towers are then freed.

        Relative paths of images and videos begin at `base`.
        """
        self.config, self.device, self.base = config, device, base
        self.stop = StopToken()  # of the rendering at work, which gives its own
        # Read the user's own files first: this takes a moment, and they are wrong more often than the models.
        self._inputs = read_inputs(config, base)
        self.canvas, self.source = self._inputs.canvas, self._inputs.source
        self.film = Film(config, self.source.reader.count if self.source else None)
        self._motion = FrameMotion(config.motion.border, self.source, config.source.flow)
        self._dtype = devices.dtype_for(config.precision, device)
        devices.allow_tf32(config.precision, device)
        self.cutouts = Cutouts(config.cutouts)
        # All frames share one budget: where one frame ran out of memory, the next would too.
        self._budget = MemoryBudget.of(config.width, config.height, device)
        self._graphs = step_graphs(device, self._dtype)
        self.models = cache or ModelCache(device, pull, keeps_texts=False)
        self.enlarge = enlarging(config.upscale, self.models, self._inputs.lock)
        self._start = chosen_start(config)
        self._check_drawer()
        self._embeddings = self._embed_prompts()
        self._first_image = self._start.prepare(self)
        if not self.models.keeps_texts:
            for embeddings in self._embeddings:
                embeddings.perceptor.forget_texts()

    def _check_drawer(self) -> None:
        """Refuse a drawer that can't do what the Config asks of it; raises ConfigError and WeightsError."""
        drawer = self._open_drawer(self.config.width, self.config.height)
        check_start(self.config, self._start, drawer)
        check_overlay(self._inputs.overlay, drawer)
        check_alpha(self.config, drawer)

    def _open_drawer(self, width: int, height: int) -> Drawer:
        config = self.config
        drawer: Drawer = config.drawer.open(self.models, self._dtype, width, height, config.tile)
        return drawer

    def _embed_prompts(self) -> list[PromptEmbeddings]:
        """Embed the Config's prompts by each of its perceptors."""
        config, entries = self.config, cast(list[PerceptorEntry], self.config.perceptors)
        perceptors = [self.models.perceptor(entry, self._dtype) for entry in entries]
        name = config.texts.image_prior
        prior = self.models.load(name, load_image_prior, self.device) if name else None
        priors = for_each(prior, [each.name for each in perceptors])
        return [
            PromptEmbeddings(
                perceptor, k, config.parsed_prompts, self._inputs.prompts, self.cutouts, config.texts, self.base,
                imagine,
            )
            for k, (perceptor, imagine) in enumerate(zip(perceptors, priors, strict=True))
        ]  # fmt: skip

    @property
    def changes_drawn(self) -> bool:
        """Tell whether images differ from what the drawer itself draws, by a mask or by filters."""
        return self.canvas is not None or bool(self._inputs.filters)

    def in_float32(self) -> "Pipeline":
        """Make the same Pipeline in float32, in which numbers don't overflow."""
        config = replace(self.config, precision="float32")
        return Pipeline(config, self.device, cache=self.models, base=self.base)

    @property
    def batch_size(self) -> int:
        """Give how many images of the Config to make at once for the most speed, as far as memory suffices."""
        config, frame = self.config, self.film.frame(0)
        fastest = best_batch_size(config, config.drawer.channels(), self.device)
        budget = MemoryBudget.of(frame.width, frame.height, self.device)
        return fitting(config, frame, self._dtype, budget, fastest, self.device) if fastest > 1 else 1

    def objective(self, frame: Frame) -> Objective:
        """Make the Objective of a frame."""
        config, optimizer = self.config, self.config.optimizer
        opened = self._open_drawer(frame.width, frame.height)
        sizes = _sizes(frame, opened)
        # The mask is outermost, so that no filter changes what is kept.
        drawer = masked(filtered(opened, self._inputs.filters), self.canvas, sizes)
        clear = transparent(drawer, config)
        scene = self._scene(frame, drawer, sizes)
        listed = penalties(self._terms(), scene)
        return Objective(
            drawer=clear or drawer,
            cutouts=self.cutouts,
            perceptor_losses=perceptor_losses(
                config, self._embeddings, frame, scene, sizes, self.base, self.device
            ),
            penalties=clear.penalties(listed, config.transparent) if clear else listed,
            learning_rate=Schedule.parse(
                config.film.learning_rate if frame.index else optimizer.learning_rate
            ),
            ema_decay=config.latent.ema_decay,
            plateau=config.plateau,
            budget=self._budget,
            graphs=self._graphs,
            learning_rate_unit=optimizer.unit,
            restart=optimizer.restart,
            drops=[Moment.parse(text, "optimizer.drops") for text in optimizer.drops],
            drop_factor=optimizer.drop_factor,
            overlay=self._inputs.overlay,
            dtype=self._dtype,
        )

    def _terms(self) -> dict[str, Any]:
        """The Config's losses, with the distance from the source's frame where there is a source."""
        terms: dict[str, Any] = dict(self.config.losses)
        if self.source:
            terms["near_source"] = NearSource(weight=self.config.source.pull)
        return terms

    def _scene(self, frame: Frame, drawer: Drawer, sizes: list[tuple[int, int]]) -> Scene:
        """Make what loss terms may ask about a frame; `sizes` (h, w) are those of the images that are drawn."""
        source = drawer.encode(self.source.image(frame.index), drawer.latent_shape()) if self.source else None
        given, init = self._given_image(frame), self.config.init
        perceptors = [each.perceptor for each in self._embeddings]
        scene = Scene(
            drawer.unit, source, drawer.resize, given, self.base, self.models, init, perceptors=perceptors
        )
        if not self._inputs.references:
            return scene
        view = WholeView(perceptors, sizes, self.device)
        references = make_references(self._inputs.references, drawer, sizes, view)
        return replace(scene, references=references, embed=view.embed)

    def _given_image(self, frame: Frame) -> Callable[[], Tensor] | None:
        """Give a function that gives the image which the user gave for a frame, or None."""
        if source := self.source:
            return lambda: source.image(frame.index)
        if canvas := self.canvas:
            return lambda: canvas.image
        init = self.config.init  # not what a start mixes from it
        return (lambda: load_image(self.base / init)) if init else None

    def begin(self, frame: Frame, objective: Objective, seed: int) -> State:
        """Make the State before the first step of a film or still, from a seed."""
        drawer, shape = objective.drawer, objective.drawer.latent_shape(frame.stages[0].scale)
        generator = self._generator(frame, seed)
        z = self._start.latent(drawer, shape, generator)
        if z is None and isinstance(self._first_image, FirstLatent):
            z = self._first_image.latent(frame, drawer, shape, generator)
        if z is None:
            z = drawer.encode(self.first_image(frame, generator), shape)
        return State.begin(z, self.make_optimizer, seed)

    def go_on(self, state: State, frame: Frame, objective: Objective) -> State:
        """Make the State before a frame's first step from the State after the last frame."""
        # A start image that the user gave doesn't change with the scene.
        share = 0.0 if self._start.given else frame.fresh

        def fresh() -> Tensor:
            return self.first_image(frame, self._generator(frame, state.seed))

        return self._motion.go_on(state, frame, objective.drawer, share, fresh)

    def _generator(self, frame: Frame, seed: int) -> Generator:
        """Make the generator of the first image, which is the same for all frames of a scene."""
        return Generator().manual_seed(seeds.derive(seed, "start", frame.scene))

    def first_image(self, frame: Frame, generator: Generator) -> Tensor:
        """Make the image (1 3 h w) that a frame starts from if there is no frame before it."""
        return self._first_image(frame, generator)

    def draws(self, config: Config) -> Callable[[Frame, int], Tensor]:
        """Give a function of a frame and a seed that optimises an image under another Config, with these models."""
        other = Pipeline(config, self.device, cache=self.models, base=self.base)

        def draw(frame: Frame, seed: int) -> Tensor:
            objective = other.objective(frame)
            state = other.begin(frame, objective, seed)
            log.warning("the start first takes %d steps of its own", frame.steps)
            for (step,) in optimize(frame, objective, [state]):
                if self.stop.stopped:
                    break
                if step.index % REPORT_EVERY == 0:
                    log.warning("the start has taken %d of %d steps", step.index, step.steps)
            return objective.drawer.decode_full(state.latent.mean).detach()

        return draw

    def embeddings(self, name: str) -> PromptEmbeddings:
        """Give the prompts' embeddings by a CLIP, which need not be one of the perceptors."""
        for entry, known in zip(self.config.perceptors, self._embeddings, strict=True):
            if isinstance(entry, OpenCLIPConfig) and known.perceptor.name == name and not known.imagines:
                return known
        reader = self.models.perceptor(OpenCLIPConfig(model=name), torch.float32)
        prompts = [prompt for prompt in self.config.parsed_prompts if prompt.kind is not Kind.VECTOR]
        return PromptEmbeddings(reader, 0, prompts, self._inputs.prompts, self.cutouts, self.config.texts)

    @property
    def dtype(self) -> torch.dtype:
        """Give the type of the networks' arithmetic."""
        return self._dtype

    @torch.no_grad()
    def score(self, image: Tensor, frame: Frame) -> Tensor:
        """Score () how near an image (1 3 h w) is to a frame's prompts: minus the perceptors' losses of all of it."""
        pairs = zip(self.config.perceptors, self._embeddings, strict=True)
        return -torch.stack([e.weight * texts.whole_loss(image, frame.prompts) for e, texts in pairs]).sum()

    def make_optimizer(self, z: Tensor) -> torch.optim.Optimizer:
        """Make the Config's optimiser of one tensor; the loop sets its learning rate in each step."""
        return make_optimizer(self.config.optimizer.name, z)


def _sizes(frame: Frame, drawer: Drawer) -> list[tuple[int, int]]:
    """List the sizes (h, w) of the images that a drawer draws for a frame, and the frame's own."""
    shapes = [drawer.latent_shape(stage.scale) for stage in frame.stages]
    return sorted({(frame.height, frame.width), *map(drawer.drawn_size, shapes)})
