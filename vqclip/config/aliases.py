"""Other programs' names for the terms of the loss: each is read as ours."""

from collections.abc import Mapping
from typing import Any

from vqclip.base.errors import ConfigError

# pixray's --custom_loss and its options, pytti's keys, vqgan-clip-app's, and nerdyrodent's init weight, which draws the
# latent to zero.
LOSSES = {
    "smoothness": "tv",
    "smoothing_weight": "tv",
    "tv_loss": "tv",
    "smooth": "tv",
    "vivid": "saturation",
    "edge": "edges",
    "gaussian": "vignette",
    "aesthetic": "head",
    "edge_stabilization_weight": "structure",
    "init_weight": "near_zero",
}


def of_losses(losses: Mapping[str, Any]) -> dict[str, Any]:
    """The same mapping under our names; raises ConfigError where a term is there under two names."""
    named: dict[str, Any] = {}
    for name, settings in losses.items():
        ours = LOSSES.get(name, name)
        if ours in named:
            raise ConfigError(
                f"losses: {name} is another name of {ours}, and both are given; give only {ours}"
            )
        named[ours] = settings
    return named
