"""Embed each prompt of a Config once with one perceptor, and make a frame's Targets of the embeddings."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor

from vqclip.base import seeds
from vqclip.base.errors import ConfigError
from vqclip.config.prompt import Kind, Prompt
from vqclip.config.sections import TextsConfig
from vqclip.config.timeline import FramePrompt
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.interfaces import Perceptor
from vqclip.guidance.loss import Target
from vqclip.guidance.ops import cover, slerp, unit
from vqclip.guidance.regions import RegionMask
from vqclip.guidance.texts import chunks, read_vectors

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
        texts: TextsConfig,
        base: Path = Path(),
        imagine: Callable[[Tensor], Tensor] | None = None,
    ):
        """Paths of stored embeddings begin at `base`.

        `imagine` turns embeddings of texts (n d) into those of images of them, which are targets beside the texts'.
        """
        self.perceptor, self._number, self._images, self._cutouts = perceptor, number, images, cutouts
        self.prompts, self._texts, self._base, self._imagine = prompts, texts, base, imagine
        self._known = {prompt.content: self._embed(prompt) for prompt in prompts}

    @property
    def imagines(self) -> bool:
        """Tell whether texts have a second target beside their own embeddings."""
        return self._imagine is not None

    def of(self, prompt: Prompt) -> Tensor:
        """Give the unit vectors (m d) of a prompt."""
        return self._known[prompt.content]

    def target(self, frame_prompt: FramePrompt, regions: Mapping[str, RegionMask]) -> Target:
        """Make the Target of a frame's prompt; between two scenes, interpolate from the last prompt's embedding.

        `regions` has the mask of each region by its text.
        """
        region = frame_prompt.prompt.region
        embedding = self._between_scenes(frame_prompt)
        return Target(frame_prompt.prompt, embedding, None if region is None else regions[region])

    def whole_loss(self, image: Tensor, frame_prompts: Iterable[FramePrompt]) -> Tensor:
        """Compute the prompts' loss () of a whole image (1 3 h w) in [0, 1]; regions are not looked at."""
        whole = cover(image, self.perceptor.size, self.perceptor.size).clamp(0, 1)
        crops = self.perceptor.embed_crops(whole.to(self.perceptor.device))
        losses = [Target(each.prompt, self._between_scenes(each)).loss(crops) for each in frame_prompts]
        return torch.stack(losses).sum() if losses else torch.zeros((), device=crops.device)

    def _between_scenes(self, frame_prompt: FramePrompt) -> Tensor:
        embedding = self.of(frame_prompt.prompt)
        if frame_prompt.leaving is None:
            return embedding
        return slerp(self.of(frame_prompt.leaving), embedding, frame_prompt.share)

    def _embed(self, prompt: Prompt) -> Tensor:
        """Embed a text, or an image's crops, or draw a random direction."""
        match prompt.kind:
            case Kind.TEXT:
                read = self._read(prompt.body)
                return read if self._imagine is None else torch.cat([read, self._imagine(read)])
            case Kind.LABEL:
                named = [template.replace("{}", prompt.body) for template in self._texts.templates]
                return unit(self.perceptor.embed_texts(named).mean(0, keepdim=True))
            case Kind.VECTOR:
                return self._read_stored(prompt.body)
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

    def _read_stored(self, file: str) -> Tensor:
        """Read stored embeddings (n d) of this perceptor."""
        vectors = read_vectors(self._base / file, self.perceptor.name)
        if vectors.shape[1] != self._width:
            raise ConfigError(
                f"prompts: {file} holds embeddings of {vectors.shape[1]} numbers, and {self.perceptor.name} makes "
                f"{self._width}; take a file that was made with it"
            )
        return vectors.to(self.perceptor.device)

    def _read(self, text: str) -> Tensor:
        tokens, context = self.perceptor.tokens(text), self.perceptor.context
        if foreign := self.perceptor.foreign_words(text):
            log.warning(
                "%s was trained on English texts and can't read %s; write the prompt in English, "
                "or take a multilingual CLIP", self.perceptor.name, ", ".join(foreign),
            )  # fmt: skip
        if tokens <= context:
            return self.perceptor.embed_texts([text])
        if self._texts.split:
            pieces = chunks(text, self.perceptor.tokens, context)
            return unit(self.perceptor.embed_texts(pieces).mean(0, keepdim=True))
        log.warning(
            "%s reads %d tokens, and the prompt has %d: its end goes unread: %r; "
                "--set texts.split=true reads it in parts",
            self.perceptor.name, context, tokens, text,
        )  # fmt: skip
        return self.perceptor.embed_texts([text])
