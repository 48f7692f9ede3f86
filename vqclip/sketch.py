"""A Sketch is a beginning that already has the colours and rough shapes of what is wished for."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip import ops
from vqclip.models.sketch import EMBED, GUESSES, Sketcher
from vqclip.optimize import Embeds
from vqclip.prompt import Prompt

GRAIN = 0.15  # amplitude of the noise over it, for the loop to find shapes in
FIRMNESS = 60.0  # how much likelier a guess is taken that looks more like the wish, per unit of cosine


class Sketch:
    """A Sketcher, the Perceptor that reads for it, and what that one embeds wishes as."""

    def __init__(self, sketcher: Sketcher, reader: Embeds, meaning: Callable[[Prompt], Tensor]):
        self.sketcher, self.reader, self._meaning = sketcher, reader, meaning

    @torch.no_grad()
    def picture(
        self, prompts: Sequence[Prompt], height: int, width: int, generator: torch.Generator
    ) -> Tensor:
        """A guess (1 3 h w) in [0, 1] at all the prompts, each by its weight; better guesses are likelier."""
        numbers = torch.arange(GUESSES, device=self.sketcher.centre.device)
        directions = [prompt.weight * self._meaning(prompt).float().mean(0) for prompt in prompts]
        wish = ops.unit(sum(directions, torch.zeros(EMBED, device=numbers.device)))
        guesses = self.sketcher(wish.expand(GUESSES, -1), numbers).clamp(0, 1)
        likeness = self.reader.embed_crops(ops.resize(guesses, self.reader.size, self.reader.size)) @ wish
        taken = torch.multinomial((FIRMNESS * likeness).softmax(0).cpu(), 1, generator=generator)
        noise = ops.fractal_noise(height, width, generator) - 0.5
        return (centred(guesses.cpu()[taken], height, width) + GRAIN * noise).clamp(0, 1)


def centred(thumbnail: Tensor, height: int, width: int) -> Tensor:
    """A square picture (1 3 s s) enlarged to the shorter side, its borders drawn out along the longer one."""
    short, long = min(height, width), max(height, width)
    square = ops.resize(thumbnail, short, short)
    before, after = (long - short) // 2, (long - short + 1) // 2
    padding = (before, after, 0, 0) if width > height else (0, 0, before, after)
    return F.pad(square, padding, mode="replicate")
