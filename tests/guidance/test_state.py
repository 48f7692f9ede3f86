"""A State that was put into tensors and back goes on bit by bit as the one that never stopped."""

import json

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from vqclip.config.schema import OPTIMIZERS
from vqclip.guidance import optimizers
from vqclip.guidance.latent import enlarge
from vqclip.guidance.state import MakeOptimizer, Plateau, State


def maker(name: str) -> MakeOptimizer:
    return lambda z: optimizers.OPTIMIZERS[name]([z], lr=0.01)


def nudge(state: State, steps: int) -> None:
    """Steps down a bowl whose shape depends on where one stands."""
    for _ in range(steps):
        z = state.latent.z
        (z.square() * torch.linspace(0.1, 2, z.numel()).view_as(z)).sum().backward()
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.latent.settle(lambda z: z.clamp_(-3, 3), 0.9)
        state.step += 1
        state.plateau.watch(z.square().sum().item(), state.step == 1, 0.01)


def begin(name: str) -> State:
    return State.begin(torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0)), maker(name), 5)


def through_a_file(state: State, name: str) -> State:
    tensors, strings = state.to_tensors()
    content = save({key: value.contiguous() for key, value in tensors.items()}, metadata=strings)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return State.from_tensors(load(content), header["__metadata__"], maker(name))


def test_every_optimiser_of_the_schema_is_there() -> None:
    assert set(OPTIMIZERS) == set(optimizers.OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [0, 1, 7])
def test_goes_on_bit_by_bit(name: str, stop: int) -> None:
    straight, stopped = begin(name), begin(name)
    nudge(straight, stop + 8)
    nudge(stopped, stop)
    restored = through_a_file(stopped, name)
    nudge(restored, 8)
    assert torch.equal(restored.latent.z, straight.latent.z)
    assert torch.equal(restored.latent.mean, straight.latent.mean)
    assert torch.equal(restored.latent.start, straight.latent.start)
    assert (restored.step, restored.plateau) == (straight.step, straight.plateau)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_growing_keeps_the_moments_in_the_latents_new_shape(name: str) -> None:
    state = begin(name)
    nudge(state, 5)
    before = state._moments()
    state.resize(6, 8, enlarge)
    after = state._moments()
    assert before.keys() == after.keys()
    for key, value in before.items():
        expected = (1, 2, 6, 8) if value.ndim == 4 else value.shape
        assert after[key].shape == expected
        assert value.ndim < 4 or after[key].mean().item() == pytest.approx(value.mean().item(), abs=1e-3)
    nudge(state, 2)
    assert bool(state.latent.z.isfinite().all())
    assert any(
        parameter is state.latent.z for group in state.optimizer.param_groups for parameter in group["params"]
    )


def test_growing_a_second_moment_keeps_it_positive() -> None:
    state = begin("adam")
    nudge(state, 3)
    state.resize(9, 5, enlarge)
    second: Tensor = state._moments()["exp_avg_sq"]
    assert bool((second >= 0).all())


class TestPlateau:
    def test_counts_the_steps_without_improvement(self) -> None:
        plateau = Plateau()
        for i in range(10):
            plateau.watch(1.0, i == 0, 0.01)
        assert plateau.since == 9
        plateau.watch(0.0, False, 0.01)
        assert plateau.since == 0

    def test_watches_the_running_mean(self) -> None:
        """One lucky step is no improvement to wait for."""
        plateau = Plateau()
        for i, loss in enumerate([1.0, 0.0, 1.0]):
            plateau.watch(loss, i == 0, 0.0)
        assert plateau.mean == pytest.approx(0.91)
        assert plateau.best == pytest.approx(0.9)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_falling_loss_is_an_improvement_whatever_its_sign(self, sign: int) -> None:
        plateau = Plateau()
        for i in range(20):
            plateau.watch(sign * 1.0 - 0.1 * i, i == 0, 0.001)
        assert plateau.since == 0
