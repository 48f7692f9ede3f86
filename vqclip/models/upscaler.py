"""Load networks that enlarge images, which spandrel builds from their files, and run them tile by tile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.weights import store
from vqclip.weights.checkpoint import read_tensors

TILE = 256  # pixels: the side of what a network enlarges at once, without its margins
MARGIN = 32  # pixels around a tile that are enlarged with it, and cut off afterwards
_WRAPPERS = ("params_ema.", "params.")  # under which training programs keep a network's tensors
_INSTALL = "pip install 'vqclip[upscale]'"


@dataclass(frozen=True)
class Upscaler:
    """Hold a network that makes images (1 3 h w) in [0, 1] `scale` times as wide and high."""

    network: Callable[[Tensor], Tensor]
    scale: int

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Enlarge an image (1 3 h w) tile by tile."""
        return in_tiles(self.network, image, self.scale)


def in_tiles(
    network: Callable[[Tensor], Tensor], image: Tensor, scale: int, tile: int = TILE, margin: int = MARGIN
) -> Tensor:
    """Enlarge an image (1 3 h w) tile by tile; memory is that of one tile with its margins.

    A network whose outputs depend on no pixel farther away than `margin` gives what it gives for the whole image.
    """
    height, width = image.shape[2:]
    enlarged = image.new_empty(1, 3, height * scale, width * scale)
    for top, bottom in _parts(height, tile):
        for left, right in _parts(width, tile):
            above, before = max(0, top - margin), max(0, left - margin)
            cut = network(image[..., above : bottom + margin, before : right + margin])
            down, across = ((begin - first) * scale for begin, first in ((top, above), (left, before)))
            inner = cut[..., down : down + (bottom - top) * scale, across : across + (right - left) * scale]
            enlarged[..., top * scale : bottom * scale, left * scale : right * scale] = inner
    return enlarged


def _parts(side: int, tile: int) -> Iterator[tuple[int, int]]:
    """Divide a side into parts of at most `tile` pixels."""
    return ((begin, min(begin + tile, side)) for begin in range(0, side, tile))


def find_upscaler(name: str) -> Path:
    """Find the file that a catalogue name means, or that is named itself; raises WeightsError."""
    return store.find_file(name, "upscaler", "name a file of weights that spandrel reads, or one of")


def read_upscaler(path: Path) -> dict[str, Tensor]:
    """Read the tensors of an upscaler's file, out of what its training program put around them; raises WeightsError."""
    tensors = read_tensors(path)
    for wrapper in _WRAPPERS:
        inner = {
            key.removeprefix(wrapper): value for key, value in tensors.items() if key.startswith(wrapper)
        }
        if inner:
            return inner
    return tensors


def load_named(name: str, device: torch.device) -> Upscaler:
    """Load the upscaler of a catalogue name or a file; raises WeightsError."""
    return load_upscaler(find_upscaler(name), device)


def load_upscaler(path: Path, device: torch.device) -> Upscaler:
    """Load an upscaler onto a device; raises WeightsError if spandrel is missing or doesn't know the network."""
    loader = _loader(device)
    try:
        model = loader.load_from_state_dict(read_upscaler(path))
    except WeightsError:
        raise
    except Exception as error:  # spandrel raises errors of many kinds over tensors that it doesn't know
        raise WeightsError(
            f"{path} is no upscaler that spandrel knows ({' '.join(str(error).split())[:120]})"
        ) from None
    if (model.input_channels, model.output_channels) != (3, 3):
        raise WeightsError(
            f"{path} turns {model.input_channels} channels into {model.output_channels}; take a network of 3 and 3"
        )
    model.eval()
    return Upscaler(model, int(model.scale))


def _loader(device: torch.device) -> Any:
    """Make spandrel's loader; raises WeightsError, with the line to type, if spandrel isn't installed."""
    try:
        spandrel: Any = import_module("spandrel")  # an extra
    except ImportError as error:
        raise WeightsError(f"spandrel reads upscalers, and isn't here ({error}); type: {_INSTALL}") from None
    return spandrel.ModelLoader(device=device)
