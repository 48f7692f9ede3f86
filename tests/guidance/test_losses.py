"""The prompt loss is the peers' formula, computed directly; penalties measure what they are named after."""

import math

import numpy as np
import pytest
import torch

from vqclip.config.prompt import Kind, Prompt
from vqclip.guidance.interfaces import Scene
from vqclip.guidance.latent import Latent, enlarge
from vqclip.guidance.loss import Target, penalties, total
from vqclip.guidance.losses.near_start import NearSource, NearStart
from vqclip.guidance.losses.saturation import Saturation, saturation
from vqclip.guidance.losses.tv import Tv, total_variation
from vqclip.guidance.ops import unit


def formula(crops: np.ndarray, embeddings: np.ndarray, weight: float) -> float:
    """2 arcsin(|x - y| / 2)^2, signed and weighted, averaged over all pairs."""
    chords = np.linalg.norm(crops[:, None] - embeddings[None], axis=-1)
    return float(abs(weight) * np.mean(np.sign(weight) * 2 * np.arcsin(chords / 2) ** 2))


@pytest.mark.parametrize("weight", [1.0, 0.3, -1.0, -2.5])
@pytest.mark.parametrize("stop", [-math.inf, 0.5, -0.9])
@pytest.mark.parametrize("texts", [1, 4])
def test_agrees_with_the_formula_whatever_the_stop(weight: float, stop: float, texts: int) -> None:
    crops, embeddings = unit(torch.randn(6, 8)), unit(torch.randn(texts, 8))
    target = Target(Prompt(Kind.TEXT, "a", weight, stop), embeddings)
    expected = formula(crops.double().numpy(), embeddings.double().numpy(), weight)
    assert float(target.loss(crops)) == pytest.approx(expected, rel=1e-5)


def test_a_weight_of_zero_is_silent() -> None:
    target = Target(Prompt(Kind.TEXT, "a", 0.0), unit(torch.randn(1, 8)))
    crops = unit(torch.randn(2, 8)).requires_grad_()
    target.loss(crops).backward()
    assert target.loss(crops).item() == 0
    assert crops.grad is not None
    assert bool((crops.grad == 0).all())


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_only_crops_above_the_stop_pull(weight: float) -> None:
    """A stop between two crops' signed distances: the one below it gets no gradient, the other its own."""
    goal = torch.tensor([[1.0, 0, 0]])
    crops = unit(torch.tensor([[1.0, 0.1, 0], [0.1, 1.0, 0]])).requires_grad_()
    free = Target(Prompt(Kind.TEXT, "a", weight), goal)
    signed = [float(free.loss(crop[None])) for crop in crops.detach()]
    stopped = Target(Prompt(Kind.TEXT, "a", weight, sum(signed) / 2), goal)
    (without,) = torch.autograd.grad(free.loss(crops), crops)
    (gradient,) = torch.autograd.grad(stopped.loss(crops), crops)
    below = signed.index(min(signed))
    assert bool((gradient[below] == 0).all())
    assert torch.equal(gradient[1 - below], without[1 - below])
    assert bool((without != 0).any(1).all())


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_descent_goes_nearer_to_what_is_wished_and_away_from_what_is_not(weight: float) -> None:
    goal = unit(torch.randn(1, 8))
    crops = unit(torch.randn(5, 8)).requires_grad_()
    Target(Prompt(Kind.TEXT, "a", weight), goal).loss(crops).backward()
    assert crops.grad is not None
    moved = unit(crops.detach() - 0.1 * crops.grad)
    nearness = ((moved - crops.detach()) @ goal.T).flatten()
    assert bool((nearness * weight > 0).all())


def test_the_total_is_a_plain_sum() -> None:
    assert float(total({"a": torch.tensor(1.0), "b": torch.tensor(-3.0)})) == -2


class TestTerms:
    def test_those_that_never_weigh_are_left_out(self) -> None:
        terms = {"tv": Tv(), "near_start": NearStart(weight="0 -> 1"), "saturation": Saturation(weight="-1")}
        assert [penalty.name for penalty in penalties(terms, Scene())] == ["near_start", "saturation"]

    def test_distances_of_latents_are_squares_of_their_unit(self) -> None:
        latent, image, scene = Latent.begin(torch.zeros(1, 2, 3, 3)), torch.zeros(1, 3, 4, 4), Scene(unit=2.0)
        assert float(NearStart().value(image, latent, scene).detach()) == 0
        latent.z.data += 2
        assert float(NearStart().value(image, latent, scene).detach()) == pytest.approx(1)
        there = Scene(unit=2.0, source=torch.full((1, 2, 6, 6), 2.0), resize=enlarge)
        assert float(NearSource().value(image, latent, there).detach()) == pytest.approx(0)

    def test_saturation_falls_as_colours_become_purer(self) -> None:
        latent, grey = Latent.begin(torch.zeros(1, 2, 3, 3)), torch.full((1, 3, 4, 4), 0.5)
        red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
        assert Saturation().value(red, latent, Scene()) < Saturation().value(grey, latent, Scene())


def test_total_variation_is_zero_for_a_flat_picture_and_that_of_its_steps_otherwise() -> None:
    assert float(total_variation(torch.full((1, 3, 5, 7), 0.3))) == 0
    stripes = (torch.arange(8) % 2).float().expand(1, 3, 6, 8)
    assert float(total_variation(stripes)) == 1
    assert float(total_variation(stripes.mT)) == 1


def test_saturation_is_zero_for_grey_and_larger_for_purer_colours() -> None:
    def measure(*colour: float) -> float:
        return float(saturation(torch.tensor(colour).float().view(1, 3, 1, 1).expand(1, 3, 4, 4)))

    assert measure(0.4, 0.4, 0.4) == pytest.approx(0, abs=1e-3)
    assert measure(0.6, 0.4, 0.4) < measure(1, 0, 0)
