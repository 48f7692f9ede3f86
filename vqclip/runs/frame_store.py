"""A FrameStore is a film's frames on the disk: latents as they were painted, and the pictures that are shown.

They are the truth of which videos are made, again and again. Both are numbered from 0.
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


class FrameStore:
    """Keeps the frames of one run folder; raises OSError or SaveError where it can't."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._latents, self._images = folder / "latents", folder / "frames"

    @property
    def images(self) -> list[Path]:
        """The pictures without a gap, from the first on."""
        paths: list[Path] = []
        while (path := self._image_path(len(paths))).is_file():
            paths.append(path)
        return paths

    @property
    def has_latents(self) -> bool:
        return self._latent_path(0).is_file()

    def keep(self, frame: int, z: Tensor) -> None:
        """Save a painted frame's latent (1 d y x)."""
        self._latents.mkdir(exist_ok=True)
        with atomic(self._latent_path(frame)) as file:
            file.write(save({"z": z.detach().float().cpu().contiguous()}))

    def save(self, number: int, image: Image.Image, metadata: dict[str, Any]) -> Path:
        """Save a shown picture."""
        self._images.mkdir(exist_ok=True)
        save_png(image, self._image_path(number), metadata)
        return self._image_path(number)

    def mix(self, blend: Mapping[int, float]) -> Tensor:
        """The latent (1 d y x) of painted frames by their shares; raises RunError where one is missing or damaged."""
        return torch.stack([share * self._load(frame) for frame, share in sorted(blend.items())]).sum(0)

    def tidy(self) -> None:
        """Delete what a killed process had no more time to."""
        for folder in (self._latents, self._images):
            if folder.is_dir():
                sweep(folder)

    def _load(self, frame: int) -> Tensor:
        path = self._latent_path(frame)
        try:
            return load_file(path)["z"]
        except (OSError, SafetensorError, KeyError) as error:
            raise RunError(f"{path} is missing or damaged ({error}); paint the film again") from None

    def _latent_path(self, frame: int) -> Path:
        return self._latents / f"{frame:06d}.safetensors"

    def _image_path(self, number: int) -> Path:
        return self._images / f"{number:06d}.png"
