"""Load a transformer over codes by its name in the store, or by its file."""

from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.models.transformer.architecture import TransformerArchitecture, read_note
from vqclip.models.transformer.finding import find_transformer
from vqclip.models.transformer.network import PAD, CodeTransformer
from vqclip.models.transformer.text import MERGES, VOCABULARY, PairTokenizer
from vqclip.models.vqgan_loading import SkipInit, check_fit


@dataclass(frozen=True)
class LoadedTransformer:
    """A frozen network, and the tokenizer in its file, if there is one."""

    network: CodeTransformer
    tokenizer: PairTokenizer | None

    @property
    def architecture(self) -> TransformerArchitecture:
        return self.network.architecture

    def tokens(self, text: str) -> Tensor:
        """A text's tokens (l), by the file's own byte pairs or by CLIP's."""
        length = self.architecture.text
        if self.tokenizer is not None:
            return self.tokenizer.padded(text, length, PAD)
        clips: Any = open_clip.SimpleTokenizer(context_length=length)
        return clips([text])[0]


def load_transformer(name: str, device: torch.device, dtype: torch.dtype) -> LoadedTransformer:
    """Load a transformer onto a device, frozen; raises WeightsError."""
    path = find_transformer(name)
    architecture = read_note(path)
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises its own kinds
        raise WeightsError(
            f"{path} can't be read ({' '.join(str(error).split())[:120]}); import it again"
        ) from None
    texts = [tensors.pop(key).numpy().tobytes() for key in (VOCABULARY, MERGES) if key in tensors]
    tokenizer = PairTokenizer.of_bytes(texts[0], texts[1], str(path)) if len(texts) == 2 else None
    network = build(architecture)
    check_fit(path, "its description", network.state_dict(), tensors)
    typed = {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors.items()}
    network.load_state_dict(typed, assign=True)
    return LoadedTransformer(network.eval().requires_grad_(False).to(device), tokenizer)


def build(architecture: TransformerArchitecture) -> CodeTransformer:
    """Build a network whose weights are yet to be loaded."""
    with SkipInit():
        return CodeTransformer(architecture)
