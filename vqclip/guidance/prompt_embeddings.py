"""PromptEmbeddings: every wish of a Config in one perceptor's space, embedded once, and a frame's Targets made of
them."""

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
    """What prompts mean to the `number`th perceptor; `images` holds those that image prompts name."""

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
        """The unit vectors (m d) of a prompt."""
        return self._known[prompt.content]

    def target(self, frame_prompt: FramePrompt) -> Target:
        """A frame's wish; between two scenes it lies on the arc from one meaning to the other."""
        embedding = self.of(frame_prompt.prompt)
        if frame_prompt.leaving is not None:
            embedding = slerp(self.of(frame_prompt.leaving), embedding, frame_prompt.share)
        return Target(frame_prompt.prompt, embedding)

    def _embed(self, prompt: Prompt) -> Tensor:
        """A text's vector, the vectors of an image's crops, or a random direction."""
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
        return self.perceptor.embed_texts([text])
