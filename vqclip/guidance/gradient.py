"""Compute the losses of images, and the gradient of their sum with respect to the latents."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vqclip.base import determinism
from vqclip.guidance.cutout_draws import CropDraw
from vqclip.guidance.memory import batches
from vqclip.guidance.objective import Objective, PerceptorLoss, StepDraw
from vqclip.guidance.state import State

ImageLosses = list[tuple[Tensor, dict[str, Tensor]]]  # each image (1 3 h w) with its losses () by name


def compute_losses_within_memory(
    objective: Objective, states: Sequence[State], draw: StepDraw
) -> ImageLosses:
    """Compute as `compute_losses_in_batches` does; where memory runs out, shrink the budget and try again.

    Raises OutOfMemory where the smallest budget is too large.
    """
    crops = max((term.crops for term in objective.perceptor_losses), default=1)
    return objective.budget.run(
        lambda: determinism.run(lambda: compute_losses_in_batches(objective, states, draw)),
        crops,
        len(states),
    )


def compute_losses_in_batches(objective: Objective, states: Sequence[State], draw: StepDraw) -> ImageLosses:
    """Compute the losses and gradients of all images, as many at a time as the memory budget allows."""
    results: ImageLosses = []
    for batch in batches(states, objective.budget.batch_size):
        results += compute_losses(objective, batch, draw.of(len(results), len(results) + len(batch)))
    return results


def compute_losses(objective: Objective, states: Sequence[State], draw: StepDraw) -> ImageLosses:
    """Compute each image with its losses by name, and write the gradient of their sum into each latent's `z.grad`.

    The networks process all images as one batch. Each image has its own random crops. Nothing else of a state changes.
    """
    for state in states:
        state.latent.z.grad = None
    latents = torch.cat([state.latent.z for state in states])
    images = torch.split(objective.drawer.decode(latents, draw.shifts, objective.budget.recompute), 1)
    # The perceptors see a detached copy of the images and add their gradients to it, one perceptor after the other.
    # One backward pass through the decoder follows. The gradient is the same, and peak memory is that of the largest
    # network, not of all of them together.
    leaf = torch.cat(images).detach().requires_grad_()
    losses: dict[str, Tensor] = {}  # by name, one for each image (k)
    for term, crops, weights in zip(objective.perceptor_losses, draw.crops, draw.crop_weights, strict=True):
        losses = _added(losses, perceptor_loss(leaf, term, objective, crops, weights))
    for penalty, weight in zip(objective.penalties, draw.weights, strict=True):
        pairs = zip(images, states, strict=True)
        measured = [penalty.measure(image, state.latent) for image, state in pairs]
        losses[penalty.name] = weight * torch.stack(measured)
    penalty_losses = [losses[penalty.name] for penalty in objective.penalties]
    assert leaf.grad is not None
    scale, grad = objective.gradient_scale, leaf.grad
    gradients = [
        *torch.split(grad if scale == 1 else grad * scale, 1),
        *(torch.full_like(x, scale) for x in penalty_losses),
    ]
    torch.autograd.backward([*images, *penalty_losses], gradients)
    if scale != 1:
        for state in states:
            assert state.latent.z.grad is not None
            state.latent.z.grad /= scale
    return [
        (image, {name: loss.detach()[k] for name, loss in losses.items()})
        for k, image in enumerate(torch.split(leaf.detach(), 1))
    ]


def perceptor_loss(
    leaf: Tensor, term: PerceptorLoss, objective: Objective, draws: Sequence[CropDraw], weights: Tensor
) -> dict[str, Tensor]:
    """Compute one perceptor's losses (k) of images (k 3 h w) by name, and add their gradient to `leaf.grad`.

    A prompt's loss is w · mean over crops of d(E(crop), target), as `Target.loss` measures it; a penalty's is
    v · mean over crops of its measure, with v of `weights` (q). The perceptor embeds a chunk of crops at a time and
    passes backward through each chunk at once, which bounds the memory.
    """
    pairs = zip(torch.split(leaf, 1), draws, strict=True)
    cut, side = objective.cutouts.cut, term.perceptor.size
    crops = torch.stack([cut(image, draw, side) for image, draw in pairs])
    pixels = crops.detach().requires_grad_()  # k n 3 s s
    names = [f"{term.name}: {target.prompt.label}" for target in term.targets]
    names += [penalty.name for penalty in term.penalties]
    sums, scale = [torch.zeros(len(leaf), device=leaf.device) for _ in names], objective.gradient_scale
    for chunk in torch.split(pixels, objective.budget.chunk_size(term.crops, len(leaf)), 1):
        embeddings = torch.unflatten(term.perceptor.embed_crops(chunk.flatten(0, 1)), 0, chunk.shape[:2])
        share = term.weight * chunk.shape[1] / pixels.shape[1]
        losses = [share * target.loss(embeddings) for target in term.targets]
        losses += [
            weight * penalty.measure(chunk, embeddings).sum(1) / pixels.shape[1]
            for penalty, weight in zip(term.penalties, weights, strict=True)
        ]
        torch.autograd.backward(losses, [torch.full_like(loss, scale) for loss in losses])
        sums = [a + loss.detach() for a, loss in zip(sums, losses, strict=True)]
    assert pixels.grad is not None
    torch.autograd.backward(crops, pixels.grad if scale == 1 else pixels.grad / scale)
    named: dict[str, Tensor] = {}
    for name, loss in zip(names, sums, strict=True):
        named = _added(named, {name: loss})  # a config may name a prompt twice
    return named


def _added(losses: dict[str, Tensor], more: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join losses by name, and add those of one name."""
    return losses | {name: losses[name] + loss if name in losses else loss for name, loss in more.items()}
