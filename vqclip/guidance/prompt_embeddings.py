"""Embed each prompt of a Config once with one perceptor, and make a frame's Targets of the embeddings."""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from vqclip.base import seeds
from vqclip.config.prompt import Kind, Prompt
from vqclip.config.timeline import FramePrompt
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.interfaces import Perceptor
from vqclip.guidance.loss import Target
from vqclip.guidance.ops import slerp, unit

log = logging.getLogger(__name__)


class PromptEmbeddings:
    """Hold the prompts' embeddings by the `number`th perceptor; `images` are the images that image prompts name."""

    @torch.no_grad()
    def __init__(
        self,
        perceptor: Perceptor,
        number: int,
        prompts: Sequence[Prompt],
        images: Mapping[str, Tensor],
        cutouts: Cutouts,
    ):
        self.perceptor, self._number, self._images, self._cutouts = perceptor, number, images, cutouts
        self.prompts = prompts
        self._known = {prompt.content: self._embed(prompt) for prompt in prompts}

    def of(self, prompt: Prompt) -> Tensor:
        """Give the unit vectors (m d) of a prompt."""
        return self._known[prompt.content]

    def target(self, frame_prompt: FramePrompt) -> Target:
        """Make the Target of a frame's prompt; between two scenes, interpolate from the last prompt's embedding."""
        embedding = self.of(frame_prompt.prompt)
        if frame_prompt.leaving is not None:
            embedding = slerp(self.of(frame_prompt.leaving), embedding, frame_prompt.share)
        return Target(frame_prompt.prompt, embedding)

    def _embed(self, prompt: Prompt) -> Tensor:
        """Embed a text, or an image's crops, or draw a random direction."""
        match prompt.kind:
            case Kind.TEXT:
                return self._read(prompt.body)
            case Kind.IMAGE:
                image = self._images[prompt.body].to(self.perceptor.device)
                seed = seeds.derive(self._number, "image prompt")
                return self.perceptor.embed_crops(self._cutouts.of(image, self.perceptor.size, seed).pixels)
            case Kind.NOISE:
                generator = Generator().manual_seed(seeds.derive(int(prompt.body), "noise prompt"))
                return unit(torch.randn(1, self._width, generator=generator)).to(self.perceptor.device)

    @property
    def _width(self) -> int:
        """The number of dimensions; that of a crop's embedding, as not every perceptor embeds texts."""
        side, device = self.perceptor.size, self.perceptor.device
        return self.perceptor.embed_crops(torch.zeros(1, 3, side, side, device=device)).shape[-1]

    def _read(self, text: str) -> Tensor:
        tokens, context = self.perceptor.tokens(text), self.perceptor.context
        if tokens > context:
            log.warning(
                "%s reads %d tokens, and the prompt has %d: its end goes unread: %r",
                self.perceptor.name, context, tokens, text,
            )  # fmt: skip
        if foreign := self.perceptor.foreign_words(text):
            log.warning(
                "%s was trained on English texts and can't read %s; write the prompt in English, "
                "or take a multilingual CLIP", self.perceptor.name, ", ".join(foreign),
            )  # fmt: skip
        return self.perceptor.embed_texts([text])
