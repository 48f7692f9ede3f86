"""Enlarging: tiles agree with the whole, what is saved has the enlarged size, and the palette stays locked."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import DEVICE, Tiny, Vqclip, paint
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from vqclip.base.errors import ConfigError, WeightsError
from vqclip.media.image import read_metadata
from vqclip.models import upscaler
from vqclip.models.upscaler import in_tiles
from vqclip.pipeline.enlarge import Enlarge
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import digest
from vqclip.runs.run import Run

SCALE = 2


def network(seed: int = 0) -> nn.Sequential:
    """A convolutional network that doubles images; an output depends on pixels up to three away."""
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(SCALE)
    )
    return layers.requires_grad_(False)


class Loader:
    """In place of spandrel's: it builds the network above from its tensors."""

    def __init__(self, device: torch.device):
        self.device = device

    def load_from_state_dict(self, tensors: dict[str, Tensor]) -> Any:
        model = network(seed=1)
        model.load_state_dict(tensors)
        model.input_channels, model.output_channels, model.scale = 3, 3, SCALE  # type: ignore[assignment]
        return model.to(self.device)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of the network's weights, and a spandrel that knows it."""
    monkeypatch.setitem(sys.modules, "spandrel", SimpleNamespace(ModelLoader=Loader))
    path = tmp_path / "double.pth"
    torch.save({"params_ema": network().state_dict()}, path)
    return str(path)


class TestTiles:
    @pytest.mark.parametrize("size", [(37, 50), (16, 16), (7, 33)])
    def test_agree_with_the_whole(self, size: tuple[int, int]) -> None:
        image, toy = torch.rand(1, 3, *size), network()
        tiled = in_tiles(toy, image, SCALE, tile=16, margin=4)
        torch.testing.assert_close(tiled, toy(image), rtol=0, atol=1e-6)

    def test_no_tile_is_larger_than_asked(self) -> None:
        seen: list[int] = []

        def double(image: Tensor) -> Tensor:
            seen.extend(image.shape[2:])
            return F.interpolate(image, scale_factor=2)

        in_tiles(double, torch.rand(1, 3, 50, 70), 2, tile=16, margin=4)
        assert max(seen) == 24


class TestEnlarge:
    def test_reaches_the_factor_whatever_the_networks_own(self) -> None:
        image = torch.rand(1, 3, 10, 12)
        for factor in (2, 3, 4):
            assert Enlarge(factor)(image).size == (12 * factor, 10 * factor)
            assert Enlarge(factor, network())(image).size == (12 * factor, 10 * factor)

    def test_saves_the_enlarged_image_with_its_config(self, tiny: Tiny, tmp_path: Path, weights: str) -> None:
        for upscale in ({"factor": 2}, {"factor": 4, "model": weights}):
            run = Run.create(tmp_path, tiny(upscale=upscale), {})
            made = paint(run.config, run)
            side = 16 * upscale["factor"]
            with Image.open(run.image) as saved:
                assert saved.size == made.image.size == (side, side)
            assert read_metadata(run.image)["config"]["upscale"]["factor"] == upscale["factor"]

    def test_changes_no_step(self, tiny: Tiny) -> None:
        plain, large = paint(tiny()), paint(tiny(upscale={"factor": 2}))
        assert plain.losses == large.losses
        assert plain.config.digest != large.config.digest

    def test_films_have_enlarged_frames(self, tiny: Tiny, tmp_path: Path) -> None:
        run = Run.create(tmp_path, tiny(upscale=2, film={"frames": 2, "steps": 1}), {})
        paint(run.config, run)
        for path in run.frames.images:
            with Image.open(path) as frame:
                assert frame.size == (32, 32)

    def test_a_locked_palette_holds(self, tiny: Tiny) -> None:
        made = paint(tiny(upscale=2, palette=["red", "blue", "white"])).image
        assert made.size == (32, 32)
        assert {colour for _, colour in made.getcolors()} <= {(255, 0, 0), (0, 0, 255), (255, 255, 255)}

    def test_can_be_made_again(self, vqclip: Vqclip, tiny: Tiny, tmp_path: Path) -> None:
        run = Run.create(tmp_path, tiny(upscale=2), {})
        paint(run.config, run)
        again = vqclip("reproduce", run.image, "--device", DEVICE.type)
        assert "pixels" in again.err
        assert "the same" in again.err


class TestUpscaler:
    def test_is_a_requirement_with_a_digest(self, tiny: Tiny, weights: str) -> None:
        needs = requirements(tiny(upscale={"factor": 2, "model": weights}))
        (need,) = [need for need in needs if need.kind == "upscaler"]
        assert digest(need)
        assert all(need.kind != "upscaler" for need in requirements(tiny(upscale={"model": weights})))

    def test_refuses_in_one_line_what_spandrel_does_not_know(self, tmp_path: Path, weights: str) -> None:
        save_file({"a": torch.ones(3)}, tmp_path / "other.safetensors")
        with pytest.raises(WeightsError, match="no upscaler that spandrel knows") as refused:
            upscaler.load_upscaler(tmp_path / "other.safetensors", DEVICE)
        assert "\n" not in str(refused.value)

    def test_says_what_to_install(self, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "spandrel", None)
        with pytest.raises(WeightsError, match=r"pip install 'vqclip\[upscale\]'"):
            upscaler.load_upscaler(Path(weights), DEVICE)

    def test_names_the_known_ones(self) -> None:
        with pytest.raises(WeightsError, match="realesrgan-x4plus"):
            upscaler.find_upscaler("realesrgan")

    def test_refuses_sizes_beyond_the_largest(self, tiny: Tiny) -> None:
        with pytest.raises(ConfigError, match=r"upscale\.factor"):
            tiny(size="4096x16", upscale=8)


def test_spandrel_loads_a_real_architecture(tmp_path: Path) -> None:
    """A small random ESRGAN goes through spandrel itself, as its training program would have saved it."""
    spandrel = pytest.importorskip("spandrel")
    from spandrel.architectures.ESRGAN import ESRGAN  # noqa: PLC0415  # an extra

    path = tmp_path / "esrgan.pth"
    torch.save({"params_ema": ESRGAN(num_filters=8, num_blocks=1, scale=4).state_dict()}, path)
    loaded = upscaler.load_upscaler(path, DEVICE)
    image = torch.rand(1, 3, 20, 24, device=DEVICE)
    assert loaded.scale == 4
    torch.testing.assert_close(loaded(image), spandrel.ModelLoader(DEVICE).load_from_file(path)(image))
