"""Make results repeat on a GPU: switch off what varies in torch and its libraries.

This is set for the whole process. Only entry points set it, before anything is computed on the device.
"""

import logging
import os
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from vqclip.base.device import strengths

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def enter(device: torch.device) -> None:
    """Choose cuDNN kernels, cuBLAS workspaces and sums that repeat. A CPU needs none of it."""
    if not strengths(device).deterministic_switches:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # none of it is read
    torch.set_deterministic_debug_mode("error")
    # Optimisers that can be captured say so at their first step outside of a graph.
    warnings.filterwarnings("ignore", message=".*capturable=True", category=UserWarning)


def run(step: Callable[[], Result]) -> Result:
    """Return what `step` returns, by kernels that vary if there are no others. A failed try must leave no trace."""
    try:
        return step()
    except RuntimeError as error:
        if torch.get_deterministic_debug_mode() == 0 or "deterministic" not in str(error):
            raise
        why = str(error).partition(".")[0]
    torch.set_deterministic_debug_mode("default")
    log.warning("another run with this seed may differ in some pixels: %s", why)
    return step()
