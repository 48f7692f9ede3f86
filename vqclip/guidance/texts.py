"""Split long texts, and read stored embeddings."""

import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor

from vqclip.base.errors import ConfigError, cause
from vqclip.guidance.ops import unit

_CLAUSE = re.compile(r"(?<=[,;.!?])\s+")


def chunks(text: str, tokens: Callable[[str], int], context: int) -> list[str]:
    """Split a text into pieces of at most `context` tokens: at clauses where possible, else between words."""
    pieces = [text]
    for split in (_CLAUSE.split, str.split):
        pieces = [
            part
            for piece in pieces
            for part in (packed(split(piece), tokens, context) if tokens(piece) > context else [piece])
        ]
    return pieces


def packed(parts: list[str], tokens: Callable[[str], int], context: int) -> list[str]:
    """Join neighbouring parts of a text as long as they fit."""
    joined = parts[:1]
    for part in parts[1:]:
        longer = f"{joined[-1]} {part}"
        if tokens(longer) <= context:
            joined[-1] = longer
        else:
            joined.append(part)
    return joined


def read_vectors(path: Path, model: str) -> Tensor:
    """Read stored embeddings as unit vectors (n d) of the CLIP `model`. Raises ConfigError.

    An npz has arrays `embeddings` (n d), `names` (n) and `model`. A JSON file is a list of numbers or of such lists, or
    maps names of CLIPs to these.
    """
    try:
        values = _read_npz(path, model) if path.suffix.lower() == ".npz" else _read_json(path, model)
        vectors = np.atleast_2d(np.asarray(values, np.float32))
    except OSError as error:
        raise ConfigError(f"prompts: {path} can't be read: {cause(error)}") from None
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise ConfigError(f"prompts: {path} holds no embeddings that vqclip can read: {error}") from None
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise ConfigError(f"prompts: {path} holds no embeddings; `vqclip embed` writes some")
    return unit(torch.from_numpy(vectors))


def _read_npz(path: Path, model: str) -> Any:
    with path.open("rb") as file:
        if not is_zipfile(file):  # of which numpy says how to load what is pickled
            raise ValueError("it is no npz")
    with np.load(path, allow_pickle=False) as arrays:
        written = str(arrays["model"]) if "model" in arrays else model
        if written != model:
            raise ConfigError(
                f"prompts: {path} holds embeddings of {written}, and the perceptor is {model}; make others with it"
            )
        return arrays["embeddings"]


def _read_json(path: Path, model: str) -> Any:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        return values
    plain = {_plain_name(name): vectors for name, vectors in values.items()}
    found = [vectors for name, vectors in plain.items() if _plain_name(model).startswith(name)]
    if not found:
        raise ConfigError(f"prompts: {path} has embeddings of {', '.join(values)}, and none of {model}")
    return found[0]


def _plain_name(name: str) -> str:
    """A CLIP's name without what spellings differ in: ViT-B/32 and ViT-B-32 are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
