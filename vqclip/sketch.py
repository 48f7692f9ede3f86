"""A Sketch is a beginning that already has the colours and rough shapes of what is wished for."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip import ops
from vqclip.losses import Target
from vqclip.models.sketch import EMBED, GUESSES, Sketcher
from vqclip.optimize import Embeds
from vqclip.prompt import Prompt

GRAIN = 0.15  # amplitude of the noise over it, for the loop to find shapes in
FIRMNESS = 60.0  # how much likelier a guess is taken that looks more like the wish, per unit of cosine


class Sketch:
    """A Sketcher, the Perceptor that reads for it, and the wishes as that one embeds them."""

    def __init__(self, sketcher: Sketcher, reader: Embeds, targets: Mapping[Prompt, Target]):
        self.sketcher, self.reader = sketcher, reader
        self._wishes = {wish: target.embeddings.float().mean(0) for wish, target in targets.items()}

    @torch.no_grad()
    def picture(
        self, prompts: Sequence[Prompt], height: int, width: int, generator: torch.Generator
    ) -> Tensor:
        """A guess (1 3 h w) in [0, 1] at all the prompts, each by its weight; better guesses are likelier."""
        numbers = torch.arange(GUESSES, device=self.sketcher.centre.device)
        nothing = torch.zeros(EMBED, device=numbers.device)
        wish = ops.unit(sum((prompt.weight * self._wishes[prompt] for prompt in prompts), nothing))
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
