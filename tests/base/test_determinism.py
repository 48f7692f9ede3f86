"""What repeats is chosen for a GPU alone, and given up, with a line, only where a model can't do without."""

import logging
from collections.abc import Iterator

import pytest
import torch

from vqclip.base import determinism


@pytest.fixture(autouse=True)
def mode() -> Iterator[None]:
    yield
    torch.set_deterministic_debug_mode("default")


def test_nothing_is_chosen_for_a_cpu() -> None:
    determinism.enter(torch.device("cpu"))
    assert torch.get_deterministic_debug_mode() == 0


def test_a_kernel_that_varies_is_refused_first_and_then_allowed(caplog: pytest.LogCaptureFixture) -> None:
    """As torch words it: once, and one line says so."""
    torch.set_deterministic_debug_mode("error")
    tries: list[int] = []

    def step() -> str:
        tries.append(torch.get_deterministic_debug_mode())
        if tries[-1]:
            raise RuntimeError(
                "odd_pool_backward_cuda does not have a deterministic implementation, but you set."
            )
        return "done"

    with caplog.at_level(logging.WARNING):
        assert [determinism.run(step) for _ in range(2)] == ["done", "done"]
    assert tries == [2, 0, 0]
    (line,) = caplog.messages
    assert "odd_pool_backward_cuda" in line


def test_other_errors_stay_what_they_are() -> None:
    def step() -> None:
        raise RuntimeError("a bug")

    torch.set_deterministic_debug_mode("error")
    with pytest.raises(RuntimeError, match="a bug"):
        determinism.run(step)
    assert torch.get_deterministic_debug_mode() == 2
