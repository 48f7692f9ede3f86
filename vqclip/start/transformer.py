"""Sample an image's codes with a transformer, or complete an image of which a part is known.

Letters in shapes: n candidates, y x cells of the latent, h w pixels.
"""

from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn.functional import adaptive_max_pool2d

from vqclip.base.errors import UsageError, WeightsError
from vqclip.config.prompt import Kind
from vqclip.config.timeline import Frame
from vqclip.guidance.interfaces import Drawer, StartTools
from vqclip.guidance.ops import resize
from vqclip.models.transformer.loading import LoadedTransformer, load_transformer
from vqclip.models.transformer.sampling import Sampling, sample_windows, spawn
from vqclip.models.vqgan import VQGAN
from vqclip.models.vqgan_loading import load_vqgan_onto
from vqclip.start.conditions import conditions

if TYPE_CHECKING:
    from vqclip.start.transformer_config import TransformerStart


class CodeSampler:
    """Make a frame's first image or latent of sampled codes; it keeps the last sample, which both are made of."""

    def __init__(self, settings: "TransformerStart", tools: StartTools):
        """Load the transformer and its VQGAN; raises WeightsError, and UsageError for settings that don't suit it."""
        self._settings, self._tools = settings, tools
        models = tools.models
        self._transformer: LoadedTransformer = models.load(
            settings.model, load_transformer, models.device, tools.dtype
        )
        a = self._transformer.architecture
        self._vqgan: VQGAN = models.load(a.vqgan, load_vqgan_onto, models.device, tools.dtype)
        guidance = a.guidance if settings.guidance is None else settings.guidance
        if guidance != 1 and not a.reads_text:
            raise UsageError(
                f"start.guidance: {guidance:g} leads towards a text, and {settings.model} reads none; leave it out"
            )
        self._sampling = Sampling(
            temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p, guidance=guidance
        )
        self._to_kept, self._allowed = _numbers(
            self._vqgan, a.codes, self._transformer.network.pos_emb.device
        )
        self._embedded = self._embed_texts(a.clip) if a.conditioning == "embedding" else {}
        self._last: tuple[object, Tensor] | None = None

    def __call__(self, frame: Frame, generator: Generator) -> Tensor:
        """Make a frame's first image (1 3 h w) in [0, 1]."""
        return self._decode(self._sampled(frame, generator))

    def latent(
        self, frame: Frame, drawer: Drawer, shape: tuple[int, int], generator: Generator
    ) -> Tensor | None:
        """Make the first latent (1 d y x) where the drawer has the same codes, or None where it has to encode.

        Raises WeightsError if it has other codes and can't encode.
        """
        if not self._shares_codes(drawer):
            if not drawer.encodes:
                raise WeightsError(
                    f"the drawer has other codes than {self._settings.model} and can't encode; "
                    f"add --set vqgan={self._transformer.architecture.vqgan}"
                )
            return None
        codes = self._sampled(frame, generator)
        if (codes.shape[1], codes.shape[2]) != shape and drawer.encodes:
            return None
        return drawer.resize(self._lookup(codes), *shape)

    def complete(self, image: Tensor, known: Tensor, frame: Frame, generator: Generator) -> Tensor:
        """Complete an image (1 3 h w) in [0, 1] whose pixels are known where a mask (1 1 h w) is 1; the same size.

        A cell counts as known if all of its pixels are. Raises WeightsError if the VQGAN can't encode.
        """
        codes = self._completed(image, known, frame, generator)
        return resize(self._decode(codes), *image.shape[2:]).clamp(0, 1)

    def complete_latent(
        self, image: Tensor, known: Tensor, frame: Frame, drawer: Drawer, shape: tuple[int, int],
        generator: Generator,
    ) -> Tensor | None:  # fmt: skip
        """Make the latent (1 d y x) of the completed image where the drawer has the same codes in the same places.

        Otherwise, also where the drawer would cut the border off, give None.
        """
        (height, width), (rows, columns), cell = image.shape[2:], shape, self._vqgan.factor
        whole = drawer.drawn_size(shape) == (rows * cell, columns * cell) and height * columns == width * rows
        if not self._shares_codes(drawer) or not whole or self._grid_of(height, width) != shape:
            return None
        return self._lookup(self._completed(image, known, frame, generator))

    def _shares_codes(self, drawer: Drawer) -> bool:
        return getattr(drawer, "vqgan", None) is self._vqgan

    @torch.no_grad()
    def _embed_texts(self, clip: str) -> dict[str, Tensor]:
        """The embeddings (e) of all texts that a frame may ask for; later the text tower is gone."""
        embeddings = self._tools.embeddings(clip)
        texts = {prompt.body for prompt in embeddings.prompts if prompt.kind is Kind.TEXT}
        perceptor, dtype = embeddings.perceptor, self._tools.dtype
        return {text: perceptor.embed_texts([text])[0].to(dtype) for text in {*texts, self._settings.text}}

    @property
    def _device(self) -> torch.device:
        return self._transformer.network.pos_emb.device

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        """The rows and columns that are sampled: the transformer's own, or with windows as many as fill the image."""
        a, cell = self._transformer.architecture, self._vqgan.factor
        if self._settings.enlarge == "resize":
            return a.rows, a.columns
        return max(a.rows, ceil(height / cell)), max(a.columns, ceil(width / cell))

    def _grid_of(self, height: int, width: int) -> tuple[int, int]:
        """The rows and columns that a whole image has when it is scaled to cover the transformer's own grid.

        With windows, a larger image isn't scaled down.
        """
        a, cell = self._transformer.architecture, self._vqgan.factor
        scale = max(a.rows * cell / height, a.columns * cell / width)
        scale = max(1.0, scale) if self._settings.enlarge == "windows" else scale
        return max(a.rows, round(height * scale / cell)), max(a.columns, round(width * scale / cell))

    @torch.no_grad()
    def _completed(self, image: Tensor, known: Tensor, frame: Frame, generator: Generator) -> Tensor:
        """The codes (1 y x) of an image (1 3 h w): its own where its pixels are known (1 1 h w), else sampled."""
        size = self._grid_of(image.shape[2], image.shape[3])
        scaled = resize(image, *(cells * self._vqgan.factor for cells in size)).clamp(0, 1) * 2 - 1
        codes = self._vqgan.codes(self._vqgan.encode(scaled.to(self._device, self._tools.dtype)))
        numbers = self._vqgan.code_numbers
        codes = codes if numbers is None else numbers.to(codes.device)[codes]
        cells = adaptive_max_pool2d(1 - known.float().cpu(), size)[0, 0] == 0
        return self._best(codes, cells, frame, generator)

    def _sampled(self, frame: Frame, generator: Generator) -> Tensor:
        """The codes (1 y x) of a frame, sampled once for a generator's seed and the frame's prompts."""
        which = generator.initial_seed(), self._text(frame), frame.width, frame.height
        if self._last is None or self._last[0] != which:
            size = self._grid(frame.height, frame.width)
            nothing = torch.zeros(1, *size, dtype=torch.long, device=self._device)
            known = torch.zeros(size, dtype=torch.bool)
            self._last = which, self._best(nothing, known, frame, generator)
        return self._last[1]

    def _best(self, codes: Tensor, known: Tensor, frame: Frame, generator: Generator) -> Tensor:
        """Complete codes (1 y x) several times, and give those that the perceptors like best."""
        count = 1 if self._sampling.temperature == 0 else self._settings.candidates
        size = (codes.shape[1], codes.shape[2])
        given = conditions(
            self._transformer, self._text(frame), count, size, self._vqgan.factor, self._embedded
        )
        made = sample_windows(
            self._transformer.network, given, codes.repeat(count, 1, 1), known,
            self._sampling, spawn(generator, count), self._allowed,
        )  # fmt: skip
        if count == 1:
            return made
        scores = [self._tools.score(self._decode(one[None]), frame) for one in made]
        return made[int(torch.stack(scores).argmax())][None]

    def _text(self, frame: Frame) -> str:
        """The key `text`, or the frame's text prompt of the largest weight."""
        prompts = [each.prompt for each in frame.prompts]
        texts = [prompt for prompt in prompts if prompt.kind is Kind.TEXT and prompt.weight > 0]
        heaviest = max(texts, key=lambda prompt: prompt.weight, default=None)
        return self._settings.text or (heaviest.body if heaviest else "")

    def _lookup(self, codes: Tensor) -> Tensor:
        return self._vqgan.lookup(codes if self._to_kept is None else self._to_kept[codes]).float()

    @torch.no_grad()
    def _decode(self, codes: Tensor) -> Tensor:
        """Decode codes (1 y x) into an image (1 3 h w) in [0, 1]."""
        image = self._vqgan.decode(self._lookup(codes).to(self._tools.dtype)).float()
        return ((image + 1) / 2).clamp(0, 1)


def _numbers(vqgan: VQGAN, codes: int, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    """Where each code of the file lies among those that the VQGAN kept, and the numbers of those that it kept.

    Codes that training never used aren't sampled.
    """
    numbers = vqgan.code_numbers
    if numbers is None:
        return None, None
    places = torch.zeros(codes, dtype=torch.long)
    places[numbers] = torch.arange(len(numbers))
    return places.to(device), numbers.to(device)
