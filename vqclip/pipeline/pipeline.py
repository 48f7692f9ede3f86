"""Load a Config's models onto a device, and make the first State and the Objective of each frame."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from vqclip.base import device as devices
from vqclip.base import seeds
from vqclip.base.stop import StopToken
from vqclip.config.prompt import Kind
from vqclip.config.schedule import Moment, Schedule
from vqclip.config.schema import Config, PerceptorConfig
from vqclip.config.timeline import STANDSTILL, Film, Frame
from vqclip.guidance import motion
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.drawer_abilities import MovesLatents
from vqclip.guidance.filtered_drawer import filtered, open_filters, open_lock
from vqclip.guidance.interfaces import Drawer, FirstImage, FirstLatent, Scene
from vqclip.guidance.loss import crop_penalties, penalties
from vqclip.guidance.losses.near_start import NearSource
from vqclip.guidance.masking import masked, open_canvas
from vqclip.guidance.memory import MemoryBudget, best_batch_size
from vqclip.guidance.memory_estimate import fitting
from vqclip.guidance.objective import Objective, PerceptorLoss
from vqclip.guidance.ops import cover
from vqclip.guidance.optimize import optimize
from vqclip.guidance.optimizers import make_optimizer
from vqclip.guidance.overlay import check_overlay, open_overlay
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig
from vqclip.guidance.prompt_embeddings import PromptEmbeddings
from vqclip.guidance.references import WholeView, make_references, read_references
from vqclip.guidance.regions import region_masks
from vqclip.guidance.state import State
from vqclip.guidance.step_graph import step_graphs
from vqclip.guidance.transparent_drawer import check_alpha, transparent
from vqclip.media.image import load_image
from vqclip.pipeline.enlarge import enlarging
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.source_video import Source, open_source
from vqclip.start.chosen import check_start, chosen_start
from vqclip.start.init import InitStart

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
        self._start = chosen_start(config)
        self.canvas = open_canvas(config, base)
        is_image = type(self._start) is InitStart  # the others need models
        self._first_image: FirstImage | None = self._start.prepare(self) if is_image else None
        video = open_source(config.source, base)
        self.source = Source(video) if video else None
        if video and config.source.flow:
            motion.check_flow()
        self.film = Film(config, video.count if video else None)
        prompts = config.parsed_prompts
        self._images = images = {
            prompt.body: load_image(base / prompt.body) for prompt in prompts if prompt.kind is Kind.IMAGE
        }
        region_masks(prompts, base, [(1, 1)], device)  # refuses files that can't be read
        self._overlay = open_overlay(config.overlay, base, config.width, config.height)
        self._references = read_references(config, base, self.canvas)
        self._filters = open_filters(config, self)
        self._dtype = dtype = devices.dtype_for(config.precision, device)
        devices.allow_tf32(config.precision, device)
        self.cutouts = Cutouts(config.cutouts)
        # All frames share one budget: where one frame ran out of memory, the next would too.
        self._budget = MemoryBudget.of(config.width, config.height, device)
        self._graphs = step_graphs(device, dtype)
        self.models = cache or ModelCache(device, pull, keeps_texts=False)
        self.enlarge = enlarging(config.upscale, self.models, open_lock(config, self))
        drawer = config.drawer.open(self.models, dtype, config.width, config.height, config.tile)
        check_start(config, self._start, drawer)
        check_overlay(self._overlay, drawer)
        check_alpha(config, drawer)
        entries: list[Any] = config.perceptors
        self._embeddings = [
            PromptEmbeddings(
                self.models.perceptor(entry, dtype), k, prompts, images, self.cutouts, config.texts, base
            )
            for k, entry in enumerate(entries)
        ]
        self._first_image = self._first_image or self._start.prepare(self)
        if not self.models.keeps_texts:
            for embeddings in self._embeddings:
                embeddings.perceptor.forget_texts()

    @property
    def changes_drawn(self) -> bool:
        """Tell whether images differ from what the drawer itself draws, by a mask or by filters."""
        return self.canvas is not None or bool(self._filters)

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
        config = self.config
        opened: Drawer = config.drawer.open(self.models, self._dtype, frame.width, frame.height, config.tile)
        shapes = [opened.latent_shape(stage.scale) for stage in frame.stages]
        sizes = sorted({(frame.height, frame.width), *map(opened.drawn_size, shapes)})
        # The mask is outermost, so that no filter changes what is kept.
        drawer = masked(filtered(opened, self._filters), self.canvas, sizes)
        clear = transparent(drawer, config)
        terms: dict[str, Any] = dict(config.losses)
        if self.source:
            terms["near_source"] = NearSource(weight=config.source.pull)
        source = drawer.encode(self.source.image(frame.index), drawer.latent_shape()) if self.source else None
        scene = self._scene(frame, drawer, source, sizes)
        listed = penalties(terms, scene)
        return Objective(
            drawer=clear or drawer,
            cutouts=self.cutouts,
            perceptor_losses=self._perceptor_losses(frame, scene, sizes),
            penalties=clear.penalties(listed, config.transparent) if clear else listed,
            learning_rate=Schedule.parse(
                config.film.learning_rate if frame.index else config.optimizer.learning_rate
            ),
            ema_decay=config.latent.ema_decay,
            plateau=config.plateau,
            budget=self._budget,
            graphs=self._graphs,
            learning_rate_unit=config.optimizer.unit,
            restart=config.optimizer.restart,
            drops=[Moment.parse(text, "optimizer.drops") for text in config.optimizer.drops],
            drop_factor=config.optimizer.drop_factor,
            overlay=self._overlay,
        )

    def _scene(
        self, frame: Frame, drawer: Drawer, source: Tensor | None, sizes: list[tuple[int, int]]
    ) -> Scene:
        """Make what loss terms may ask about a frame; `sizes` (h, w) are those of the images that are drawn."""
        given, init = self._given_image(frame), self.config.init
        perceptors = [each.perceptor for each in self._embeddings]
        scene = Scene(
            drawer.unit, source, drawer.resize, given, self.base, self.models, init, perceptors=perceptors
        )
        if not self._references:
            return scene
        view = WholeView(perceptors, sizes, self.device)
        references = make_references(self._references, drawer, sizes, view)
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
        drawer, border = objective.drawer, self.config.motion.border
        share = (
            0.0 if self._start.given else frame.fresh
        )  # a start image that the user gave doesn't change with the scene
        if state.latent.shape != drawer.latent_shape():
            state.resize(
                *drawer.latent_shape(), drawer.resize
            )  # the last frame reached its plateau early, at a coarse stage
        if frame.move == STANDSTILL and not self.config.source.flow and not share:
            return state.carried()
        if isinstance(drawer, MovesLatents):
            size = (frame.height, frame.width)
            z = drawer.move(state.latent.mean, self._grid(frame, size, size))
            if share:
                fresh = self.first_image(frame, self._generator(frame, state.seed))
                z = z.lerp(drawer.encode(fresh, drawer.latent_shape()), share)
            return state.moved(z, lambda moments: moments)
        with torch.no_grad():
            image = drawer.decode_full(state.latent.mean)
            size = (image.shape[2], image.shape[3])
            grid = self._grid(frame, size, size)
            image = motion.sample(image, grid, border)
            if border == "paint" or share:
                fresh = cover(self.first_image(frame, self._generator(frame, state.seed)), *size).to(image)
                empty = motion.uncovered(grid).to(image) if border == "paint" else 0.0
                image = image + (fresh - image) * torch.as_tensor(empty).clamp(min=share)
        z = drawer.encode(image, drawer.latent_shape())
        grid_at = cache(lambda shape: self._grid(frame, size, shape))
        return state.moved(z, lambda moments: drawer.moved(moments, grid_at, border))

    def _grid(self, frame: Frame, size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
        """Make the sampling grid that moves the last image: along the source's flow, then by the frame's motion.

        `size` (h, w) is the image's, `shape` (y, x) the grid's resolution.
        """
        grid = motion.moving(frame.move, size, shape)
        if self.source is None or not self.config.source.flow:
            return grid
        before, after = (cover(self.source.image(frame.index - i), *size) for i in (1, 0))
        return motion.through(grid, motion.drifting(motion.flow_between(before, after)))

    def _generator(self, frame: Frame, seed: int) -> Generator:
        """Make the generator of the first image, which is the same for all frames of a scene."""
        return Generator().manual_seed(seeds.derive(seed, "start", frame.scene))

    def first_image(self, frame: Frame, generator: Generator) -> Tensor:
        """Make the image (1 3 h w) that a frame starts from if there is no frame before it."""
        assert self._first_image
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
            if isinstance(entry, OpenCLIPConfig) and known.perceptor.name == name:
                return known
        reader = self.models.perceptor(OpenCLIPConfig(model=name), torch.float32)
        prompts = [prompt for prompt in self.config.parsed_prompts if prompt.kind is not Kind.VECTOR]
        return PromptEmbeddings(reader, 0, prompts, self._images, self.cutouts, self.config.texts)

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

    def _perceptor_losses(
        self, frame: Frame, scene: Scene, sizes: Iterable[tuple[int, int]]
    ) -> list[PerceptorLoss]:
        """Make a frame's perceptor losses; `sizes` (h, w) are those of the images that are drawn."""
        prompts = [frame_prompt.prompt for frame_prompt in frame.prompts]
        regions = region_masks(prompts, self.base, sizes, self.device)
        uses = Counter(p.label for p in self.config.perceptors)
        return [
            PerceptorLoss(
                name=_label(settings, k, uses),
                perceptor=embeddings.perceptor,
                targets=[embeddings.target(frame_prompt, regions) for frame_prompt in frame.prompts],
                weight=settings.weight,
                crops=settings.crops or self.config.cutouts.count,
                penalties=crop_penalties(self.config.losses, embeddings.perceptor, scene),
            )
            for k, (settings, embeddings) in enumerate(
                zip(self.config.perceptors, self._embeddings, strict=True)
            )
        ]


def _label(settings: PerceptorConfig, k: int, uses: Counter[str]) -> str:
    """Name a perceptor among the losses; number it if one model is used twice."""
    return settings.label if uses[settings.label] == 1 else f"{settings.label} #{k + 1}"
