"""Optimise latents until their images match the prompts: the loop, its step, and the update of one latent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vqclip.config.timeline import Frame
from vqclip.guidance.gradient import ImageLosses, compute_losses_in_batches, compute_losses_within_memory
from vqclip.guidance.loss import total
from vqclip.guidance.objective import Objective, StepDraw, draw_step
from vqclip.guidance.records import sent
from vqclip.guidance.state import State

# Steps between two reads of a device's losses, which wait for it; the plateau needs the numbers.
READ_EVERY = 10

Compute = Callable[[Objective, Sequence[State], StepDraw], ImageLosses]


@dataclass(frozen=True)
class Step:
    """Record one step of one image. Its tensors stay on their device; reading a number waits for the device."""

    seed: int  # the seed of the image
    frame: int
    index: int  # 1 is the first
    steps: int
    losses: dict[str, Tensor]
    image: Tensor  # (1 3 h w) in [0, 1], decoded before the update; the losses are this image's

    @property
    def loss(self) -> Tensor:
        """Sum the losses."""
        return total(self.losses)


def optimize(frame: Frame, objective: Objective, states: Sequence[State]) -> Iterator[list[Step]]:
    """Optimise the latent z of each state for one frame; after each step, yield one Step an image.

    A step is gradient descent with Adam (or the optimiser that the config names), projected into bounds:

        L(z) = Σ_k w_k · mean over crops of d(E_k(crop(decode(z))), target_k) + Σ_j v_j · penalty_j(decode(z), z)
        z ← Π(z − η · Adam(∇_z L(z)))

    decode is the frozen drawer (a VQGAN's decoder), E_k the image encoder of the k-th frozen CLIP, w_k its weight,
    target_k the embeddings of the prompts, d the spherical distance, Π the drawer's projection into its bounds. The
    learning rate η and the penalties' weights v_j follow schedules. Crops are random and new in each step.

    All states must be at the same step; the loop goes on from there, and changes them in place. An image whose loss has
    reached a plateau gets no more steps. Where the loop ends, also by the caller, the captured graph's memory is freed.
    """
    try:
        yield from _optimize_stages(frame, objective, states)
    finally:
        if objective.graphs:
            objective.graphs.release()


def _optimize_stages(frame: Frame, objective: Objective, states: Sequence[State]) -> Iterator[list[Step]]:
    """Take each stage's steps, at its latent's size, as `optimize` says."""
    for stage in frame.stages:
        if states[0].step >= stage.end:
            continue
        shape = objective.drawer.latent_shape(stage.scale)
        for state in states:
            if state.latent.shape != shape:
                state.resize(*shape, objective.drawer.resize)
        next_draw: StepDraw | None = None
        while states[0].step < stage.end:
            active = [state for state in states if not _has_settled(objective, state)]
            if not active:
                return
            if objective.restart and active[0].step and active[0].step % objective.restart == 0:
                for state in active:
                    state.restart()
            if objective.overlay and objective.overlay.is_due(active[0].step):
                for state in active:
                    objective.overlay.stamp(state.latent.z, objective.drawer)
            draw = next_draw if len(active) == len(states) else None
            states = active
            steps = take_step(frame, objective, states, draw)
            # The CPU draws the next step's random numbers while the device still computes this one.
            is_ahead = states[0].step < stage.end and _is_fixed(objective, states)
            next_draw = draw_step(frame, objective, states) if is_ahead else None
            yield steps


def take_step(
    frame: Frame, objective: Objective, states: Sequence[State], draw: StepDraw | None = None
) -> list[Step]:
    """Take one step of each state: compute losses and gradients, then update each latent.

    `draw` holds the step's random numbers and rates; without it they are drawn here.
    """
    device, draw = states[0].latent.z.device, draw or draw_step(frame, objective, states)

    def update(compute: Compute, draw: StepDraw) -> ImageLosses:
        results = compute(objective, states, draw)
        for k, state in enumerate(states):
            optimizer_step(objective, state, draw.rate if draw.shares is None else draw.rate * draw.shares[k])
        return results

    def ordinary(draw: StepDraw) -> ImageLosses:
        return update(compute_losses_within_memory, draw)

    def captured(draw: StepDraw) -> ImageLosses:
        return update(compute_losses_in_batches, draw)

    if objective.graphs:
        latents = [state.latent for state in states]
        owner = [frame, objective, *(x for latent in latents for x in (latent.z, latent.start, latent.total))]
        live = lambda: [x for state in states for x in state.live]  # noqa: E731
        results = objective.graphs.run(owner, draw, device, ordinary, captured, live)
    else:
        results = ordinary(sent(draw, device))
    return [_record(frame, objective, state, *each) for state, each in zip(states, results, strict=True)]


def optimizer_step(objective: Objective, state: State, rate: Tensor) -> None:
    """Update one latent: z ← Π(z − η · Adam(z.grad)); then clear the gradient, and add z to its running mean.

    `rate` is η (). Only tensors on the device change, so that a graph can replay this.
    """
    z, optimizer = state.latent.z, state.optimizer
    if _is_fixed(objective, [state]):
        # The optimiser steps at rate 1, and the step is then scaled by η: every optimiser's step is proportional to its
        # rate, and not every optimiser takes a tensor as its rate.
        before = z.detach().clone()
        optimizer.step()
        with torch.no_grad():
            z.copy_(before.lerp(z, rate))
    else:
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
    optimizer.zero_grad()
    state.latent.project(objective.drawer.project, objective.ema_decay)


def _record(
    frame: Frame, objective: Objective, state: State, image: Tensor, losses: dict[str, Tensor]
) -> Step:
    """Count a step that was taken, pass its loss to the plateau, and make its record."""
    state.latent.add_weight(objective.ema_decay)
    state.step += 1
    step = Step(state.seed, frame.index, state.step, frame.steps, losses, image)
    if objective.plateau.patience:
        state.unwatched.append(step.loss)
        if not _is_fixed(objective, [state]) or state.step % READ_EVERY == 0:
            state.watch(objective.plateau.improvement)
            if _is_flat(objective, state) and state.plateau.drops < objective.plateau.drops:
                state.plateau.drop()
    return step


def _is_fixed(objective: Objective, states: Sequence[State]) -> bool:
    """Tell whether steps must keep their shapes and may not read numbers, as graphs need it."""
    return objective.is_fixed(states[0].latent.z.device)


def _has_settled(objective: Objective, state: State) -> bool:
    """Tell whether the loss has reached its last plateau; on a device, only at steps whose losses were read."""
    is_read = not _is_fixed(objective, [state]) or state.step % READ_EVERY == 0
    return is_read and _is_flat(objective, state) and state.plateau.drops >= objective.plateau.drops


def _is_flat(objective: Objective, state: State) -> bool:
    return 0 < objective.plateau.patience <= state.plateau.since
