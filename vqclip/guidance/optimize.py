"""The loop: nudge latents until their pictures please every perceptor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vqclip.base import determinism
from vqclip.config.schema import PlateauConfig
from vqclip.config.timeline import Frame
from vqclip.guidance.cutout_draws import CropDraw
from vqclip.guidance.loss import total
from vqclip.guidance.memory import batches
from vqclip.guidance.objective import Objective, PerceptorLoss, StepDraw, draw_step
from vqclip.guidance.records import sent
from vqclip.guidance.state import State

READ_EVERY = 10  # steps: where a plateau's losses lie on a device that would be waited for

Seen = list[tuple[Tensor, dict[str, Tensor]]]  # each picture (1 3 h w) with its losses ()


@dataclass(frozen=True)
class Step:
    """One step's record. Tensors stay on their device: whoever wants a number waits for it, nobody else does."""

    seed: int  # whose picture it is
    frame: int
    index: int  # 1 is the first
    steps: int
    losses: dict[str, Tensor]
    image: Tensor  # (1 3 h w) in [0, 1]: what was looked at

    @property
    def loss(self) -> Tensor:
        return total(self.losses)


def optimize(frame: Frame, objective: Objective, states: Sequence[State]) -> Iterator[list[Step]]:
    """Paint a frame of several pictures from the step where all of them stand, a step of each at a time.

    After each list of Steps that is yielded, the states stand behind it. A picture that has settled is left alone.
    """
    for stage in frame.stages:
        if states[0].step >= stage.end:
            continue
        shape = objective.drawer.latent_shape(stage.scale)
        for state in states:
            if state.latent.shape != shape:
                state.resize(*shape, objective.drawer.resize)
        ahead: StepDraw | None = None
        while states[0].step < stage.end:
            left = [state for state in states if not _has_settled(objective, state)]
            if not left:
                return
            if objective.restart and left[0].step and left[0].step % objective.restart == 0:
                for state in left:
                    state.restart()
            draw = ahead if ahead and len(left) == len(states) else None
            states = left
            steps = take_step(frame, objective, states, draw)
            # While the device is at work, the next step is drawn.
            is_last = states[0].step == stage.end
            ahead = (
                None if is_last or not _is_fixed(objective, states) else draw_step(frame, objective, states)
            )
            yield steps


def take_step(
    frame: Frame, objective: Objective, states: Sequence[State], draw: StepDraw | None = None
) -> list[Step]:
    """Look, compare, nudge, by what was drawn for the states' next step."""
    budget, crops = objective.budget, max((term.crops for term in objective.perceptor_losses), default=1)
    device, draw = states[0].latent.z.device, draw or draw_step(frame, objective, states)

    def bare(draw: StepDraw) -> Seen:
        return move(compare_all(objective, states, draw), draw)

    def ordinary(draw: StepDraw) -> Seen:
        seen = budget.run(
            lambda: determinism.run(lambda: compare_all(objective, states, draw)), crops, len(states)
        )
        return move(seen, draw)

    def move(seen: Seen, draw: StepDraw) -> Seen:
        for state in states:
            optimizer_step(objective, state, draw.rate)
        return seen

    if objective.graphs:
        latents = [state.latent for state in states]
        owner = [frame, objective, *(x for latent in latents for x in (latent.z, latent.start, latent.total))]
        live = lambda: [x for state in states for x in state.live]  # noqa: E731
        seen = objective.graphs.run(owner, draw, device, ordinary, bare, live)
    else:
        seen = ordinary(sent(draw, device))
    return [note(frame, objective, state, *each) for state, each in zip(states, seen, strict=True)]


def optimizer_step(objective: Objective, state: State, rate: Tensor) -> None:
    """Move a latent down the gradient that `compute_losses` left there: device tensors, and nothing else, change."""
    z, optimizer = state.latent.z, state.optimizer
    if _is_fixed(objective, [state]):
        # Every optimiser's stride is proportional to its rate, and not every one takes a tensor as its rate.
        before = z.detach().clone()
        optimizer.step()
        with torch.no_grad():
            z.copy_(before.lerp(z, rate))
    else:
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
    optimizer.zero_grad()
    state.latent.pull_in(objective.drawer.project, objective.ema_decay)


def note(frame: Frame, objective: Objective, state: State, image: Tensor, losses: dict[str, Tensor]) -> Step:
    """Count a step that was taken."""
    state.latent.weigh(objective.ema_decay)
    state.step += 1
    step = Step(state.seed, frame.index, state.step, frame.steps, losses, image)
    if objective.plateau.patience:
        state.unwatched.append(step.loss)
        if not _is_fixed(objective, [state]) or state.step % READ_EVERY == 0:
            state.watch(objective.plateau.improvement)
    return step


def compare_all(objective: Objective, states: Sequence[State], draw: StepDraw) -> Seen:
    """Each picture and its losses, as many pictures at a time as memory allows."""
    seen: Seen = []
    for few in batches(states, objective.budget.batch_size):
        seen += compute_losses(objective, few, draw.of(len(seen), len(seen) + len(few)))
    return seen


def compute_losses(objective: Objective, states: Sequence[State], draw: StepDraw) -> Seen:
    """Each picture and its losses by name; their gradients go to the latents, and nothing else of a state changes.

    All pass the networks as one batch; each is looked at by its own chance.
    """
    for state in states:
        state.latent.z.grad = None
    latents = torch.cat([state.latent.z for state in states])
    images = torch.split(objective.drawer.decode(latents, draw.shifts, objective.budget.recompute), 1)
    # The pictures are a leaf to those who look at them. Each adds its gradient there, and the decoder is passed once,
    # at the end: memory is that of the largest part, not of the sum, and the gradient is the same.
    leaf = torch.cat(images).detach().requires_grad_()
    losses: dict[str, Tensor] = {}  # one of each picture (k)
    for term, crops in zip(objective.perceptor_losses, draw.crops, strict=True):
        losses |= perceptor_loss(leaf, term, objective, crops)
    for penalty, weight in zip(objective.penalties, draw.weights, strict=True):
        pairs = zip(images, states, strict=True)
        measured = [penalty.measure(image, state.latent) for image, state in pairs]
        losses[penalty.name] = weight * torch.stack(measured)
    own = [losses[penalty.name] for penalty in objective.penalties]
    assert leaf.grad is not None
    scale, grad = objective.gradient_scale, leaf.grad
    given = [*torch.split(grad if scale == 1 else grad * scale, 1), *(torch.full_like(x, scale) for x in own)]
    torch.autograd.backward([*images, *own], given)
    if scale != 1:
        for state in states:
            assert state.latent.z.grad is not None
            state.latent.z.grad /= scale
    return [
        (image, {name: loss.detach()[k] for name, loss in losses.items()})
        for k, image in enumerate(torch.split(leaf.detach(), 1))
    ]


def perceptor_loss(
    leaf: Tensor, term: PerceptorLoss, objective: Objective, draws: Sequence[CropDraw]
) -> dict[str, Tensor]:
    """What a perceptor thinks of pictures (k 3 h w), by prompt (k); its gradient is added to theirs, chunk by chunk."""
    pairs = zip(torch.split(leaf, 1), draws, strict=True)
    cut, side = objective.cutouts.cut, term.perceptor.size
    crops = torch.stack([cut(image, draw, side) for image, draw in pairs])
    pixels = crops.detach().requires_grad_()  # k n 3 s s
    sums, scale = [torch.zeros(len(leaf), device=leaf.device) for _ in term.targets], objective.gradient_scale
    for chunk in torch.split(pixels, objective.budget.chunk_size(term.crops, len(leaf)), 1):
        embeddings = torch.unflatten(term.perceptor.embed_crops(chunk.flatten(0, 1)), 0, chunk.shape[:2])
        share = term.weight * chunk.shape[1] / pixels.shape[1]
        losses = [share * target.loss(embeddings) for target in term.targets]
        torch.autograd.backward(losses, [torch.full_like(loss, scale) for loss in losses])
        sums = [a + loss.detach() for a, loss in zip(sums, losses, strict=True)]
    assert pixels.grad is not None
    torch.autograd.backward(crops, pixels.grad if scale == 1 else pixels.grad / scale)
    named: dict[str, Tensor] = {}
    for target, loss in zip(term.targets, sums, strict=True):
        name = f"{term.name}: {target.prompt.label}"
        named[name] = named.get(name, 0) + loss  # a wish may be uttered twice
    return named


def _is_fixed(objective: Objective, states: Sequence[State]) -> bool:
    return objective.is_fixed(states[0].latent.z.device)


def _has_settled(objective: Objective, state: State) -> bool:
    """Whether a plateau was reached; on a device, only at steps whose losses were read."""
    plateau: PlateauConfig = objective.plateau
    is_read = not _is_fixed(objective, [state]) or state.step % READ_EVERY == 0
    return is_read and 0 < plateau.patience <= state.plateau.since
