"""Films: a frame's stages share out its steps, and its latent covers its size."""

import itertools

import pytest
from conftest import Tiny

from vqclip.film import cells, film


@pytest.mark.parametrize("shares", [[1], [0.4, 0.6], [1, 0.001], [0.001, 0.001, 1], [0.2, 0.3, 0.1, 1]])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 120])
def test_stages_cover_every_step_once_and_end_at_full_size(
    tiny: Tiny, shares: list[float], steps: int
) -> None:
    scales = [(i + 1) / len(shares) for i in range(len(shares))]
    given = [{"scale": scale, "share": share} for scale, share in zip(scales, shares, strict=True)]
    (frame,) = film(tiny(steps=steps, latent={"stages": given}))
    assert [i for stage in frame.stages for i in range(stage.begin, stage.end)] == list(range(steps))
    assert all(stage.begin < stage.end for stage in frame.stages)
    assert frame.stages[-1].scale == 1


def test_steps_are_shared_by_weight(tiny: Tiny) -> None:
    stages = [{"scale": 0.5, "share": 0.2}, {"scale": 1.0, "share": 0.6}]
    (frame,) = film(tiny(steps=100, latent={"stages": stages}))
    assert [(stage.begin, stage.end) for stage in frame.stages] == [(0, 25), (25, 100)]


def test_a_still_is_one_frame_of_its_config(tiny: Tiny) -> None:
    config = tiny(prompts=["a|b:2", "[noise:3]"], size="20x12")
    (frame,) = film(config)
    assert frame.prompts == config.wishes
    assert (frame.index, frame.width, frame.height, frame.steps) == (0, 20, 12, config.steps)


@pytest.mark.parametrize("factor", [1, 2, 8, 16])
def test_cells_cover_the_size_with_less_than_a_cell_to_spare(factor: int) -> None:
    for width, height, scale in itertools.product((1, 15, 16, 17, 192), (1, 9, 108), (0.3, 0.5, 1.0)):
        rows, columns = cells(width, height, factor, scale)
        assert (rows - 1) * factor < height * scale <= rows * factor
        assert (columns - 1) * factor < width * scale <= columns * factor
