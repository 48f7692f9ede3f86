"""Read mini-clip-2 with plain torch and timm: its image tower and projection, and its text tower.

Letters in shapes: n pictures or sentences, f = 1280 features, e = 512 dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from training.packed.file import within
from training.packed.reader import Reader, Vocabulary
from training.towers.lite import TOWER
from training.work import Foreign

FILE, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
TRUNK, PROJECTION = "visual.trunk.", "visual.head.proj."


class Projection(nn.Module):
    """The linear projection of features."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        embedding, width = tensors["weight"].shape
        self.proj = nn.Linear(width, embedding)
        self.proj.load_state_dict({key: value.float() for key, value in tensors.items()})

    def see(self, features: Tensor) -> Tensor:
        """n f → unit vectors n e."""
        return F.normalize(self.proj(features), dim=-1)


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    tower: Foreign
    projection: Projection
    reader: Reader
    scale: float  # of the cosines of pictures and sentences
    side: int  # of its pictures, in pixels

    @classmethod
    def open(cls, folder: Path, words: Mapping[str, Sequence[int]]) -> Start:
        """Read a folder as open_clip has it; `words` are the tokens of every word that will be read."""
        for name in (FILE, CONFIG):
            if not (folder / name).is_file():
                raise SystemExit(
                    f"there is no {folder / name}; --start names a folder as checkpoints/mini-clip-2"
                )
        tensors = load_file(folder / FILE)
        config = json.loads((folder / CONFIG).read_text())["model_cfg"]
        text = {k: v for k, v in tensors.items() if not k.startswith("visual.") and k != "logit_scale"}
        total = len(text["token_embedding.weight"])
        return cls(
            tower_of(within(tensors, TRUNK)),
            Projection(within(tensors, PROJECTION)),
            Reader(Vocabulary(words, total - 2, total - 1), text, config["text_cfg"]["heads"]),
            float(tensors["logit_scale"].float().exp()),
            config["vision_cfg"]["image_size"],
        )


def tower_of(tensors: Mapping[str, Tensor]) -> Foreign:
    """Build an image tower of tensors as timm names them."""
    import timm  # noqa: PLC0415

    tower = timm.create_model(TOWER, num_classes=0)
    tower.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    return tower.eval()


def state_of(tower: Foreign, projection: Projection) -> dict[str, Tensor]:
    """Name the tensors of an image half as open_clip does."""
    named = {f"{TRUNK}{key}": value for key, value in tower.state_dict().items()}
    projected = {f"{PROJECTION}{key}": value for key, value in projection.proj.state_dict().items()}
    return {key: value.detach().cpu() for key, value in (named | projected).items()}


def joined(start: Path, image: Path, out: Path) -> None:
    """Write a folder with an image half of a file, and all else as in the folder `start`."""
    from training import work  # noqa: PLC0415

    work.write_tensors(load_file(start / FILE) | load_file(image), out / FILE)
    work.write_text(out / CONFIG, (start / CONFIG).read_text())
