"""The perceptor `open_clip`: embed crops and prompts with a frozen CLIP, as unit vectors of one space."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform
from PIL import Image
from torch import Tensor

from vqclip.guidance.interfaces import Perceptor
from vqclip.guidance.ops import unit
from vqclip.media.opening import without_excess
from vqclip.models.clip import image_size, load_clip

MAPS = 4  # of a ViT's blocks


class OpenCLIPPerceptor(Perceptor):
    """Hold a frozen CLIP with its image size, normalisation and context length; it embeds into d dimensions."""

    def __init__(self, name: str, device: torch.device, dtype: torch.dtype, pull: bool = False):
        self.name, self.device, self.dtype = name, device, dtype
        self._model, self._tokenizer = load_clip(name, pull, device)
        self._visual = self._model.visual.to(device, dtype)
        preprocess = self._visual.preprocess_cfg
        self.mean, self.std = (
            torch.tensor(preprocess[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std")
        )
        self.size = image_size(self._visual)
        self.context = self._tokenizer.context_length
        self.logit_scale = float(self._model.logit_scale.exp())
        bias = getattr(self._model, "logit_bias", None)
        self.logit_bias = None if bias is None else float(bias)
        self._square = image_transform(
            self.size, is_train=False, mean=(0.0,) * 3, std=(1.0,) * 3,
            **{key: preprocess[key] for key in ("resize_mode", "interpolation", "fill_color") if key in preprocess},
        )  # fmt: skip

    def square(self, image: Image.Image) -> Tensor:
        """Scale and cut a whole image to the crop (3 s s) in [0, 1], as open_clip does for this model."""
        crop: Tensor = self._square(without_excess(image))
        return crop

    def embed_crops(self, pixels: Tensor) -> Tensor:
        """Embed crops (n 3 s s) in [0, 1] as unit vectors (n d) in fp32, differentiably."""
        return unit(_first(self._visual(((pixels - self.mean) / self.std).to(self.dtype))).float())

    @property
    def has_features(self) -> bool:  # type: ignore[override]  # of most of open_clip's towers
        return hasattr(self._visual, "forward_intermediates")

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Compute feature maps (n d y x) in fp32: those of the tower's stages, or of some of a ViT's blocks."""
        normal = ((pixels - self.mean) / self.std).to(self.dtype)
        maps = self._visual.forward_intermediates(normal, intermediates_only=True)["image_intermediates"]
        return [block.float() for block in _spread(maps)]

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as unit vectors (n d). Texts longer than the context are cut."""
        if self._model is None:
            raise RuntimeError("the text tower was freed; embed all texts before")
        embeddings = self._model.encode_text(self._tokenizer(list(texts)))
        return unit(embeddings.float()).to(self.device)

    def tokens(self, text: str) -> int:
        """Count a text's tokens, the start and end tokens included."""
        inner: Any = getattr(self._tokenizer, "tokenizer", self._tokenizer)
        return len(inner.encode(text)) + 2 * (inner is self._tokenizer)

    def foreign_words(self, text: str) -> list[str]:
        """List the words that aren't in Latin letters, if the tokenizer is that of OpenAI's CLIP: it is for English."""
        return non_latin_words(text) if isinstance(self._tokenizer, SimpleTokenizer) else []

    def forget_texts(self) -> None:
        """Free the text tower."""
        self._model = self._tokenizer = None


def non_latin_words(text: str) -> list[str]:
    """List the words of a text that have letters of another script than Latin.

    >>> non_latin_words("a red яблоко, 苹果 and café")
    ['яблоко', '苹果']
    """
    return [word for word in re.findall(r"\w+", text) if any(_is_foreign(letter) for letter in word)]


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and not unicodedata.name(letter, "").startswith(
        ("LATIN", "FULLWIDTH LATIN", "MODIFIER")
    )


def _spread(maps: list[Tensor]) -> list[Tensor]:
    """Keep the maps of stages, whose sizes differ; of a ViT's blocks keep MAPS at equal distances, with the last."""
    if len({block.shape[2:] for block in maps}) > 1 or len(maps) <= MAPS:
        return maps
    return [maps[(k + 1) * len(maps) // MAPS - 1] for k in range(MAPS)]


def _first(features: Any) -> Tensor:
    """Give the pooled embedding, where a tower returns tokens beside it."""
    return features[0] if isinstance(features, tuple) else features
