"""Move the State after a frame to the beginning of the next one, along the film's motion and the source's flow."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vqclip.config.timeline import STANDSTILL, Frame
from vqclip.guidance import motion
from vqclip.guidance.drawer_abilities import MovesLatents
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.ops import cover
from vqclip.guidance.state import State
from vqclip.pipeline.source_video import Source

MakeImage = Callable[[], Tensor]  # gives an image (1 3 h w)


@dataclass(frozen=True)
class FrameMotion:
    """Hold what lies beyond the border of a moved image, the source, and whether frames follow its flow."""

    border: str
    source: Source | None
    flow: bool

    def go_on(self, state: State, frame: Frame, drawer: Drawer, share: float, fresh: MakeImage) -> State:
        """Make the State before a frame's first step, with a `share` of a fresh image in it."""
        if state.latent.shape != drawer.latent_shape():
            # The last frame reached its plateau early, at a coarse stage.
            state.resize(*drawer.latent_shape(), drawer.resize)
        if frame.move == STANDSTILL and not self.flow and not share:
            return state.carried()
        if isinstance(drawer, MovesLatents):
            return self._move_latent(state, frame, drawer, share, fresh)
        return self._move_image(state, frame, drawer, share, fresh)

    def _move_latent(
        self, state: State, frame: Frame, drawer: Drawer, share: float, fresh: MakeImage
    ) -> State:
        assert isinstance(drawer, MovesLatents)
        size = (frame.height, frame.width)
        z = drawer.move(state.latent.mean, self._grid(frame, size, size))
        if share:
            z = z.lerp(drawer.encode(fresh(), drawer.latent_shape()), share)
        return state.moved(z, lambda moments: moments)

    def _move_image(
        self, state: State, frame: Frame, drawer: Drawer, share: float, fresh: MakeImage
    ) -> State:
        with torch.no_grad():
            image = drawer.decode_full(state.latent.mean)
            size = (image.shape[2], image.shape[3])
            grid = self._grid(frame, size, size)
            image = motion.sample(image, grid, self.border)
            if self.border == "paint" or share:
                new = cover(fresh(), *size).to(image)
                empty = motion.uncovered(grid).to(image) if self.border == "paint" else 0.0
                image = image + (new - image) * torch.as_tensor(empty).clamp(min=share)
        z = drawer.encode(image, drawer.latent_shape())
        grid_at = cache(lambda shape: self._grid(frame, size, shape))
        return state.moved(z, lambda moments: drawer.moved(moments, grid_at, self.border))

    def _grid(self, frame: Frame, size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
        """Make the sampling grid that moves the last image: along the source's flow, then by the frame's motion.

        `size` (h, w) is the image's, `shape` (y, x) the grid's resolution.
        """
        grid = motion.moving(frame.move, size, shape)
        if self.source is None or not self.flow:
            return grid
        before, after = (cover(self.source.image(frame.index - i), *size) for i in (1, 0))
        return motion.through(grid, motion.drifting(motion.flow_between(before, after)))
