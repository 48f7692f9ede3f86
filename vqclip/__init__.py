"""Generate images from text by optimising a VQGAN latent against CLIP.

>>> import vqclip
>>> vqclip.generate("a red apple", seed=7).image.show()  # doctest: +SKIP
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqclip.api import Painting, generate

__version__ = "0.1.0"
__all__ = ["Painting", "__version__", "generate"]

# Linux hands out memory in pages of 4 KiB unless asked, which takes longer than most of what is done to a fresh tensor;
# with this, torch asks for pages of 2 MiB. It looks once, early: hence here, before all that imports it.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def __getattr__(name: str) -> Any:
    """Load the library only when it is used, so that `vqclip --help` needs no torch."""
    if name in ("generate", "Painting"):
        from vqclip import api  # noqa: PLC0415

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
