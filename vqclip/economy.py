"""What a step does with less memory, when memory runs out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from vqclip.errors import OutOfMemory

# Pixels of pictures whose decoder recomputes from the start: it would keep more than all else together.
LARGE = 768 * 768

Result = TypeVar("Result")

_ADVICE = "memory doesn't suffice, even crop by crop: paint smaller (--size) or with smaller models"
# How torch's allocators and its libraries word it; CUDA's has a class of its own.
_WORDS = ("can't allocate memory", "out of memory", "could not create a memory")


@dataclass
class Economy:
    """How memory is spared; each measure costs time and leaves the gradient as it is but for rounding."""

    chunk: int = 64  # crops that one perceptor looks at together: fewer would leave a GPU idle
    recompute: bool = False  # the decoder's blocks are passed again on the way back, not remembered

    @classmethod
    def of(cls, width: int, height: int, device: torch.device) -> "Economy":
        """What a picture of this size begins with. A CPU is as fast with fewer crops at once."""
        return cls(16 if device.type == "cpu" else cls.chunk, recompute=width * height > LARGE)

    def tighten(self, crops: int) -> bool:
        """Take the next measure for a step of so many crops; False where none is left. The exact one comes first."""
        if not self.recompute:
            self.recompute = True
            return True
        halved = min(self.chunk, crops) // 2
        self.chunk = max(1, halved)
        return halved > 0

    def run(self, step: Callable[[], Result], crops: int) -> Result:
        """What `step` returns, if need be after measures; raises OutOfMemory. A failed try must leave no trace."""
        while True:
            try:
                return step()
            except (MemoryError, RuntimeError) as error:
                if not is_shortage(error):
                    raise
            # Only here, when the error no longer holds what the failed try had made.
            if not self.tighten(crops):
                raise OutOfMemory(_ADVICE)


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
