"""A Judge ranks finished pictures by how well they suit their wishes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vqclip.canvas import cover
from vqclip.media import load_picture
from vqclip.perceptor import Perceptor
from vqclip.prompt import Kind, Prompt


class Judge:
    """Looks through a Perceptor, best one that didn't paint: who painted likes what it painted."""

    def __init__(self, perceptor: Perceptor):
        self.perceptor = perceptor

    @torch.no_grad()
    def score(self, picture: Tensor, wishes: Sequence[Prompt]) -> float:
        """The weighted mean of the cosines of a picture (1 3 h w) in [0, 1] and its wishes, from -1 to 1.

        A negative weight counts a likeness against the picture. Noise is no wish that could be judged; without any
        other the score is 0.
        """
        seen = self._look(picture)
        judged = [wish for wish in wishes if wish.kind is not Kind.NOISE]
        likeness = [wish.weight * float(seen @ self._embed(wish)) for wish in judged]
        return sum(likeness) / max(sum(abs(wish.weight) for wish in judged), 1e-12)

    def _embed(self, wish: Prompt) -> Tensor:
        if wish.kind is Kind.IMAGE:
            return self._look(load_picture(Path(wish.body)))
        return self.perceptor.embed_texts([wish.body])[0]

    def _look(self, picture: Tensor) -> Tensor:
        """The direction (d) of a picture's middle square and of its mirror image, between them."""
        size = self.perceptor.size
        square = cover(picture, size, size).clamp(0, 1).to(self.perceptor.device)
        both = self.perceptor.embed_crops(torch.cat([square, square.flip(-1)])).mean(0)
        return both / both.norm()
