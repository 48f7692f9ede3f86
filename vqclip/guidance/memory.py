"""How much a step takes on at once: what is fastest, and less when memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from vqclip.base.device import strengths
from vqclip.base.errors import OutOfMemory
from vqclip.config.schema import Config

# Pixels of pictures whose tensors' pages are kept from step to step: beyond, holes in the heap cost a third of memory.
SMALL = 2**17
# Pixels of pictures whose decoder recomputes from the start: it would keep more than all else together.
LARGE = 768 * 768

Item = TypeVar("Item")
Result = TypeVar("Result")

_ADVICE = "memory doesn't suffice, even crop by crop: paint smaller (--size) or with smaller models"
# How torch's allocators and its libraries word it; CUDA's has a class of its own.
_WORDS = ("can't allocate memory", "out of memory", "could not create a memory")


@dataclass
class MemoryBudget:
    """How memory is spared; each measure costs time and leaves the gradient as it is but for rounding."""

    chunk: int = 64  # crops of all pictures that one perceptor looks at together; fewer leave a GPU idle
    recompute: bool = False  # the decoder's blocks are passed again on the way back, not remembered
    batch_size: int = (
        2**10
    )  # pictures that pass the networks as one batch: all there are, till memory is short

    @classmethod
    def of(cls, width: int, height: int, device: torch.device) -> "MemoryBudget":
        """What a picture of this size begins with. A CPU is as fast with fewer crops at once."""
        return cls(strengths(device).crops, recompute=width * height > LARGE)

    def chunk_size(self, crops: int, images: int = 1) -> int:
        """How many of each picture's crops one perceptor looks at together."""
        return min(max(1, self.chunk // images), crops)

    def shrink(self, crops: int, images: int) -> bool:
        """Take the next measure for a step of so many pictures, and crops of each; False where none is left."""
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
        """What `step` returns, if need be after measures; raises OutOfMemory. A failed try must leave no trace."""
        while True:
            try:
                return step()
            except (MemoryError, RuntimeError) as error:
                if not is_shortage(error):
                    raise
            # Only here, when the error no longer holds what the failed try had made.
            if not self.shrink(crops, images):
                raise OutOfMemory(_ADVICE)


def best_batch_size(config: Config, channels: int, device: torch.device) -> int:
    """How many pictures to paint at once with a decoder of so many `channels` at full resolution; a film is alone."""
    if config.is_film:
        return 1
    return max(1, strengths(device).numbers // (config.width * config.height * channels))


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, so many at a time; the last may be fewer."""
    return (items[k : k + size] for k in range(0, len(items), size))


@contextmanager
def plain_shortages() -> Iterator[None]:
    """Whatever words memory runs out in become one line: raises OutOfMemory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_shortage(error):
            raise OutOfMemory(_ADVICE) from None
        raise


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in _WORDS
    )
