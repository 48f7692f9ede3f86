"""Estimate how much memory an optimisation takes, from networks without weights.

The networks are built on torch's meta device, where tensors have shapes and no storage; one forward pass there
tells which tensors autograd would keep for the backward pass. That is most of the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vqclip.base.device import free_memory, strengths
from vqclip.config.schema import Config
from vqclip.config.timeline import Frame
from vqclip.guidance.memory import SMALL, MemoryBudget
from vqclip.models.kernels import CPU

# Bytes of the interpreter, torch and the other libraries after the first steps, and the factor by which convolutions'
# workspace exceeds what autograd keeps. Both are measured.
RESIDENT = 900 * 2**20
WORKSPACE = 1.25
# The factor for small images: the heap keeps their tensors' pages, and is fragmented.
HOLED_WORKSPACE = 2.4
# Tensors as large as the image, in fp32: itself, before and after it is clamped, gradients, differences in penalties.
PICTURES = 8
FREE = 0.9  # the share of a device's free memory that a batch may take; fragments fill the rest


@dataclass(frozen=True)
class Estimate:
    """Give bytes by cause. The decoder's activations are kept while the perceptors run one after the other."""

    weights: int
    image: int
    decoder: int
    perceptors: Sequence[int]
    workspace: float  # a factor

    @property
    def total(self) -> int:
        return int(
            RESIDENT + self.weights + self.image + self.workspace * (self.decoder + max(self.perceptors))
        )


def estimate(
    config: Config, frame: Frame, dtype: torch.dtype, budget: MemoryBudget, images: int = 1,
    device: torch.device = CPU,
) -> Estimate:  # fmt: skip
    """Estimate the peak memory of a frame of `images` images; raises WeightsError for models that can't be found."""
    images = min(images, budget.batch_size)
    weights, decoder = config.drawer.memory(frame.width, frame.height, images, dtype, budget, device)
    entries: list[Any] = config.perceptors
    crops = [entry.crops or config.cutouts.count for entry in entries]
    counts = [images * budget.chunk_size(count, images) for count in crops]
    needs = [entry.memory(count, dtype, device) for entry, count in zip(entries, counts, strict=True)]
    weights += sum(of_weights for of_weights, _ in needs)
    fills = config.is_masked and config.mask.fill == "start"
    if fills or not (config.init or config.source.video):
        weights += config.start.memory(dtype)
    looking = [kept for _, kept in needs]
    has_holes = config.width * config.height <= SMALL and strengths(device).keeps_pages
    image = images * PICTURES * 3 * 4 * config.width * config.height
    return Estimate(weights, image, decoder, looking, HOLED_WORKSPACE if has_holes else WORKSPACE)


def fitting(
    config: Config, frame: Frame, dtype: torch.dtype, budget: MemoryBudget, images: int, device: torch.device
) -> int:
    """Count how many of `images` images of a frame fit at once into what a device has free; at least one.

    A host's memory isn't asked, so that there the batches, and with them the pixels, follow from the Config alone.
    """
    if strengths(device).host:
        return images
    free = free_memory(device) * FREE - RESIDENT
    one, two = (estimate(config, frame, dtype, budget, count, device).total - RESIDENT for count in (1, 2))
    return max(1, min(images, 1 + int((free - one) / max(1, two - one))))
