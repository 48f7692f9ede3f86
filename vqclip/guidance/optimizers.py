"""Make torch's optimisers by the names that a config gives them."""

from collections.abc import Callable

import torch
from torch import Tensor

from vqclip.base.device import strengths

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def make_optimizer(name: str, z: Tensor) -> torch.optim.Optimizer:
    """Make an optimiser of one tensor; the loop sets its learning rate in each step."""
    optimizer = OPTIMIZERS[name]([z], lr=1.0)
    if strengths(z.device).graphs:
        for group in optimizer.param_groups:
            if "capturable" in group:  # Adagrad's count is read, and has no say
                group["capturable"] = True  # it counts its steps on the device
    return optimizer
