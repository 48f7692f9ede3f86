"""Style and heads take their weights from files; a style's statistics and a head's score go where they lead."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Tiny, Vqclip, paint, write_clip
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from vqclip.base.errors import ConfigError, VqclipError, WeightsError
from vqclip.config import resolve as configs
from vqclip.guidance.interfaces import Perceptor, Scene
from vqclip.guidance.latent import Latent
from vqclip.guidance.losses.style import Style
from vqclip.guidance.ops import windows
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.models.heads import load_head
from vqclip.models.vgg import MEAN, STD, load_vgg
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing
from vqclip.runs.provenance import provenance

CPU = torch.device("cpu")
LATENT = Latent.begin(torch.zeros(1, 1, 1, 1))


def random_vgg(norm: bool = False) -> nn.Sequential:
    """Two blocks of convolutions in torchvision's order, with random weights."""
    torch.manual_seed(0)

    def layers(inside: int, outside: int) -> list[nn.Module]:
        found = [nn.Conv2d(inside, outside, 3, padding=1), *([nn.BatchNorm2d(outside)] if norm else [])]
        return [*found, nn.ReLU()]

    network = nn.Sequential(*layers(3, 8), *layers(8, 8), nn.AvgPool2d(2), *layers(8, 12)).eval()
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)  # type: ignore[union-attr, operator]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]
    return network.requires_grad_(False)


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    return save(random_vgg(), tmp_path / "vgg.safetensors")


def save(network: nn.Module, path: Path) -> Path:
    state = {f"features.{key}": value for key, value in network.state_dict().items()}
    save_file(state | {"classifier.0.weight": torch.zeros(4, 4)}, path)
    return path


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """A style: thin vertical stripes of orange and blue."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, ::2], pixels[:, 1::2] = (255, 140, 0), (0, 60, 255)
    Image.fromarray(pixels).save(tmp_path / "stripes.png")
    return tmp_path / "stripes.png"


class TestNetwork:
    @pytest.mark.parametrize("norm", [False, True])
    def test_agrees_with_torchs_layers(self, norm: bool, tmp_path: Path) -> None:
        network = random_vgg(norm)
        features = load_vgg(save(network, tmp_path / "v.safetensors")).features(
            image := torch.rand(2, 3, 16, 12)
        )
        x = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        cut = next(i for i, module in enumerate(network) if isinstance(module, nn.AvgPool2d))
        first = network[:cut](x)
        torch.testing.assert_close(
            features, [first, network[cut + 1 :](F.avg_pool2d(first, 2))], atol=1e-5, rtol=1e-4
        )

    def test_what_is_no_vgg_is_refused(self, tmp_path: Path) -> None:
        save_file({"a.weight": torch.zeros(3)}, tmp_path / "a.safetensors")
        with pytest.raises(WeightsError, match="holds no VGG"):
            load_vgg(tmp_path / "a.safetensors")


class TestStyle:
    @pytest.mark.parametrize("distance", ["gram", "sliced"])
    def test_is_zero_for_the_style_itself_and_falls_by_painting(
        self, distance: str, tiny: Tiny, vgg: Path, stripes: Path
    ) -> None:
        term = Style(image=str(stripes), network=str(vgg), distance=distance)
        measure = term.prepare(Scene(models=ModelCache(CPU)))
        assert float(measure(pixels(Image.open(stripes)), LATENT)) == pytest.approx(0, abs=1e-6)
        losses = {"style": {"weight": 5, "image": str(stripes), "network": str(vgg), "distance": distance}}
        made = [
            pixels(paint(tiny(drawer="fft", steps=40, losses=given, size="32x32")).image)
            for given in ({}, losses)
        ]
        without, with_it = (float(measure(image, LATENT)) for image in made)
        assert with_it < 0.5 * without

    @pytest.mark.parametrize("distance", ["gram", "sliced"])
    def test_comes_nearer_by_the_perceptors_own_features(
        self, distance: str, tiny: Tiny, stripes: Path
    ) -> None:
        losses = {"style": {"weight": 5, "image": str(stripes), "distance": distance}}
        with_it, without = (
            tiny(drawer="fft", steps=40, losses=given, size="32x32") for given in (losses, {})
        )
        pipeline = Pipeline(with_it, CPU)
        (penalty,) = (
            each for each in pipeline.objective(pipeline.film.frame(0)).penalties if each.name == "style"
        )
        assert float(penalty.measure(pixels(Image.open(stripes)), LATENT)) == pytest.approx(0, abs=1e-6)
        near, far = (float(penalty.measure(pixels(paint(each).image), LATENT)) for each in (with_it, without))
        assert near < 0.5 * far

    def test_a_perceptor_without_features_is_refused(self, stripes: Path) -> None:
        class Blind(Perceptor):
            def embed_crops(self, pixels: Tensor, /) -> Tensor:
                return pixels

        with pytest.raises(ConfigError, match=r"losses\.style: no perceptor has feature maps"):
            Style(image=str(stripes)).prepare(Scene(perceptors=[Blind()]))

    def test_a_file_that_is_missing_is_named(self, tiny: Tiny, stripes: Path) -> None:
        config = tiny(losses={"style": {"image": str(stripes), "network": "no.pth"}})
        pipeline = Pipeline(config, CPU)
        with pytest.raises(WeightsError, match=r"no\.pth") as error:
            pipeline.objective(pipeline.film.frame(0))
        assert "\n" not in str(error.value)


class TestFeatures:
    """Maps (n d y x) from fine to coarse, or as many of a ViT's as there are stages elsewhere."""

    def test_of_a_convolutional_tower_of_timm(self) -> None:
        perceptor = OpenCLIPPerceptor("mini-clip-2", CPU, torch.float32)
        crops = torch.rand(1, 3, perceptor.size, perceptor.size)
        assert [block.shape[2:] for block in perceptor.features(crops)] == [
            (perceptor.size >> k,) * 2 for k in range(1, 6)
        ]

    @pytest.mark.parametrize("layers", [2, 9])
    def test_of_a_vit(self, layers: int, tmp_path: Path) -> None:
        vision = {"layers": layers, "width": 16, "head_width": 8, "patch_size": 4}
        maps = self._maps(write_clip(tmp_path, 0, **vision))
        assert [block.shape for block in maps] == [(2, 16, 4, 4)] * min(layers, 4)
        assert len({float(block.detach().sum()) for block in maps}) == len(maps)

    def test_of_a_resnet(self, tmp_path: Path) -> None:
        vision = {"layers": [1, 1, 1, 1], "width": 8}
        maps = self._maps(write_clip(tmp_path, 0, image_size=32, **vision), 32)
        assert [block.shape[2:] for block in maps] == [(32 // s,) * 2 for s in (4, 4, 8, 16, 32)]

    def _maps(self, folder: Path, side: int = 16) -> list[Tensor]:
        crops = torch.rand(2, 3, side, side, requires_grad=True)
        maps = OpenCLIPPerceptor(str(folder), CPU, torch.float32).features(crops)
        gradients = [torch.autograd.grad(block.square().sum(), crops, retain_graph=True)[0] for block in maps]
        assert all(float(gradient.abs().sum()) > 0 for gradient in gradients)
        return maps


def test_windows_cover_an_image_and_keep_its_scale() -> None:
    image = torch.rand(1, 3, 20, 33)
    cut = windows(image, 16)
    assert cut.shape == (6, 3, 16, 16)
    assert torch.equal(cut[0], image[0, :, :16, :16])
    assert torch.equal(cut[-1], image[0, :, -16:, -16:])
    assert torch.equal(windows(image, 20)[0], image[0, :, :, :20])
    assert windows(image, 40).shape == (2, 3, 40, 40)


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB")) / 255.0).float().permute(2, 0, 1)[None]


class TestHeads:
    def test_layers_in_a_row_are_one(self, tmp_path: Path) -> None:
        """In the layout of LAION's improved predictor: linear layers and dropouts, numbered past nine."""
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Linear(16, 8),
            nn.Dropout(),
            nn.Linear(8, 4),
            *(nn.Dropout() for _ in range(7)),
            nn.Linear(4, 1),
        ).eval()
        torch.save(
            {f"layers.{key}": value for key, value in layers.state_dict().items()}, tmp_path / "head.pth"
        )
        weight, bias = load_head(tmp_path / "head.pth")
        x = torch.randn(5, 16)
        torch.testing.assert_close(x @ weight + bias, layers(x)[:, 0].detach())

    def test_one_layer_is_read(self, tmp_path: Path) -> None:
        """In the layout of LAION's first predictor and of pixray's."""
        linear = nn.Linear(16, 1)
        torch.save(linear.state_dict(), tmp_path / "head.pth")
        weight, bias = load_head(tmp_path / "head.pth")
        assert torch.equal(weight, linear.weight[0])
        assert torch.equal(bias, linear.bias[0])

    @pytest.mark.parametrize(
        "tensors",
        [
            {},
            {"weight": torch.zeros(3, 16)},
            {"l.0.weight": torch.zeros(4, 16), "l.1.weight": torch.zeros(1, 5)},
        ],
    )
    def test_what_is_no_head_is_refused(self, tensors: dict[str, Tensor], tmp_path: Path) -> None:
        save_file(tensors, tmp_path / "a.safetensors")
        with pytest.raises(WeightsError, match="holds no head"):
            load_head(tmp_path / "a.safetensors")

    def test_a_score_rises_or_goes_to_its_target(self, tiny: Tiny, tmp_path: Path) -> None:
        torch.manual_seed(1)
        save_file({"weight": torch.randn(1, 16), "bias": torch.tensor([0.5])}, tmp_path / "head.safetensors")
        file = str(tmp_path / "head.safetensors")
        scores = {}
        for name, given in {"without": {}, "up": {"weight": 5}, "down": {"weight": -5}}.items():
            config = tiny(losses={"head": {"file": file, "weight": 0} | given}, drawer="fft", steps=30)
            embeddings = (
                Pipeline(config, CPU)
                ._embeddings[0]
                .perceptor.embed_crops(F.interpolate(pixels(paint(config).image), (16, 16)))
            )
            weight, bias = load_head(tmp_path / "head.safetensors")
            scores[name] = float((embeddings @ weight + bias).mean())
        assert scores["down"] < scores["without"] - 0.1
        assert scores["up"] > scores["without"] + 0.1

    def test_a_head_of_another_clip_is_refused(self, tiny: Tiny, tmp_path: Path) -> None:
        save_file({"weight": torch.randn(1, 7)}, tmp_path / "head.safetensors")
        config = tiny(losses={"head": {"file": str(tmp_path / "head.safetensors")}})
        with pytest.raises(VqclipError, match=r"takes 7 numbers, and .* gives 16; name its CLIP"):
            paint(config)
        with pytest.raises(ConfigError, match=r"losses\.head lacks file"):
            tiny(losses={"head": 1})


class TestRequirements:
    """Files that losses name are weights like others."""

    def losses(self, network: Path, image: Path, head: Path) -> dict[str, Any]:
        return {"style": {"image": str(image), "network": str(network)}, "head": {"file": str(head)}}

    def test_digests_stand_in_the_provenance(
        self, tiny: Tiny, vgg: Path, stripes: Path, tmp_path: Path
    ) -> None:
        save_file({"weight": torch.zeros(1, 16)}, head := tmp_path / "head.safetensors")
        config = tiny(losses=self.losses(vgg, stripes, head))
        found = provenance(config, CPU)["weights"]
        for file in (vgg, head):
            assert found[str(file)] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert str(vgg) not in provenance(tiny(losses={"style": {"image": str(stripes)}}), CPU)["weights"]

    def test_a_missing_one_is_named_before_anything_is_rendered(
        self, tiny: Tiny, stripes: Path, tmp_path: Path, vqclip: Vqclip
    ) -> None:
        config = tiny(losses=self.losses(tmp_path / "no.pth", stripes, tmp_path / "none.pth"))
        assert [found.path for found in missing(requirements(config))] == [None, None]
        (tmp_path / "a.yaml").write_text(configs.dump(config))
        words = ("-c", tmp_path / "a.yaml", "-o", "a.png", "--offline")
        done = vqclip("generate", *words, "--runs", tmp_path / "runs")
        assert done.code == 3
        assert [line.startswith("vqclip: ") for line in done.err.splitlines() if "no.pth" in line] == [True]
        assert not (tmp_path / "runs").exists()
        assert "head: " in (plan := vqclip("generate", *words, "--plan")).out + plan.err

    def test_a_relative_name_begins_at_the_config_s_folder_or_lies_where_it_was_sent(
        self, tmp_path: Path
    ) -> None:
        for folder in ("base", "sent"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.txt").write_text(folder)
        for places, text in (({}, "base"), ({"a.txt": str(tmp_path / "sent/a.txt")}, "sent")):
            cache = ModelCache(CPU, locations=places)
            assert cache.read("a.txt", tmp_path / "base", Path.read_text) == text
