"""Compute the losses of images, and the gradient of their sum with respect to the latents."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from vqclip.base import determinism
from vqclip.guidance.cutout_draws import CropDraw
from vqclip.guidance.memory import batches
from vqclip.guidance.objective import Objective, PerceptorLoss, StepDraw
from vqclip.guidance.regions import shares_of
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
    each_term = zip(objective.perceptor_losses, draw.crops, draw.crop_weights, draw.prompts, strict=True)
    for term, crops, weights, prompts in each_term:
        losses = _added(losses, perceptor_loss(leaf, term, objective, crops, weights, prompts))
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
    leaf: Tensor, term: PerceptorLoss, objective: Objective, draws: Sequence[CropDraw], weights: Tensor,
    prompts: Tensor | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Compute one perceptor's losses (k) of images (k 3 h w) by name, and add their gradient to `leaf.grad`.

    A prompt's loss is w · mean over crops of d(E(crop), target), as `Target.loss` measures it; a penalty's is
    v · mean over crops of its measure, with v of `weights` (q). `prompts` (t) are the prompts' weights in this step,
    where these change. The perceptor embeds a chunk of crops at a time and passes backward through each chunk at once,
    which bounds the memory. Prompts of a region weigh each crop by what the region covers of it, and their gradient
    stays within the region: one more backward pass.
    """
    pairs = zip(torch.split(leaf, 1), draws, strict=True)
    cut, side = objective.cutouts.cut, term.perceptor.size
    crops = torch.stack([cut(image, draw, side) for image, draw in pairs])
    pixels = crops.detach().requires_grad_()  # k n 3 s s
    parts, scale = _parts(leaf, term, objective, draws), objective.gradient_scale
    names = [f"{term.name}: {target.prompt.label}" for target in term.targets]
    names += [penalty.name for penalty in term.penalties]
    sums, begin = [torch.zeros(len(leaf), device=leaf.device) for _ in names], 0
    for chunk in torch.split(pixels, objective.budget.chunk_size(term.crops, len(leaf)), 1):
        embeddings = torch.unflatten(term.perceptor.embed_crops(chunk.flatten(0, 1)), 0, chunk.shape[:2])
        window = slice(begin, begin + chunk.shape[1])
        share = term.weight * chunk.shape[1] / pixels.shape[1]
        for part in parts:
            losses = part.prompt_losses(term, embeddings, window, share, prompts)
            if part.mask is None:
                losses |= {
                    k: weight * penalty.measure(chunk, embeddings).sum(1) / pixels.shape[1]
                    for k, (penalty, weight) in enumerate(
                        zip(term.penalties, weights, strict=True), len(term.targets)
                    )
                }
            _pass_backward(list(losses.values()), scale, part, pixels, window, keeps=part is not parts[-1])
            for k, loss in losses.items():
                sums[k] = sums[k] + loss.detach()
        begin = window.stop
    assert pixels.grad is not None
    torch.autograd.backward(crops, pixels.grad if scale == 1 else pixels.grad / scale)
    named: dict[str, Tensor] = {}
    for name, loss in zip(names, sums, strict=True):
        named = _added(named, {name: loss})  # a config may name a prompt twice
    return named


def _pass_backward(
    losses: Sequence[Tensor], scale: float, part: "_Part", pixels: Tensor, window: slice, *, keeps: bool
) -> None:
    """Add the gradient of a part's scaled losses to `pixels.grad`; the graph `keeps` for the parts that follow."""
    with part.confined(pixels, window):
        torch.autograd.backward(losses, [torch.full_like(loss, scale) for loss in losses], retain_graph=keeps)


def _added(losses: dict[str, Tensor], more: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join losses by name, and add those of one name."""
    return losses | {name: losses[name] + loss if name in losses else loss for name, loss in more.items()}


@dataclass(frozen=True)
class _Part:
    """Hold the numbers of the targets of one region, with its mask in the crops (k n 1 s s), if they have a region."""

    targets: Sequence[int]
    mask: Tensor | None = None
    shares: Tensor | None = None  # of the crops (k n)

    def prompt_losses(
        self, term: PerceptorLoss, embeddings: Tensor, window: slice, share: float, weights: Tensor | None
    ) -> dict[int, Tensor]:
        """Compute the losses (k) of the targets, by their numbers; `window` are the crops that were embedded."""
        shares = None if self.shares is None else self.shares[:, window]
        return {
            k: share * term.targets[k].loss(embeddings, shares, None if weights is None else weights[k])
            for k in self.targets
        }

    @contextmanager
    def confined(self, pixels: Tensor, window: slice) -> Iterator[None]:
        """Let gradients that are added to `pixels.grad` meanwhile reach only the region."""
        if self.mask is None:
            yield
            return
        before = _take_gradient(pixels)
        yield
        grad = _take_gradient(pixels)
        assert grad is not None
        grad[:, window] *= self.mask[:, window].to(grad)
        pixels.grad = grad if before is None else before + grad


def _take_gradient(pixels: Tensor) -> Tensor | None:
    """Give a leaf's gradient, and leave it without one."""
    grad, pixels.grad = pixels.grad, None
    return grad


def _parts(leaf: Tensor, term: PerceptorLoss, objective: Objective, draws: Sequence[CropDraw]) -> list[_Part]:
    """Group a perceptor's targets by their regions; all that have none are one group, which penalties need too."""
    groups: dict[int, list[int]] = {}
    for k, target in enumerate(term.targets):
        groups.setdefault(id(target.region), []).append(k)
    parts, size = [], (leaf.shape[2], leaf.shape[3])
    for group in groups.values():
        region = term.targets[group[0]].region
        if region is None:
            parts.append(_Part(group))
        else:
            border = objective.cutouts.config.border
            mask = region.in_crops(size, draws, term.perceptor.size, border)
            parts.append(_Part(group, mask, shares_of(mask)))
    if term.penalties and all(part.mask is not None for part in parts):
        parts.append(_Part([]))
    return parts
