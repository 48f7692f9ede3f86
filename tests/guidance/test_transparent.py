"""Transparent images: alpha is optimised beside the latent, falls where nothing is needed, and is saved."""

from pathlib import Path

import pytest
import torch
from conftest import DEVICE, Tiny, Vqclip, paint
from PIL import Image

from vqclip.base.errors import ConfigError
from vqclip.base.stop import StopToken
from vqclip.guidance.drawers.pixel import PixelDrawer
from vqclip.guidance.latent import Latent
from vqclip.guidance.transparent_drawer import TransparentDrawer
from vqclip.media.image import load_image
from vqclip.runs.run import Run


@pytest.fixture
def drawer() -> TransparentDrawer:
    """One with a grid of 4 x 4 colours and 2 x 2 values of alpha in each."""
    return TransparentDrawer(PixelDrawer(16, 16, torch.device("cpu"), (4, 4)), cell=8)


def opacity(image: Image.Image) -> float:
    """The mean alpha of an image, from 0 to 1."""
    return float(torch.tensor(list(image.getchannel("A").tobytes())).float().mean()) / 255


class TestDrawer:
    def test_an_encoded_image_is_opaque(self, drawer: TransparentDrawer) -> None:
        image = torch.rand(1, 3, 16, 16)
        z = drawer.encode(image, (4, 4))
        assert z.shape == (1, 3 + 4, 4, 4)
        assert torch.equal(drawer.decode_output(z)[:, 3:], torch.ones(1, 1, 16, 16))
        assert torch.equal(drawer.decode(z), drawer.decode_output(z)[:, :3])

    def test_shows_the_background_where_it_is_transparent(self, drawer: TransparentDrawer) -> None:
        z = drawer.encode(torch.rand(2, 3, 16, 16)[:1], (4, 4))
        z[:, 3:] = 0
        shifts = drawer.shifts((4, 4), [1, 2])
        shown = drawer.decode(torch.cat([z, z]), shifts)
        expected = (shifts[:, :, None, None] / 255).expand(2, 3, 16, 16)
        torch.testing.assert_close(shown, expected)
        assert not torch.equal(shown[0], shown[1])

    def test_other_losses_see_the_inner_latent(self, drawer: TransparentDrawer) -> None:
        latent = Latent.begin(drawer.encode(torch.rand(1, 3, 16, 16), (4, 4)))
        assert drawer.opacity(latent.z, latent).item() == pytest.approx(1)
        seen = drawer.without_alpha(lambda image, inner: inner.z)(latent.z, latent)
        assert torch.equal(seen, latent.z[:, :3])

    def test_keeps_alpha_in_place_when_it_is_resized(self, drawer: TransparentDrawer) -> None:
        z = drawer.encode(torch.rand(1, 3, 16, 16), (4, 4))
        z[:, 3:, :2] = 0  # the upper half
        resized = drawer.decode_output(drawer.resize(z, 8, 8))[:, 3]
        assert float(resized[:, :6].max()) == 0
        assert float(resized[:, 10:].min()) == 1

    def test_projects_alpha_into_its_bounds(self, drawer: TransparentDrawer) -> None:
        z = 3 * torch.randn(1, 7, 4, 4)
        drawer.project(z)
        assert 0 <= float(z.min()) <= float(z.max()) <= 1


class TestTransparent:
    def test_a_larger_weight_leaves_less(self, tiny: Tiny) -> None:
        none, some = (paint(tiny(transparent=weight, steps=12)).image for weight in ("0", "20"))
        assert none.mode == some.mode == "RGBA"
        assert opacity(some) < opacity(none)
        assert paint(tiny(steps=2)).image.mode == "RGB"

    def test_goes_on_after_a_stop_with_the_same_pixels(self, tiny: Tiny, tmp_path: Path) -> None:
        config, stop = tiny(transparent="1"), StopToken()
        whole = paint(config)
        run = Run.create(tmp_path, config, {})
        paint(config, run, lambda step: stop.stop() if step.index == 3 else None, stop=stop)
        assert paint(config, run).image.tobytes() == whole.image.tobytes()

    def test_is_saved_and_enlarged_and_made_again(self, vqclip: Vqclip, tiny: Tiny, tmp_path: Path) -> None:
        run = Run.create(tmp_path, tiny(transparent="5", upscale=2), {})
        paint(run.config, run)
        with Image.open(run.image) as saved:
            assert (saved.mode, saved.size) == ("RGBA", (32, 32))
        again = vqclip("reproduce", run.image, "-o", "again.webp", "--device", DEVICE.type)
        assert "the same" in again.err
        assert (load_image(Path("again.webp")) - load_image(run.image)).abs().mean() < 0.05

    def test_refuses_what_has_no_alpha(self, tiny: Tiny) -> None:
        masked = {"init": "a.png", "mask": {"file": "m.png"}}
        for settings in (
            {"film": {"frames": 2}},
            {"filters": ["wrap"]},
            masked,
            {"overlay": {"file": "o.png"}},
        ):
            with pytest.raises(ConfigError, match="transparent"):
                tiny(transparent="1", **settings)
        with pytest.raises(ConfigError, match="lines"):
            paint(tiny(transparent="1", drawer="lines"))
