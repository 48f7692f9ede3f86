"""A Sketch is a beginning that already has the colours and rough shapes of what is wished for."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip import ops
from vqclip.losses import Target
from vqclip.models.sketch import EMBED, GUESSES, Sketcher
from vqclip.prompt import Prompt

GRAIN = 0.15  # amplitude of the noise over it, for the loop to find shapes in


class Sketch:
    """A Sketcher with the wishes as its own CLIP embeds them."""

    def __init__(self, sketcher: Sketcher, targets: Mapping[Prompt, Target]):
        self.sketcher = sketcher
        self._wishes = {wish: target.embeddings.float().mean(0).cpu() for wish, target in targets.items()}

    @torch.no_grad()
    def picture(
        self, prompts: Sequence[Prompt], height: int, width: int, generator: torch.Generator
    ) -> Tensor:
        """A guess (1 3 h w) in [0, 1] at all the prompts together, each by its weight."""
        wish = sum((prompt.weight * self._wishes[prompt] for prompt in prompts), torch.zeros(EMBED))
        thumbnail = self.sketcher(wish[None], torch.randint(GUESSES, (1,), generator=generator))
        noise = ops.fractal_noise(height, width, generator) - 0.5
        return (centred(thumbnail, height, width) + GRAIN * noise).clamp(0, 1)


def centred(thumbnail: Tensor, height: int, width: int) -> Tensor:
    """A square picture (1 3 s s) enlarged to the shorter side, its borders drawn out along the longer one."""
    short, long = min(height, width), max(height, width)
    square = ops.resize(thumbnail, short, short)
    before, after = (long - short) // 2, (long - short + 1) // 2
    padding = (before, after, 0, 0) if width > height else (0, 0, before, after)
    return F.pad(square, padding, mode="replicate")
