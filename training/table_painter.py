"""Paint a table of scenes on the device where the training runs, without waiting for it.

Letters in shapes: n scenes, s the side of their pictures, t that of the cut-outs, d = 5 cut-outs of a scene at most,
l tokens of a sentence. Colours lie in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.places import PLACES
from training.scene_tables import COLOUR_VALUES, CUTS, LAND, PLACE_NAMES, WALL, Floats, Table, matrices
from vqclip.start.layout import LUMA, tint_each

LEVELS = 3  # of halved cut-outs: bilinear sampling alone would alias
MATRICES, WALLPAPERS, CLAIMS = 7, 7 + 6 * CUTS, 1 + 2 * CUTS  # columns of a Sheet's floats and whole numbers
SHARP = 1.6  # pixels of a cut-out to one of the picture, at most


@dataclass(frozen=True)
class Group:
    """Cut-outs that are drawn together: how deep they lie, how often they are halved, and how many they are."""

    depth: int
    level: int
    count: int


@dataclass(frozen=True)
class Sheet:
    """A batch of scenes on the device, in three transfers; shapes are known to the CPU."""

    floats: Tensor  # n (7 + 6 d + 6): the ground, a matrix of each cut-out, and the wallpaper's
    whole: Tensor  # n (1 + 2 d + 10 + l): place or wallpaper, rows, colours, what is shown and said, tokens
    order: Tensor  # scenes of the lands, of the wallpapers, and of each group in turn
    lands: int
    walls: int
    groups: tuple[Group, ...]

    @property
    def shown(self) -> Tensor:
        return self.whole[:, CLAIMS : CLAIMS + 5].long()

    @property
    def meant(self) -> Tensor:
        return self.whole[:, CLAIMS + 5 : CLAIMS + 10].long()

    @property
    def tokens(self) -> Tensor:
        return self.whole[:, CLAIMS + 10 :].long()


class TablePainter:
    """Paints tables of scenes of cut-outs (uint8, n 4 t t, premultiplied) and wallpapers (uint8, m 3 h w)."""

    def __init__(self, sprites: Tensor, walls: Tensor, device: torch.device):
        self._side, self._shape, self._device = sprites.shape[-1], walls.shape[2] / walls.shape[3], device
        self._levels, self._walls = halved(sprites.to(device)), walls.to(device)
        self._luma, self._colours = LUMA.to(device), torch.from_numpy(COLOUR_VALUES).to(device)
        self._places = torch.tensor([[_rgb(c) for c in PLACES[name][0]] for name in PLACE_NAMES]).to(device)

    def sheet(self, table: Table, said: np.ndarray, s: int) -> Sheet:
        """Send a table to the device; `said` chooses one of the two sentences of each scene."""
        found, n = matrices(table, self._shape), np.arange(len(table))
        floats = [table["numbers"], found.cuts.reshape(len(n), -1), found.walls.reshape(len(n), -1)]
        tokens = table["tokens"][n, said]
        longest = int((tokens != 0).sum(1).max())
        whole = [
            table["ground"][:, None], table["rows"], table["colours"], table["shown"], table["meant"][n, said],
            tokens[:, :longest],
        ]  # fmt: skip
        lands, walls = (np.flatnonzero(table["kind"] == kind) for kind in (LAND, WALL))
        groups = _groups(table, self._side, s)
        return Sheet(
            self._send(np.concatenate(floats, 1)),
            self._send(np.concatenate(whole, 1)),
            self._send(np.concatenate([lands, walls, *groups.values()])),
            len(lands),
            len(walls),
            tuple(Group(*key, len(where)) for key, where in groups.items()),
        )

    @torch.no_grad()
    def paint(self, sheet: Sheet, s: int) -> Tensor:
        """Paint scenes: n 3 s s in [0, 1]. Hills and grain come from torch's generator of the device."""
        canvas = self._ramps(sheet.floats[:, :MATRICES], s)
        lands, walls, *groups = torch.split(
            sheet.order, [sheet.lands, sheet.walls, *(group.count for group in sheet.groups)]
        )
        if sheet.lands:
            canvas[lands] = self._lands(sheet.whole[lands, 0].long(), sheet.floats[lands, 0], s)
        if sheet.walls:
            pictures = self._walls[sheet.whole[walls, 0].long()].float() / 255
            canvas[walls] = _sampled(pictures, sheet.floats[walls, WALLPAPERS:].view(-1, 2, 3), s)
        for group, where in zip(sheet.groups, groups, strict=True):
            self._lay(canvas, sheet, group, where)
        return canvas.clamp(0, 1)

    def _lay(self, canvas: Tensor, sheet: Sheet, group: Group, where: Tensor) -> None:
        whole, first = sheet.whole[where].long(), MATRICES + 6 * group.depth
        sprites = self._levels[group.level][whole[:, 1 + group.depth]].float() / 255
        row = whole[:, 1 + CUTS + group.depth]
        tinted = tint_each(sprites, self._colours[row][..., None, None], self._luma)
        sprites = torch.where((row > 0)[:, None, None, None], tinted, sprites)
        theta = sheet.floats[where, first : first + 6].view(-1, 2, 3)
        layer = _sampled(sprites, theta, canvas.shape[-1])
        canvas[where] = layer[:, :3] + canvas[where] * (1 - layer[:, 3:])

    def _ramps(self, numbers: Tensor, s: int) -> Tensor:
        one, two, angle = torch.split(numbers[..., None, None], [3, 3, 1], 1)
        line = torch.linspace(-0.5, 0.5, s, device=self._device)
        return torch.lerp(one, two, (0.5 + line * angle.cos() + line[:, None] * angle.sin()).clamp(0, 1))

    def _lands(self, places: Tensor, horizon: Tensor, s: int) -> Tensor:
        """Sky and ground with a soft horizon and some texture, stars at night."""
        top, above, below, bottom = self._places[places][..., None, None].unbind(1)
        horizon = horizon[:, None, None, None]
        hills = torch.randn(len(places), 1, 8, 8, device=self._device)
        hills = F.interpolate(hills, (s, s), mode="bicubic", align_corners=False)
        grain = torch.randn(len(places), 1, s, s, device=self._device)
        y = (torch.linspace(0, 1, s, device=self._device)[:, None] + 0.03 * hills).clamp(0, 1)
        edge = ((y - horizon) * s / 2).sigmoid()
        sky = torch.lerp(top, above, (y / horizon).clamp(0, 1))
        ground = torch.lerp(below, bottom, ((y - horizon) / (1 - horizon)).clamp(0, 1))
        stars = (places == PLACE_NAMES.index("night"))[:, None, None, None] * (grain > 3.0)
        return torch.lerp(sky + stars * (1 - edge), ground, edge) + 0.02 * hills + 0.03 * grain * edge

    def _send(self, values: np.ndarray) -> Tensor:
        """Copy numbers to the device; the CPU waits for no copy out of pinned memory."""
        here = torch.from_numpy(values)
        if self._device.type == "cpu":
            return here
        pinned = torch.empty(here.shape, dtype=here.dtype, pin_memory=True)
        pinned.copy_(here)
        return torch.empty_like(pinned, device=self._device).copy_(pinned, non_blocking=True)


def halved(sprites: Tensor, chunk: int = 1024) -> list[Tensor]:
    """Halve cut-outs (uint8, n 4 t t) once and again."""
    levels = [sprites]
    for _ in range(LEVELS - 1):
        parts = torch.split(levels[-1], chunk)
        levels.append(torch.cat([_half(part) for part in parts]))
    return levels


def _half(sprites: Tensor) -> Tensor:
    pooled = F.avg_pool2d(sprites.float(), 2, ceil_mode=True, count_include_pad=False)
    return pooled.round().byte()


def _sampled(pictures: Tensor, theta: Tensor, s: int) -> Tensor:
    grid = F.affine_grid(theta, [len(theta), pictures.shape[1], s, s], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def _groups(table: Table, t: int, s: int) -> dict[tuple[int, int], np.ndarray]:
    """Say which scenes have a cut-out of each depth and level."""
    sizes: Floats = table["places"][..., 2]
    levels = np.ceil(np.log2(t / (SHARP * sizes * s))).clip(0, LEVELS - 1)
    there = np.arange(CUTS) < table["cuts"][:, None]
    found = {
        (depth, level): np.flatnonzero(there[:, depth] & (levels[:, depth] == level))
        for depth in range(CUTS)
        for level in range(LEVELS)
    }
    return {key: where for key, where in found.items() if len(where)}


def _rgb(text: str) -> list[float]:
    return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
