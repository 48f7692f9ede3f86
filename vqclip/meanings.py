"""Meanings: every wish of a Config in one perceptor's space, embedded once, and a frame's Targets made of them."""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from vqclip import seeds
from vqclip.cutouts import Cutouts
from vqclip.film import Wish
from vqclip.losses import Target
from vqclip.ops import slerp, unit
from vqclip.perceptor import Perceptor
from vqclip.prompt import Kind, Prompt

log = logging.getLogger(__name__)


class Meanings:
    """What prompts mean to the `number`th perceptor; `pictures` holds those that image prompts name."""

    @torch.no_grad()
    def __init__(
        self,
        perceptor: Perceptor,
        number: int,
        prompts: Sequence[Prompt],
        pictures: Mapping[str, Tensor],
        cutouts: Cutouts,
    ):
        self.perceptor, self._number, self._pictures, self._cutouts = perceptor, number, pictures, cutouts
        self._known = {prompt.meaning: self._embed(prompt) for prompt in prompts}

    def of(self, prompt: Prompt) -> Tensor:
        """The unit vectors (m d) of a prompt."""
        return self._known[prompt.meaning]

    def target(self, wish: Wish) -> Target:
        """A frame's wish; between two scenes it lies on the arc from one meaning to the other."""
        meaning = self.of(wish.prompt)
        if wish.leaving is not None:
            meaning = slerp(self.of(wish.leaving), meaning, wish.share)
        return Target(wish.prompt, meaning)

    def _embed(self, prompt: Prompt) -> Tensor:
        """A text's vector, the vectors of an image's crops, or a random direction."""
        match prompt.kind:
            case Kind.TEXT:
                return self._read(prompt.body)
            case Kind.IMAGE:
                picture = self._pictures[prompt.body].to(self.perceptor.device)
                seed = seeds.derive(self._number, "image prompt")
                return self.perceptor.embed_crops(self._cutouts.of(picture, self.perceptor.size, seed).pixels)
            case Kind.NOISE:
                generator = Generator().manual_seed(seeds.derive(int(prompt.body), "noise prompt"))
                width = self.perceptor.embed_texts([""]).shape[-1]
                return unit(torch.randn(1, width, generator=generator)).to(self.perceptor.device)

    def _read(self, text: str) -> Tensor:
        tokens, context = self.perceptor.tokens(text), self.perceptor.context
        if tokens > context:
            log.warning(
                "%s reads %d tokens, and the prompt has %d: its end goes unread: %r",
                self.perceptor.name, context, tokens, text,
            )  # fmt: skip
        return self.perceptor.embed_texts([text])
