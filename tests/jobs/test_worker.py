"""Each image of a worker is made with the switches that a Worker sets, whatever an earlier image had to leave."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Tiny

from vqclip.base import determinism
from vqclip.guidance import gradient
from vqclip.jobs.worker import Worker
from vqclip.runs.job import Job

VARYING, PLAIN = 1, 2  # seeds: steps of the first take a kernel that varies


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """List each step's seed and mode, 2 where a kernel that varies is refused, as one of the steps has."""
    compute, seen = gradient.compute_losses_in_batches, []

    def stepped(objective: Any, states: Any, draw: Any) -> Any:
        seen.append((states[0].seed, torch.get_deterministic_debug_mode()))
        if seen[-1] == (VARYING, 2):
            raise RuntimeError("odd_backward_cuda does not have a deterministic implementation, but you set.")
        return compute(objective, states, draw)

    monkeypatch.setattr(gradient, "compute_losses_in_batches", stepped)
    monkeypatch.setattr(determinism, "enter", lambda _: torch.set_deterministic_debug_mode("error"))
    yield seen
    torch.set_deterministic_debug_mode("default")


def test_a_batch_refuses_kernels_that_vary_in_each_group(
    tiny: Tiny, modes: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    configs = [tiny(seed=seed, steps=2, prompts=[f"image {i}"]) for i, seed in enumerate((1, 2, 1))]
    with caplog.at_level(logging.WARNING):
        list(Worker("cpu").paint(configs))
    varying = [(VARYING, 2), (VARYING, 0), (VARYING, 0)]
    assert modes == [*varying, (PLAIN, 2), (PLAIN, 2), *varying]
    assert sum("odd_backward_cuda" in line for line in caplog.messages) == 2


def test_a_resumed_job_refuses_them_too(
    tiny: Tiny, modes: list[tuple[int, int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker("cpu")
    for seed in (VARYING, PLAIN):
        list(worker.go_on(Job(tiny(seed=seed, steps=2), tmp_path / str(seed))))
    assert modes[-2:] == [(PLAIN, 2), (PLAIN, 2)]
