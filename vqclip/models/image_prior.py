"""The image prior: from a CLIP's embedding of a text to the embedding that an image of it would have.

The prior of DALL·E 2 (Ramesh et al., 2022, arXiv 2204.06125) in small: one guess of two layers, and no samples.

Letters in shapes: n texts, e dimensions of an embedding.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vqclip.base.errors import ConfigError, WeightsError, suggest
from vqclip.base.paths import expand
from vqclip.weights import catalog, store
from vqclip.weights.safetensors_header import read_metadata

NOTE = "vqclip.image_prior"  # the key of the file's header


class ImagePrior(nn.Module):
    """An affine map of the text's embedding, and two layers that correct it. `clip` is the CLIP whose they are."""

    def __init__(self, width: int, hidden: int, clip: str):
        super().__init__()
        self.width, self.hidden, self.clip = width, hidden, clip
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)

    @torch.no_grad()
    def begin(self, said: Tensor, seen: Tensor) -> None:
        """Begin with the move from the mean of texts (e) to that of images (e)."""
        self.shift.copy_(seen - said)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Turn unit vectors of texts (n e) into those of images (n e)."""
        corrected = self.outer(F.gelu(self.inner(embeddings * self.width**0.5)))  # numbers of variance 1
        return F.normalize(embeddings * self.scale + self.shift + corrected, dim=-1)

    def to_note(self) -> dict[str, str]:
        """Describe it for the header of its file."""
        return {NOTE: json.dumps({"width": self.width, "hidden": self.hidden, "clip": self.clip})}


def find_image_prior(name: str) -> Path:
    """Find the file that a catalogue name means, or that is named itself; raises WeightsError."""
    card = catalog.cards().get(name)
    if card is not None and card.family == "image-prior":
        return store.locate(card)
    path = expand(name)
    if not path.is_file():
        known = catalog.names("image-prior")
        raise WeightsError(
            f"there is no image prior {name!r}; the names are {', '.join(known)}{suggest(name, known)}"
        )
    return path


def load_image_prior(name: str, device: torch.device | str = "cpu") -> ImagePrior:
    """Load the image prior of a catalogue name or a file onto a device, frozen and in float32; raises WeightsError."""
    path = find_image_prior(name)
    try:
        prior = ImagePrior(**json.loads(read_metadata(path)[NOTE]))
        prior.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} is no image prior ({' '.join(str(error).split())[:120]})") from None
    return prior.to(device).eval().requires_grad_(False)


def for_each(prior: ImagePrior | None, clips: Sequence[str]) -> list[ImagePrior | None]:
    """Give each perceptor, by the name of its CLIP, the prior if it is of that CLIP; raises ConfigError if none is."""
    if prior is not None and prior.clip not in clips:
        raise ConfigError(
            f"texts.image_prior: it guesses embeddings of {prior.clip}, which is none of the perceptors; "
            f"add --set 'perceptors=[{{model: {prior.clip}}}]', or leave texts.image_prior out"
        )
    return [prior if prior is not None and prior.clip == clip else None for clip in clips]
