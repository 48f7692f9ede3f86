"""Each loss moves the property that it is named after, and nothing does so without it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Tiny, paint
from PIL import Image
from torch import Tensor

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.config.aliases import LOSSES as ALIASES
from vqclip.config.registry import LOSSES
from vqclip.config.schema import Config
from vqclip.guidance.interfaces import LossTerm, Scene
from vqclip.guidance.latent import Latent
from vqclip.guidance.losses.contrast import Contrast
from vqclip.guidance.losses.detail import Detail
from vqclip.guidance.losses.edges import Edges
from vqclip.guidance.losses.structure import Structure
from vqclip.guidance.losses.symmetry import Symmetry
from vqclip.guidance.losses.tv import FORMS, Tv
from vqclip.guidance.losses.vignette import Vignette
from vqclip.media.video_writer import VideoWriter
from vqclip.runs.run import Run

LATENT = Latent.begin(torch.zeros(1, 1, 1, 1))


def picture(config: Config) -> Tensor:
    """The painted image (1 3 h w)."""
    pixels = torch.from_numpy(np.asarray(paint(config).image) / 255.0)
    return pixels.float().permute(2, 0, 1)[None]


def value(term: LossTerm, image: Tensor, scene: Scene | None = None) -> float:
    return float(term.prepare(scene or Scene())(image, LATENT))


TERMS: dict[str, tuple[LossTerm, dict[str, object]]] = {
    "symmetry": (Symmetry(), {"symmetry": 50}),
    "symmetry both ways": (Symmetry(axis="both"), {"symmetry": {"weight": 50, "axis": "both"}}),
    "symmetry by half a turn": (
        Symmetry(axis="half-turn"),
        {"symmetry": {"weight": 50, "axis": "half-turn"}},
    ),
    "edges": (
        Edges(colour="blue", margin=0.2),
        {"edges": {"weight": 20, "colour": "blue", "margin": 0.2}},
    ),
    "vignette": (Vignette(colour="black"), {"vignette": 20}),
    "contrast": (Contrast(), {"contrast": 20}),
    "detail": (Detail(), {"detail": 20}),
    **{f"tv of {form}": (Tv(form=form), {"tv": {"weight": 20, "form": form}}) for form in FORMS},
}


@pytest.mark.parametrize(("term", "losses"), TERMS.values(), ids=TERMS)
def test_lowers_its_value(term: LossTerm, losses: dict[str, object], tiny: Tiny) -> None:
    """Far below that of an image of the same seed without the loss."""
    off = {"tv": 0, "near_start": 0}
    images = [picture(tiny(drawer="fft", steps=30, losses=off | given)) for given in ({}, losses)]
    before, after = (value(term, image) for image in images)
    assert after < before - 0.25 * abs(before)


class TestValues:
    def test_symmetric_images_have_no_asymmetry(self) -> None:
        image = torch.rand(1, 3, 6, 8)
        assert value(Symmetry(), torch.cat([image, image.flip(3)], 3)) == 0
        assert value(Symmetry(axis="top-bottom"), torch.cat([image, image.flip(2)], 2)) == 0
        assert value(Symmetry(axis="half-turn"), torch.cat([image, image.flip(2, 3)], 3)) == 0
        assert value(Symmetry(), image) > 0.05

    def test_edges_are_the_border_alone(self) -> None:
        image = torch.rand(1, 3, 20, 30)
        framed = torch.ones_like(image)
        framed[..., 2:-2, 2:-2] = image[..., 2:-2, 2:-2]
        assert value(Edges(margin=0.1), framed) == 0
        assert value(Edges(margin=0.2), framed) > 0
        left = torch.zeros(1, 3, 20, 20)
        left[..., :5] = 1
        assert value(Edges(margin=0, left=0.25), left) == 0
        assert value(Edges(margin=0, right=0.25), left) == pytest.approx(1)

    def test_a_vignette_spares_the_middle(self) -> None:
        spot, ring = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
        spot[..., 14:18, 14:18] = 1
        ring[..., :1, :16] = 1
        assert value(Vignette(), spot) < 0.1 * value(Vignette(), ring)
        assert value(Vignette(colour="white"), torch.ones(1, 3, 8, 8)) == 0

    def test_contrast_is_the_standard_deviation_of_brightness(self) -> None:
        image = torch.rand(1, 3, 9, 9)
        assert value(Contrast(), image) == pytest.approx(-float(image.mean(1).std(correction=0)), rel=1e-3)

    def test_detail_is_nothing_where_colours_run_smoothly(self) -> None:
        ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
        assert abs(value(Detail(), ramp)) < 0.02
        assert value(Detail(), torch.rand(1, 3, 32, 32)) < -0.2

    def test_forms_of_tv_agree_with_numpy(self) -> None:
        image = torch.rand(1, 3, 7, 9)
        pixels = image[0].permute(1, 2, 0).double().numpy()
        down, right = np.diff(pixels, axis=0)[:, :-1], np.diff(pixels, axis=1)[:-1]
        lengths = np.sqrt((down**2).sum(-1) + (right**2).sum(-1))
        expected = {"lengths": lengths, "clipped": np.minimum(lengths, 0.5), "log": np.log1p(lengths)}
        for form, values in expected.items():
            assert value(Tv(form=form), image) == pytest.approx(values.mean(), rel=1e-4)

    def test_structure_forgives_other_colours_but_no_other_edges(self) -> None:
        scene = Scene(given=lambda: given)
        given = torch.zeros(1, 3, 16, 16)
        given[..., 8:] = 1
        inverted, turned, flat = 1 - given, given.mT, torch.full_like(given, 0.5)
        assert value(Structure(), inverted, scene) == pytest.approx(0, abs=1e-6)
        assert value(Structure(), turned, scene) > value(Structure(), flat, scene) > 0.5


class TestStructure:
    def test_without_a_given_image_is_refused_before_models_are_loaded(self, tiny: Tiny) -> None:
        with pytest.raises(
            ConfigError, match=r"^losses\.structure keeps the edges of a given image; add --init"
        ):
            tiny("losses.structure=1")
        assert tiny("losses.structure=0").losses["structure"].weight == "0"

    def test_keeps_the_inits_edges(self, tiny: Tiny, tmp_path: Path) -> None:
        Image.fromarray(np.kron([[0, 255], [255, 0]], np.ones((8, 8))).astype(np.uint8)).save(
            tmp_path / "i.png"
        )
        scene = Scene(given=lambda: torch.from_numpy(np.asarray(Image.open(tmp_path / "i.png").convert("RGB")) / 255.0)
                      .float().permute(2, 0, 1)[None])  # fmt: skip
        given = {"init": str(tmp_path / "i.png"), "drawer": "fft", "steps": 30}
        without, with_it = (picture(tiny(*settings, **given)) for settings in ([], ["losses.structure=5"]))
        assert value(Structure(), with_it, scene) < 0.5 * value(Structure(), without, scene)


class TestAliases:
    @pytest.mark.parametrize(
        ("alias", "name"), [pair for pair in ALIASES.items() if pair[1] in LOSSES.names()]
    )
    def test_are_read_as_our_names(self, alias: str, name: str) -> None:
        if name in ("head", "style"):
            pytest.skip("it has keys that must be given")
        given = {"seed": 1, "init": "a.png"}
        base = configs.resolve({**given, "losses": {name: "0.5"}})
        assert configs.resolve({**given, "losses": {alias: "0.5"}}) == base
        assert configs.resolve(given, settings=[f"losses.{alias}=0.5"]) == base

    def test_mean_terms_that_exist(self) -> None:
        assert set(ALIASES.values()) <= set(LOSSES.names())

    def test_two_names_of_one_term_are_refused(self) -> None:
        with pytest.raises(
            ConfigError, match="smoothness is another name of tv, and both are given; give only tv"
        ):
            configs.resolve({"losses": {"tv": 1, "smoothness": 2}})


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"edges": {"colour": "rouge"}}, r"losses\.edges\.colour: 'rouge' is no colour"),
        ({"vignette": {"size": 0}}, r"losses\.vignette\.size: 0.0 is out of range"),
        ({"symmetry": {"axis": "up"}}, r"losses\.symmetry\.axis: 'up' is none of left-right, top-bottom"),
        ({"tv": {"form": "cubes"}}, r"losses\.tv\.form: 'cubes' is none of squares"),
    ],
)
def test_wrong_keys_are_refused(losses: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.resolve({"losses": losses})


def test_a_restyled_video_flickers_less_with_structure(tiny: Tiny, tmp_path: Path) -> None:
    """Of a video that stands still, whatever changes from frame to frame is flicker."""
    scene = np.zeros((16, 16, 3), np.uint8)
    scene[:, 8:] = (250, 200, 60)
    with VideoWriter(tmp_path / "still.mp4", 16, 16, 10, {}, "still") as video:
        for _ in range(4):
            video.write(Image.fromarray(scene))

    def flicker(**losses: object) -> float:
        """The mean difference of one frame's pixels from the next one's."""
        film = {"source": {"video": str(tmp_path / "still.mp4"), "pull": "0"}, "film": {"steps": 12}}
        config = tiny(drawer="fft", steps=12, losses={"tv": 0, "near_start": 0} | losses, **film)
        run = Run.create(tmp_path, config, {})
        paint(config, run)
        frames = [
            np.asarray(Image.open(path)) / 255 for path in sorted((run.folder / "frames").glob("*.png"))
        ]
        return float(np.mean([np.abs(a - b).mean() for a, b in pairwise(frames)]))

    without, with_it = flicker(), flicker(structure=5)
    assert with_it < 0.7 * without
