"""A Sketch is a beginning that already has the colours and rough shapes of what is wished for.

Letters in shapes: n candidates of s x s pixels, d dimensions of embeddings.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip import ops
from vqclip.models.sketch import EMBED, GUESSES, Sketcher
from vqclip.optimize import Embeds
from vqclip.prompt import Kind, Prompt

GRAIN = 0.15  # amplitude of the noise over it, for the loop to find shapes in
FIRMNESS = 60.0  # how much likelier a candidate is taken that looks more like the wish, per unit of cosine
DOUBT = (
    0.3  # what a drawing loses of that cosine where its word is another than the wish's: per unit of theirs
)
DRAWINGS = 16  # of the sketchbook that are considered
LARGE = 0.86  # of a drawing's side, as a share of the picture's
SHADES = 0.6  # how much of its light and shade a drawing keeps in a new colour
OPAQUE = 0.9  # how much that covers of the old one
_LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
COLOURS = {
    "red": (0.86, 0.10, 0.12),
    "orange": (0.97, 0.53, 0.10),
    "yellow": (0.98, 0.86, 0.14),
    "green": (0.16, 0.65, 0.22),
    "blue": (0.13, 0.33, 0.83),
    "purple": (0.52, 0.18, 0.70),
    "pink": (0.97, 0.52, 0.72),
    "brown": (0.45, 0.27, 0.13),
    "black": (0.07, 0.07, 0.08),
    "white": (0.97, 0.97, 0.97),
    "grey": (0.52, 0.52, 0.53),
    "light blue": (0.58, 0.79, 0.96),
    "dark green": (0.05, 0.31, 0.13),
    "golden": (0.86, 0.66, 0.19),
    "turquoise": (0.14, 0.75, 0.72),
    "beige": (0.93, 0.87, 0.75),
}

# What ends the naming of a thing and begins to say where it is, or with what.
_PLACE = re.compile(
    r"\s(in|on|at|by|under|over|above|below|behind|beside|near|with|and|next to|in front of)\s"
)


class Sketch:
    """A Sketcher and the Perceptor that reads for it; prompts' meanings and their subjects', embedded beforehand."""

    def __init__(
        self,
        sketcher: Sketcher,
        reader: Embeds,
        meaning: Callable[[Prompt], Tensor],
        subjects: Mapping[str, Tensor],
    ):
        """`meaning` gives unit vectors (m d); `subjects` has, by text, what `subject` of it means (1 d)."""
        self.sketcher, self.reader, self._meaning, self._subjects = sketcher, reader, meaning, subjects

    @torch.no_grad()
    def picture(
        self, prompts: Sequence[Prompt], height: int, width: int, generator: torch.Generator
    ) -> Tensor:
        """A beginning (1 3 h w) in [0, 1] for all the prompts, each by its weight; better candidates are likelier."""
        numbers = torch.arange(GUESSES, device=self.sketcher.centre.device)
        directions = [prompt.weight * self._meaning(prompt).float().mean(0) for prompt in prompts]
        wish = ops.unit(sum(directions, torch.zeros(EMBED, device=numbers.device)))
        guesses = self.sketcher(wish.expand(GUESSES, -1), numbers).clamp(0, 1)
        drawn, doubt = self._drawn(prompts, guesses)
        candidates = torch.cat([guesses, drawn])
        likeness = self.reader.embed_crops(ops.resize(candidates, self.reader.size, self.reader.size)) @ wish
        likeness -= DOUBT * F.pad(doubt, (GUESSES, 0))
        taken = torch.multinomial((FIRMNESS * likeness).softmax(0).cpu(), 1, generator=generator)
        noise = ops.fractal_noise(height, width, generator) - 0.5
        return (centred(candidates.cpu()[taken], height, width) + GRAIN * noise).clamp(0, 1)

    def _drawn(self, prompts: Sequence[Prompt], guesses: Tensor) -> tuple[Tensor, Tensor]:
        """Drawings (n 3 s s) of what is wished for most, over the grounds of the guesses in turn.

        And how far their words are from the wish's (n), from 0 up.
        """
        texts = [prompt for prompt in prompts if prompt.kind is Kind.TEXT and prompt.weight > 0]
        if self.sketcher.book is None or not texts:
            return guesses[:0], guesses.new_zeros(0)
        first = max(texts, key=lambda prompt: prompt.weight)
        drawings, likeness = self.sketcher.book.search(self._subjects[first.body][0], DRAWINGS)
        for word in subject(first.body).replace("gray", "grey").split():
            drawings = tint(drawings, COLOURS[word]) if word in COLOURS else drawings
        grounds = ground(guesses).repeat(-(-len(drawings) // GUESSES), 1, 1, 1)[: len(drawings)]
        return lay(drawings, grounds), 1 - likeness


def subject(text: str) -> str:
    """The thing that a sentence is about: 'an oil painting of a ship in a storm' -> 'a ship'."""
    return _PLACE.split(text.rpartition(" of ")[2], maxsplit=1)[0].strip()


def tint(
    drawings: Tensor, colour: tuple[float, float, float], shades: float = SHADES, opaque: float = OPAQUE
) -> Tensor:
    """Premultiplied drawings (n 4 s s) in shades of one colour: their own light and shade, about its own."""
    alpha = drawings[:, 3:]
    light = (drawings[:, :3] * _LUMA.to(drawings)).sum(1, keepdim=True)
    mean = light.sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp(min=1)
    shade = alpha + shades * (light - mean * alpha)
    painted = torch.minimum(torch.tensor(colour).view(3, 1, 1).to(drawings) * shade, alpha)
    return torch.cat([opaque * painted + (1 - opaque) * drawings[:, :3], alpha], 1)


def ground(pictures: Tensor) -> Tensor:
    """Each row of pictures (n 3 s s) in the colour of its two ends: what lies behind the thing in the middle."""
    edge = pictures.shape[-1] // 10
    ends = torch.cat([pictures[..., :edge], pictures[..., -edge:]], -1).mean(-1)
    smooth = F.avg_pool1d(F.pad(ends, (2, 2), mode="replicate"), 5, 1)
    return smooth[..., None].expand(pictures.shape)


def lay(drawings: Tensor, grounds: Tensor) -> Tensor:
    """Drawings (n 4 t t), premultiplied, in the middle of grounds (n 3 s s)."""
    side = grounds.shape[-1]
    margin = round(side * (1 - LARGE) / 2)
    small = F.interpolate(drawings, (side - 2 * margin,) * 2, mode="bilinear", antialias=True)
    layer = F.pad(small, (margin,) * 4)
    return layer[:, :3] + grounds * (1 - layer[:, 3:])


def centred(thumbnail: Tensor, height: int, width: int) -> Tensor:
    """A square picture (1 3 s s) enlarged to the shorter side, its borders drawn out along the longer one."""
    short, long = min(height, width), max(height, width)
    square = ops.resize(thumbnail, short, short)
    before, after = (long - short) // 2, (long - short + 1) // 2
    padding = (before, after, 0, 0) if width > height else (0, 0, before, after)
    return F.pad(square, padding, mode="replicate")
