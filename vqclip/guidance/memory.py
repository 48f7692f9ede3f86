"""Choose how much a step computes at once: as much as is fastest, and less when memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from vqclip.base.device import strengths
from vqclip.base.errors import OutOfMemory
from vqclip.config.schema import Config

# Images up to so many pixels keep their tensors' pages from step to step; with larger ones, heap fragmentation would
# cost a third of memory.
SMALL = 2**17
# Images of more pixels than this recompute the decoder's activations from the first step: otherwise these would take
# more memory than all else together.
LARGE = 768 * 768

Item = TypeVar("Item")
Result = TypeVar("Result")

_ADVICE = "memory doesn't suffice, even crop by crop: make smaller images (--size) or with smaller models"
# How errors of torch's allocators and libraries say that memory ran out; CUDA's has a class of its own.
_WORDS = (
    "can't allocate memory",
    "out of memory",
    "could not create a memory",
    "alloc_failed",  # cuBLAS, cuDNN, cuFFT
    "unable to find an engine",  # torch, where the workspace of none of cuDNN's kernels fits
)


@dataclass
class MemoryBudget:
    """Limit a step's memory; each limit costs time, and changes the gradient by rounding alone."""

    chunk: int = 64  # crops, of all images together, that a perceptor embeds at once; fewer leave a GPU idle
    # Run the decoder's blocks again in the backward pass, instead of keeping activations.
    recompute: bool = False
    batch_size: int = 2**10  # images in one batch: all of them, until memory runs out

    @classmethod
    def of(cls, width: int, height: int, device: torch.device) -> "MemoryBudget":
        """Make the first budget for an image of this size. A CPU is as fast with fewer crops at once."""
        return cls(strengths(device).crops, recompute=width * height > LARGE)

    def chunk_size(self, crops: int, images: int = 1) -> int:
        """Give how many of each image's crops a perceptor embeds at once."""
        return min(max(1, self.chunk // images), crops)

    def shrink(self, crops: int, images: int) -> bool:
        """Lower the budget once, for a step of so many images and crops of each; False where it is the lowest."""
        if (batch := min(self.batch_size, images)) > 1:
            self.batch_size = batch // 2
            return True
        if not self.recompute:
            self.recompute = True
            return True
        halved = self.chunk_size(crops) // 2
        self.chunk = max(1, halved)
        return halved > 0

    def run(self, step: Callable[[], Result], crops: int, images: int) -> Result:
        """Run `step`, and shrink the budget until it fits; raises OutOfMemory. A failed try must change nothing."""
        while True:
            try:
                return step()
            except (MemoryError, RuntimeError) as error:
                if not is_shortage(error):
                    raise
            # Outside the except block, where the error no longer keeps the failed try's tensors alive.
            if not self.shrink(crops, images):
                raise OutOfMemory(_ADVICE)


def best_batch_size(config: Config, channels: int, device: torch.device) -> int:
    """Choose how many images to make at once with a decoder of `channels` at full resolution; films go one by one."""
    if config.is_film:
        return 1
    return max(1, strengths(device).numbers // (config.width * config.height * channels))


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Split items into batches of `size`; the last may be smaller."""
    return (items[k : k + size] for k in range(0, len(items), size))


@contextmanager
def plain_shortages() -> Iterator[None]:
    """Turn every error that says that memory ran out into an OutOfMemory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_shortage(error):
            raise OutOfMemory(_ADVICE) from None
        raise


def is_shortage(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in _WORDS
    )
