"""Paint many scenes at once, on the device where the training runs.

Letters in shapes: n scenes, k of them, s the side of their pictures, t that of the cut-outs. Colours lie in [0, 1].
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from training.scenes.compose import affine
from training.scenes.draws import Cut, Ground, Land, Ramp, Scene, Wall
from training.scenes.places import PLACES
from vqclip.start.layout import tint

G = TypeVar("G", bound=Ground)


class Painter:
    """Paints scenes of cut-outs (uint8, n 4 t t, premultiplied) and wallpapers (uint8, m 3 h w)."""

    def __init__(self, sprites: Tensor, walls: Tensor, device: torch.device):
        self._sprites, self._walls, self._device = sprites.to(device), walls.to(device), device

    @torch.no_grad()
    def paint(self, scenes: Sequence[Scene], s: int, generator: torch.Generator) -> Tensor:
        """Scenes → n 3 s s in [0, 1]. The generator, on the CPU, draws the shapes of hills."""
        canvas = torch.empty(len(scenes), 3, s, s, device=self._device)
        grounds = [scene.ground for scene in scenes]
        if found := _of_kind(grounds, Ramp):
            canvas[list(found)] = self._ramps(list(found.values()), s)
        if found_walls := _of_kind(grounds, Wall):
            canvas[list(found_walls)] = self._wallpapers(list(found_walls.values()), s)
        if found_lands := _of_kind(grounds, Land):
            canvas[list(found_lands)] = self._lands(list(found_lands.values()), s, generator)
        for depth in range(max(len(scene.cuts) for scene in scenes)):
            self._lay(
                canvas, {i: scene.cuts[depth] for i, scene in enumerate(scenes) if depth < len(scene.cuts)}
            )
        return canvas.clamp(0, 1)

    def _lay(self, canvas: Tensor, cuts: dict[int, Cut]) -> None:
        """Lay a cut-out over each of some canvases; those of like size and colour are drawn together."""
        groups: dict[tuple[int, object], list[int]] = defaultdict(list)
        t, s = self._sprites.shape[-1], canvas.shape[-1]
        for i, cut in cuts.items():
            halvings = max(0, math.ceil(math.log2(t / (1.6 * cut.place.size * s))))
            groups[halvings, cut.colour].append(i)
        for (halvings, _), where in groups.items():
            chosen = [cuts[i] for i in where]
            sprites = self._sprites[[cut.row for cut in chosen]].float() / 255
            if (colour := chosen[0].colour) is not None:
                sprites = tint(sprites, colour)
            if halvings:  # bilinear sampling alone would alias
                sprites = F.avg_pool2d(sprites, 2**halvings, ceil_mode=True, count_include_pad=False)
            theta = torch.tensor([affine(cut.place) for cut in chosen], device=self._device)
            grid = F.affine_grid(theta, [len(where), 4, s, s], align_corners=False)
            layer = F.grid_sample(sprites, grid, align_corners=False)
            canvas[where] = layer[:, :3] + canvas[where] * (1 - layer[:, 3:])

    def _ramps(self, ramps: list[Ramp], s: int) -> Tensor:
        one = self._numbers([ramp.one for ramp in ramps])[..., None, None]
        two = self._numbers([ramp.two for ramp in ramps])[..., None, None]
        angle = self._numbers([[ramp.angle] for ramp in ramps])[..., None, None]
        line = torch.linspace(-0.5, 0.5, s, device=self._device)
        return torch.lerp(one, two, (0.5 + line * angle.cos() + line[:, None] * angle.sin()).clamp(0, 1))

    def _wallpapers(self, walls: list[Wall], s: int) -> Tensor:
        height, width = self._walls.shape[2:]
        theta = []
        for wall in walls:
            across = wall.side * height / width
            sign = -1.0 if wall.mirrored else 1.0
            theta.append(
                [[sign * across, 0.0, wall.x * (1 - across)], [0.0, wall.side, wall.y * (1 - wall.side)]]
            )
        grid = F.affine_grid(self._numbers(theta), [len(walls), 3, s, s], align_corners=False)
        return F.grid_sample(
            self._walls[[wall.row for wall in walls]].float() / 255, grid, align_corners=False
        )

    def _lands(self, lands: list[Land], s: int, generator: torch.Generator) -> Tensor:
        """Sky and ground with a soft horizon and some texture, stars at night."""
        colours = self._numbers([[_rgb(text) for text in PLACES[land.place][0]] for land in lands])
        top, above, below, bottom = colours[..., None, None].unbind(1)
        horizon = self._numbers([[[[land.horizon]]] for land in lands])
        coarse = torch.randn(len(lands), 1, 8, 8, generator=generator).to(self._device)
        grain = torch.randn(len(lands), 1, s, s, generator=generator).to(self._device)
        hills = F.interpolate(coarse, (s, s), mode="bicubic", align_corners=False)
        y = (torch.linspace(0, 1, s, device=self._device)[:, None] + 0.03 * hills).clamp(0, 1)
        edge = ((y - horizon) * s / 2).sigmoid()
        sky = torch.lerp(top, above, (y / horizon).clamp(0, 1))
        ground = torch.lerp(below, bottom, ((y - horizon) / (1 - horizon)).clamp(0, 1))
        night = self._numbers([[[[float(land.place == "night")]]] for land in lands])
        return (
            torch.lerp(sky + night * (grain > 3.0) * (1 - edge), ground, edge)
            + 0.02 * hills
            + 0.03 * grain * edge
        )

    def _numbers(self, values: Sequence[object]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device)


def _of_kind(grounds: Sequence[Ground], kind: type[G]) -> dict[int, G]:
    return {i: ground for i, ground in enumerate(grounds) if isinstance(ground, kind)}


def _rgb(text: str) -> list[float]:
    return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
