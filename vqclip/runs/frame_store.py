"""Store a film's frames on the disk: the optimised latents, and the output images.

Videos are made from them, and can be made again. Both are numbered from 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vqclip.base.errors import RunError
from vqclip.base.files import atomic, sweep
from vqclip.media.image import save_png
from vqclip.runs.folder_layout import FRAMES


class FrameStore:
    """Save and read the frames of one run folder; raises OSError or SaveError if it can't."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._latents, self._images = folder / "latents", folder / FRAMES

    @property
    def images(self) -> list[Path]:
        """List the output images from the first one up to the first gap."""
        paths: list[Path] = []
        while (path := self._image_path(len(paths))).is_file():
            paths.append(path)
        return paths

    @property
    def has_latents(self) -> bool:
        return self._latent_path(0).is_file()

    def keep(self, frame: int, z: Tensor) -> None:
        """Save a rendered frame's latent (1 d y x)."""
        self._latents.mkdir(exist_ok=True)
        with atomic(self._latent_path(frame)) as file:
            file.write(save({"z": z.detach().float().cpu().contiguous()}))

    def save(self, number: int, image: Image.Image, metadata: dict[str, Any]) -> Path:
        """Save an output image."""
        self._images.mkdir(exist_ok=True)
        save_png(image, self._image_path(number), metadata)
        return self._image_path(number)

    def mix(self, blend: Mapping[int, float]) -> Tensor:
        """Mix rendered frames' latents by their shares -> (1 d y x); raises RunError if one is missing or damaged."""
        return torch.stack([share * self._load(frame) for frame, share in sorted(blend.items())]).sum(0)

    def tidy(self) -> None:
        """Delete temporary files that a killed process left."""
        for folder in (self._latents, self._images):
            if folder.is_dir():
                sweep(folder)

    def _load(self, frame: int) -> Tensor:
        path = self._latent_path(frame)
        try:
            return load_file(path)["z"]
        except (OSError, SafetensorError, KeyError) as error:
            raise RunError(f"{path} is missing or damaged ({error}); make the film again") from None

    def _latent_path(self, frame: int) -> Path:
        return self._latents / f"{frame:06d}.safetensors"

    def _image_path(self, number: int) -> Path:
        return self._images / f"{number:06d}.png"
