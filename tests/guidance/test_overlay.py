"""An overlay is stamped at its steps, where it isn't transparent."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Tiny, paint
from PIL import Image

from vqclip.config.sections import OverlayConfig
from vqclip.guidance.overlay import open_overlay
from vqclip.pipeline.events import Result

pytestmark = pytest.mark.usefixtures("device")


def write_overlay() -> None:
    """Write overlay.png, which is red on the left and transparent on the right."""
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 8, 16))
    image.save("overlay.png")


def made(tiny: Tiny, **overlay: object) -> Result:
    write_overlay()
    still = {"steps": 5, "optimizer": {"learning_rate": "0"}, "start": "grey"}
    return paint(tiny(drawer="fft", overlay={"file": "overlay.png"} | overlay, **still))


def test_it_is_stamped_where_it_is_opaque(tiny: Tiny) -> None:
    pixels = np.asarray(made(tiny).image).astype(int)
    assert (abs(pixels[:, :7] - (255, 0, 0)) < 32).all()
    assert (abs(pixels[:, 10:14] - 128) < 50).all()


def test_alpha_makes_it_fainter(tiny: Tiny) -> None:
    pixels = np.asarray(made(tiny, alpha=0.5, every=100).image).astype(int)
    assert (abs(pixels[:, :7] - (191, 64, 64)) < 32).all()


def test_before_its_offset_there_is_none(tiny: Tiny) -> None:
    pixels = np.asarray(made(tiny, offset=5).image).astype(int)
    assert (abs(pixels - 128) < 12).all()


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({}, [0, 10, 20]),
        ({"every": 8, "offset": 2}, [2, 10, 18, 26]),
        ({"every": 8, "offset": 2, "until": 10}, [2, 10]),
    ],
)
def test_it_is_due_at_its_steps(given: dict[str, int], steps: list[int]) -> None:
    write_overlay()
    settings = {"file": "overlay.png", "every": 10, "offset": 0, "until": None, "alpha": 1.0} | given
    overlay = open_overlay(OverlayConfig(**settings), Path(), 16, 16)  # type: ignore[arg-type]
    assert overlay
    assert [step for step in range(30) if overlay.is_due(step)] == steps


def test_a_vqgan_encodes_it(tiny: Tiny) -> None:
    write_overlay()
    with_it, without = (
        paint(tiny(overlay={"file": file, "every": 2})).image for file in ("overlay.png", None)
    )
    assert with_it.tobytes() != without.tobytes()
