"""The tensor mathematics, each piece by what defines it."""

import math

import pytest
import torch
from torch import Tensor

from vqclip.guidance import ops


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.5, math.pi / 2, 3.0, math.pi])
def test_spherical_distance_is_half_the_squared_angle(angle: float) -> None:
    x, y = torch.tensor([1.0, 0, 0]), torch.tensor([math.cos(angle), math.sin(angle), 0])
    assert float(ops.spherical_distance(x, y)) == pytest.approx(
        angle**2 / 2, abs=1e-2 if angle == math.pi else 1e-6
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_spherical_distance_has_a_finite_gradient_where_vectors_meet_and_oppose(sign: int) -> None:
    x = ops.unit(torch.randn(4, 8)).requires_grad_()
    ops.spherical_distance(x, sign * x.detach()).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_spherical_distance_pairs_by_broadcasting() -> None:
    x, y = ops.unit(torch.randn(5, 8)), ops.unit(torch.randn(3, 8))
    distances = ops.spherical_distance(x[:, None], y[None])
    assert distances.shape == (5, 3)
    assert torch.allclose(distances[4, 1], ops.spherical_distance(x[4], y[1]))
    assert torch.allclose(distances, (x @ y.T).clamp(-1, 1).arccos().square() / 2, atol=1e-4)


def test_straight_through_takes_its_value_here_and_its_gradient_there() -> None:
    here, there = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    result = ops.straight_through(here, there)
    assert torch.allclose(result, here)
    (gradient,) = torch.autograd.grad((result * torch.arange(5.0)).sum(), there)
    assert torch.equal(gradient, torch.arange(5.0))
    assert torch.autograd.grad(ops.straight_through(here, there).sum(), here, allow_unused=True) == (None,)


@pytest.mark.parametrize(
    ("x", "downhill", "passes"),
    [(0.5, 1, True), (0.5, -1, True), (2.0, 1, True), (2.0, -1, False), (-1.0, -1, True), (-1.0, 1, False)],
)
def test_clamp_stops_only_the_gradients_that_lead_further_out(
    x: float, downhill: float, passes: bool
) -> None:
    """A descent goes against the gradient: above the range a positive one leads back in."""
    t = torch.tensor([x], requires_grad=True)
    clamped = ops.clamp_with_grad(t)
    clamped.backward(torch.tensor([float(downhill)]))
    assert clamped.item() == min(max(x, 0), 1)
    assert t.grad is not None
    assert float(t.grad) == (downhill if passes else 0)


@pytest.mark.parametrize("make", [ops.fractal_noise, ops.gradient_image])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (32, 20), (17, 64)])
def test_starting_pictures_lie_in_the_unit_range_and_hang_on_their_seed(
    make: object, shape: tuple[int, int]
) -> None:
    def draw(seed: int) -> Tensor:
        return make(*shape, torch.Generator().manual_seed(seed))  # type: ignore[operator]

    image = draw(1)
    assert image.shape == (1, 3, *shape)
    assert bool(((image >= 0) & (image <= 1)).all())
    assert torch.equal(image, draw(1))
    if min(shape) > 1:
        assert not torch.equal(image, draw(2))
        assert float(image.std()) > 0.05


def test_homographies_map_the_corners() -> None:
    corners = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    targets = corners * (1 - 0.5 * torch.rand(10, 4, 2))
    mapped = torch.einsum("nij,kj->nki", ops.homographies(targets), torch.cat([corners, torch.ones(4, 1)], 1))
    torch.testing.assert_close(mapped[..., :2] / mapped[..., 2:], targets, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ops.homographies(corners[None])[0], torch.eye(3))


def test_resize_keeps_flat_pictures_and_means() -> None:
    assert torch.allclose(ops.resize(torch.full((1, 3, 9, 7), 0.3), 4, 12), torch.tensor(0.3))
    image = torch.rand(1, 3, 32, 32)
    assert ops.resize(image, 32, 32) is image
    assert float(ops.resize(image, 8, 8).mean()) == pytest.approx(float(image.mean()), abs=0.01)
