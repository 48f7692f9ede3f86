"""Under `precision: tf32`, products that place or choose something keep all their digits."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vqclip.base.device import strengths
from vqclip.guidance.crop_sampling import _crop_points
from vqclip.guidance.drawers.curves import fill_coverage, stroke_coverage
from vqclip.models.quantizers import nearest

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "mv", "dot")


class Products(TorchDispatchMode):
    """Note of each product of matrices whether TF32 is allowed in it."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in PRODUCTS:
            self.allowed.append(torch.backends.cuda.matmul.allow_tf32)
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def tf32() -> Iterator[None]:
    """As `allow_tf32` leaves the process."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


CURVES, PIXELS = torch.rand(3, 4, 2), torch.rand(2, 50)
PLACES: dict[str, Callable[[], Any]] = {
    "a crop's points": lambda: _crop_points(torch.eye(3)[None], 4),
    "the nearest code": lambda: nearest(torch.rand(1, 5, 4, 4), torch.rand(7, 5)),
    "strokes": lambda: stroke_coverage(CURVES, torch.ones(3), PIXELS, 1.0),
    "filled curves": lambda: fill_coverage(CURVES, PIXELS, 1.0),
}


@pytest.mark.parametrize("compute", PLACES.values(), ids=PLACES)
def test_coordinates_and_choices_are_not_rounded(
    compute: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounding = replace(strengths(torch.device("cpu")), tf32=True)
    monkeypatch.setattr("vqclip.base.device.strengths", lambda _: rounding)
    with Products() as products:
        compute()
        torch.rand(2, 2) @ torch.rand(2, 2)  # a network's, which comes after
    assert len(products.allowed) > 1
    assert products.allowed == [False] * (len(products.allowed) - 1) + [True]


def test_a_device_without_tf32_leaves_the_switch_alone() -> None:
    """Another library of the process may have set it by torch's newer names, which don't mix with the older."""
    with Products() as products:
        nearest(torch.rand(1, 5, 4, 4), torch.rand(7, 5))
    assert products.allowed == [True] * len(products.allowed)
