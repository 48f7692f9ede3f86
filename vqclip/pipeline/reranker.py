"""A Judge ranks finished pictures by how well they suit their wishes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vqclip.config.prompt import Kind, Prompt
from vqclip.guidance.interfaces import Perceptor
from vqclip.guidance.ops import cover
from vqclip.media.image import load_image


class Reranker:
    """Looks through a Perceptor, best one that didn't paint: who painted likes what it painted."""

    def __init__(self, perceptor: Perceptor):
        self.perceptor = perceptor

    @torch.no_grad()
    def score(self, image: Tensor, prompts: Sequence[Prompt]) -> float:
        """The weighted mean of the cosines of a picture (1 3 h w) in [0, 1] and its wishes, from -1 to 1.

        A negative weight counts a likeness against the picture. Noise is no wish that could be judged; without any
        other the score is 0.
        """
        seen = self._look(image)
        judged = [prompt for prompt in prompts if prompt.kind is not Kind.NOISE]
        likeness = [prompt.weight * float(seen @ self._embed(prompt)) for prompt in judged]
        return sum(likeness) / max(sum(abs(prompt.weight) for prompt in judged), 1e-12)

    def _embed(self, prompt: Prompt) -> Tensor:
        if prompt.kind is Kind.IMAGE:
            return self._look(load_image(Path(prompt.body)))
        return self.perceptor.embed_texts([prompt.body])[0]

    def _look(self, image: Tensor) -> Tensor:
        """The direction (d) of a picture's middle square and of its mirror image, between them."""
        size = self.perceptor.size
        square = cover(image, size, size).clamp(0, 1).to(self.perceptor.device)
        both = self.perceptor.embed_crops(torch.cat([square, square.flip(-1)])).mean(0)
        return both / both.norm()
