"""Embed texts with the text tower of a CLIP without torch, whose import takes longer than all else in a search.

It reads the weights of the tower alone. Letters in shapes: l tokens, h heads, d dimensions.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqclip.models.byte_pairs import VOCABULARY, ClipTokenizer
from vqclip.weights.clip_folder import CONFIG
from vqclip.weights.safetensors_header import map_bytes

# What a config may say; of others open_clip makes something else.
_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_TEXT = {"context_length": 77, "vocab_size": VOCABULARY, "width": 512, "heads": 8, "layers": 12}
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".npz"}
WORDS, EIGHT_BITS = "token_embedding.weight", "F8_E4M3"
_erf = np.vectorize(math.erf, otypes=[np.float32])


def text_tower(folder: Path) -> "TextTower | None":
    """Open the text tower in a folder that open_clip loads; None if it isn't CLIP's own or its file is another kind."""
    try:
        model = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
        shape = _TEXT | model["text_cfg"]
        files = [path for path in folder.iterdir() if path.suffix in _WEIGHTS]
        is_plain = set(model) <= _MODEL and set(shape) == set(_TEXT) and shape["vocab_size"] == VOCABULARY
        if not is_plain or [path.suffix for path in files] != [".safetensors"]:
            return None
        return TextTower(files[0], shape, bool(model.get("quick_gelu")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class TextTower:
    """Hold the text tower of a CLIP (Radford et al., 2021, arXiv 2103.00020) in float32, as open_clip writes it.

    Raises KeyError if a tensor is missing, and TypeError if one is of a type that numpy lacks.
    """

    def __init__(self, file: Path, shape: dict[str, Any], quick_gelu: bool):
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415

        self._heads, self._layers, self._context = (
            int(shape[key]) for key in ("heads", "layers", "context_length")
        )
        self._activation = _quick_gelu if quick_gelu else _gelu
        self._tokenizer = ClipTokenizer()
        opened: Any = safe_open  # it has no types
        try:
            tensors = opened(file, "np")
            names = [name for name in tensors.keys() if not name.startswith(("visual.", "token_embedding."))]  # noqa: SIM118
            self._tensors = {name: np.asarray(tensors.get_tensor(name), np.float32) for name in names}
            self._words = _rows(tensors.get_slice(WORDS), file)
        except SafetensorError as error:
            raise KeyError(str(error)) from None
        missing = {"positional_embedding", "text_projection", "ln_final.weight"} - set(names)
        if missing or f"transformer.resblocks.{self._layers - 1}.ln_1.weight" not in names:
            raise KeyError(*missing)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts as unit vectors (n d). Texts longer than the context are cut."""
        return np.stack([self._embed(self._tokenizer.tokens(text, self._context)) for text in texts])

    def _embed(self, tokens: list[int]) -> np.ndarray:
        """Compute the tokens up to the end sign, which no later one changes, since attention looks back alone."""
        end = tokens.index(max(tokens)) + 1
        words = np.concatenate([self._words(token) for token in tokens[:end]])
        x = words + self._tensors["positional_embedding"][:end]  # l d
        for layer in range(self._layers):
            block = f"transformer.resblocks.{layer}"
            x = x + self._attend(f"{block}.attn", self._normed(f"{block}.ln_1", x))
            inner = self._activation(self._linear(f"{block}.mlp.c_fc", self._normed(f"{block}.ln_2", x)))
            x = x + self._linear(f"{block}.mlp.c_proj", inner)
        vector = self._normed("ln_final", x[-1]) @ self._tensors["text_projection"]
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def _attend(self, name: str, x: np.ndarray) -> np.ndarray:
        count, width = x.shape
        joined = x @ self._tensors[f"{name}.in_proj_weight"].T + self._tensors[f"{name}.in_proj_bias"]
        query, key, value = joined.reshape(count, 3, self._heads, -1).transpose(1, 2, 0, 3)  # h l d
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(width / self._heads)
        scores += np.triu(np.full((count, count), -np.inf, np.float32), 1)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return self._linear(f"{name}.out_proj", (shares @ value).transpose(1, 0, 2).reshape(count, width))

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        found: np.ndarray = x @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return found

    def _normed(self, name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        found: np.ndarray = scaled * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]
        return found


def _rows(table: Any, file: Path) -> Callable[[int], np.ndarray]:
    """Give what reads a row (1 d) of the table of word pieces in float32."""
    if table.get_dtype() != EIGHT_BITS:
        return lambda token: table[token : token + 1].astype(np.float32)
    stored, numbers = map_bytes(file, WORDS), eight_bit_numbers()
    return lambda token: numbers[stored[token : token + 1]]


def eight_bit_numbers() -> np.ndarray:
    """List the numbers (256) that bytes mean in float8_e4m3fn (arXiv 2209.05433), which numpy lacks."""
    byte = np.arange(256)
    exponent, fraction = byte >> 3 & 15, (byte & 7) / 8
    size = np.where(exponent > 0, (1 + fraction) * 2.0 ** (exponent - 7), fraction * 2.0**-6)
    size[byte & 127 == 127] = np.nan
    return np.where(byte < 128, size, -size).astype(np.float32)


def _gelu(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x * (1 + _erf(x / math.sqrt(2))) / 2
    return found


def _quick_gelu(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x / (1 + np.exp(-1.702 * x))
    return found
