"""Decorrelated colours, in which drawers of pixels optimise: what photographs' colours share is one channel.

Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill, 2017, doi 10.23915/distill.00007), section
"Preconditioning and Parameterization".
"""

import torch
from torch import Tensor

# A square root of the covariance of colours in photographs, as that article's library Lucid measured it on ImageNet.
COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOURS = COLOURS / COLOURS.norm(dim=0).max()
DARKEST = 0.02  # an image's values are kept so far from 0 and 1 when it is encoded, where the logistic has its limits


def to_image(pixels: Tensor, colours: Tensor) -> Tensor:
    """Turn decorrelated colours (n 3 h w), which may be any numbers, into an image in [0, 1]."""
    return torch.einsum("rc,nchw->nrhw", colours, pixels).sigmoid()


def from_image(image: Tensor, colours: Tensor) -> Tensor:
    """Give the decorrelated colours (n 3 h w) of an image, whose extremes are moved inwards."""
    inside = image.to(colours).clamp(DARKEST, 1 - DARKEST)
    return torch.einsum("cr,nrhw->nchw", colours.inverse(), inside.logit())
