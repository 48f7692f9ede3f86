"""Generate images from text by optimising a VQGAN latent against CLIP.

>>> import vqclip
>>> vqclip.generate("a red apple", seed=7).image.show()  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqclip.base.errors import VqclipError
    from vqclip.base.stop import StopToken
    from vqclip.cli.display.show import show
    from vqclip.pipeline import events
    from vqclip.pipeline.events import Result, result, results
    from vqclip.session import Session, generate

__version__ = "0.1.0"
__all__ = [
    "Result",
    "Session",
    "StopToken",
    "VqclipError",
    "__version__",
    "events",
    "generate",
    "result",
    "results",
    "show",
]

_HOMES = {
    "Result": "vqclip.pipeline.events",
    "Session": "vqclip.session",
    "StopToken": "vqclip.base.stop",
    "VqclipError": "vqclip.base.errors",
    "generate": "vqclip.session",
    "result": "vqclip.pipeline.events",
    "results": "vqclip.pipeline.events",
    "show": "vqclip.cli.display.show",
}


def __getattr__(name: str) -> Any:
    """Load the library only when it is used, so that `vqclip --help` needs no torch."""
    if name == "events":
        return import_module("vqclip.pipeline.events")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
