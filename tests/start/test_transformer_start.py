"""An image may start from codes that a transformer samples, or be nothing but these."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEVICE, Tiny, Vqclip, paint, random_vqgan
from PIL import Image
from safetensors.torch import save_file
from tiny_transformers import random_transformer, write_transformer
from torch import Generator, Tensor

from vqclip.base.errors import ConfigError, UsageError, VqclipError, WeightsError
from vqclip.config.schema import Config
from vqclip.config.timeline import Film
from vqclip.guidance.memory import MemoryBudget
from vqclip.guidance.memory_estimate import estimate
from vqclip.media.image import from_pil
from vqclip.models.transformer.loading import LoadedTransformer
from vqclip.models.transformer.network import CodeTransformer
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_loading import load_vqgan
from vqclip.pipeline.pipeline import Pipeline
from vqclip.start.chosen import chosen_start
from vqclip.start.conditions import class_number, conditions, coordinates
from vqclip.start.transformer import CodeSampler

Started = Callable[..., Config]


@pytest.fixture
def started(tiny: Tiny, tiny_vqgan: Path, tiny_clip: Path, tmp_path: Path) -> Started:
    """A Config whose image is what a tiny transformer samples; its VQGAN has cells of 2 pixels and 16 codes."""

    def make(kind: str = "none", start: dict[str, Any] | None = None, **given: Any) -> Config:
        network = random_transformer(
            kind, vqgan=str(tiny_vqgan), clip=str(tiny_clip) if kind == "embedding" else ""
        )
        path = write_transformer(tmp_path / f"{kind}.safetensors", network)
        keys = {"name": "transformer", "model": str(path), **(start or {})}
        return tiny(**{"start": keys, "steps": 0, "size": "8x8"} | given)

    return make


def sampled(config: Config, index: int = 0) -> tuple[Pipeline, Tensor]:
    """A Pipeline, and the latent that its frame starts from."""
    pipeline = Pipeline(config, torch.device("cpu"))
    frame = pipeline.film.frame(index)
    return pipeline, pipeline.begin(frame, pipeline.objective(frame), config.seed).latent.z.detach()


def sampler_of(config: Config) -> tuple[CodeSampler, Pipeline]:
    pipeline = Pipeline(config, torch.device("cpu"))
    assert isinstance(pipeline._first_image, CodeSampler)
    return pipeline._first_image, pipeline


def greedy(network: CodeTransformer, condition: Tensor) -> Tensor:
    """Codes (16) of the highest scores, from the whole sequence each time."""
    codes = torch.zeros(1, 0, dtype=torch.long)
    for _ in range(16):
        scores = network.score_all(condition, torch.cat([codes, torch.zeros(1, 1, dtype=torch.long)], 1))
        codes = torch.cat([codes, scores[:, -1, :16].argmax(-1)[None]], 1)
    return codes[0]


class TestSample:
    @pytest.mark.parametrize("kind", ["none", "class", "coordinates", "tokens", "embedding", "bart"])
    def test_no_steps_give_the_sample_alone(self, kind: str, started: Started, tiny_vqgan: Path) -> None:
        """Every cell of the latent is a code, and the image is the decoder's."""
        config = started(kind, {"text": "7" if kind == "class" else ""})
        pipeline, z = sampled(config)
        codebook = load_vqgan(str(tiny_vqgan)).codebook
        assert torch.cdist(z[0].flatten(1).T, codebook).amin(1).max() < 1e-5
        made = from_pil(paint(config).image)
        drawn = pipeline.objective(pipeline.film.frame(0)).drawer.decode_output(z)
        assert (made - drawn).abs().max() < 1 / 255
        assert paint(config).losses == {}

    def test_greedy_codes_in_the_order_of_the_file(
        self, started: Started, tiny_vqgan: Path, tmp_path: Path
    ) -> None:
        network = random_transformer("class", order="spiral-out", vqgan=str(tiny_vqgan))
        path = write_transformer(tmp_path / "spiral.safetensors", network)
        _, z = sampled(started("class", {"model": str(path), "temperature": 0, "text": "tench"}))
        codes = greedy(network, torch.zeros(1, 1, dtype=torch.long))[network.order.argsort()].view(1, 4, 4)
        assert z.equal(load_vqgan(str(tiny_vqgan)).lookup(codes))

    def test_seeds_decide(self, started: Started) -> None:
        (_, one), (_, same), (_, other) = (sampled(started(seed=seed)) for seed in (1, 1, 2))
        assert one.equal(same)
        assert not one.equal(other)

    def test_the_best_candidate_is_taken(self, started: Started) -> None:
        """The perceptors' own score of each is no better than that of the one that was taken."""
        settings = started("none", {"candidates": 5})
        sampler, pipeline = sampler_of(settings)
        frame = pipeline.film.frame(0)
        scored: list[float] = []
        score = pipeline.score
        sampler._tools.score = lambda image, frame: scored.append(float(s := score(image, frame))) or s  # type: ignore
        best = float(score(sampler(frame, Generator().manual_seed(3)), frame))
        assert len(scored) == 5
        assert best == pytest.approx(max(scored), abs=1e-5)
        assert min(scored) < best

    def test_codes_that_training_never_used_are_not_sampled(
        self, tiny: Tiny, tmp_path: Path, started: Started
    ) -> None:
        vqgan = random_vqgan()
        vqgan.codebook[[0, 3, 4, 9]] = 0.001
        save_file(vqgan.state_dict(), tmp_path / "half.safetensors")
        (tmp_path / "half.yaml").write_text((Path(started().drawer.model)).with_suffix(".yaml").read_text())
        name = str(tmp_path / "half.safetensors")
        path = write_transformer(tmp_path / "t.safetensors", random_transformer(vqgan=name))
        _, z = sampled(started("none", {"model": str(path)}, vqgan=name))
        living = vqgan.codebook[[i for i in range(16) if i not in (0, 3, 4, 9)]]
        assert torch.cdist(z[0].flatten(1).T, living).amin(1).max() < 1e-5

    @pytest.mark.parametrize("enlarge", ["resize", "windows"])
    def test_larger_images(self, enlarge: str, started: Started) -> None:
        _, z = sampled(started("coordinates", {"enlarge": enlarge}, size="13x20"))
        assert z.shape[2:] == (10, 7)
        assert paint(started("coordinates", {"enlarge": enlarge}, size="13x20")).image.size == (13, 20)

    def test_other_drawers_encode_the_sample(self, started: Started) -> None:
        assert paint(started(drawer="fft")).image.size == (8, 8)

    def test_steps_go_on_from_the_sample(self, started: Started) -> None:
        _, z = sampled(started(steps=2))
        made = paint(started(steps=2))
        assert made.steps == 2
        assert sampled(started())[1].equal(z) or started(steps=2).latent.stages[0].scale < 1

    def test_a_film_of_scenes(self, started: Started, tmp_path: Path) -> None:
        """A scene's own sample is taken in again and again, and sampled once."""
        config = started("embedding", prompts=["a ^ b"], story={"frames": 2}, steps=1, film={"steps": 1})
        sampler, pipeline = sampler_of(config)
        first = sampler(pipeline.film.frame(2), Generator().manual_seed(1))
        assert first.equal(sampler(pipeline.film.frame(2), Generator().manual_seed(1)))
        assert not first.equal(sampler(pipeline.film.frame(0), Generator().manual_seed(1)))


class TestCompletion:
    def test_known_cells_keep_their_codes(self, started: Started, tiny_vqgan: Path) -> None:
        sampler, pipeline = sampler_of(started())
        vqgan, frame = load_vqgan(str(tiny_vqgan)), pipeline.film.frame(0)
        codes = torch.randint(16, (1, 4, 4), generator=Generator().manual_seed(1))
        known = torch.zeros(4, 4, dtype=torch.bool)
        known[:2] = True
        made = sampler._best(codes, known, frame, Generator().manual_seed(1))
        assert made[0, :2].equal(codes[0, :2])
        image, mask = (
            torch.rand(1, 3, 8, 8),
            known[None, None].float().repeat_interleave(2, 2).repeat_interleave(2, 3),
        )
        completed = sampler.complete(image, mask, frame, Generator().manual_seed(1))
        own = vqgan.codes(vqgan.encode(image * 2 - 1))
        expected = sampler._decode(sampler._best(own, known, frame, Generator().manual_seed(1)))
        assert completed.shape == image.shape
        torch.testing.assert_close(completed, expected, atol=1e-5, rtol=0)


class TestMask:
    """Where a mask keeps a part of the init image, the rest is sampled to go with it."""

    @pytest.fixture
    def pixels(self) -> np.ndarray:
        """The pixels of init.png, 16 x 8, beside which lies mask.png: its right half is rendered anew."""
        pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
        Image.fromarray(pixels).save("init.png")
        mask = np.zeros((8, 16), np.uint8)
        mask[:, 8:] = 255
        Image.fromarray(mask).save("mask.png")
        return pixels

    @pytest.fixture
    def masked(self, started: Started) -> Started:
        def make(kind: str = "none", start: dict[str, Any] | None = None, **given: Any) -> Config:
            mask = {"file": "mask.png"} | given.pop("mask", {})
            return started(kind, start, **{"init": "init.png", "size": "16x8", "mask": mask} | given)

        return make

    @pytest.mark.parametrize("enlarge", ["resize", "windows"])
    def test_known_codes_stay_and_the_rest_is_sampled(
        self, enlarge: str, pixels: np.ndarray, masked: Started, tiny_vqgan: Path
    ) -> None:
        vqgan = load_vqgan(str(tiny_vqgan))
        own = vqgan.lookup(vqgan.codes(vqgan.encode(from_pil(Image.open("init.png")) * 2 - 1)))
        one, other = (sampled(masked("coordinates", {"enlarge": enlarge}, seed=s))[1] for s in (1, 2))
        assert one.shape[2:] == (4, 8)
        for z in (one, other):
            assert z[..., :4].equal(own[..., :4])
        assert not one[..., 4:].equal(own[..., 4:])
        assert not one[..., 4:].equal(other[..., 4:])
        far = (one[0].flatten(1).T[:, None] - vqgan.codebook).abs().amax(2).amin(1)
        assert far.max() == 0, "every cell is a code"

    @pytest.mark.parametrize("given", [
        {}, {"steps": 2}, {"mask": {"feather": 3}}, {"drawer": "fft"}, {"size": "init", "extend": "right=4,top=3"},
    ])  # fmt: skip
    def test_kept_pixels_are_equal_to_the_byte(
        self, given: dict[str, Any], pixels: np.ndarray, masked: Started
    ) -> None:
        made = np.asarray(paint(masked(**given)).image)
        assert (made[-8:, :8] == pixels[:, :8]).all()
        assert (made[-8:, 12:16] != pixels[:, 12:]).mean() > 0.5

    def test_the_image_that_is_encoded_is_kept_too(self, pixels: np.ndarray, masked: Started) -> None:
        pipeline = Pipeline(masked(), DEVICE)
        first = pipeline.first_image(pipeline.film.frame(0), Generator().manual_seed(1))
        assert first.shape == (1, 3, 8, 16)
        assert first[..., :8].equal(from_pil(Image.fromarray(pixels))[..., :8])

    @pytest.mark.parametrize(("size", "grid"), [((8, 8), (4, 4)), ((8, 16), (4, 8)), ((40, 16), (10, 4))])
    def test_the_whole_of_an_image_is_looked_at(
        self, size: tuple[int, int], grid: tuple[int, int], started: Started
    ) -> None:
        sampler, _ = sampler_of(started())
        assert sampler._grid_of(*size) == grid
        larger, _ = sampler_of(started("none", {"enlarge": "windows"}))
        assert larger._grid_of(*size) == (size[0] // 2, size[1] // 2)

    def test_a_cell_with_one_unknown_pixel_is_sampled(self, pixels: np.ndarray, masked: Started) -> None:
        mask = np.zeros((8, 16), np.uint8)
        mask[5, 3] = 255
        Image.fromarray(mask).save("mask.png")
        latents = [sampled(masked(seed=seed))[1] for seed in range(8)]
        differs = torch.stack([z != latents[0] for z in latents]).any(0)[0].any(0)
        assert differs.nonzero().tolist() == [[2, 1]]

    def test_memory_and_plan_count_the_transformer_where_it_fills(
        self, pixels: np.ndarray, masked: Started
    ) -> None:
        fills, keeps = (chosen_start(masked(mask={"fill": fill})) for fill in ("start", "init"))
        start = masked().start
        assert fills.memory(torch.float32) == start.memory(torch.float32) > 0
        assert fills.outlook(DEVICE, torch.float32) == start.outlook(DEVICE, torch.float32) != ""
        assert (keeps.memory(torch.float32), keeps.outlook(DEVICE, torch.float32)) == (0, "")
        of = {fill: masked(mask={"fill": fill}) for fill in ("start", "init")}
        budget = MemoryBudget.of(16, 8, DEVICE)
        weights = {
            fill: estimate(config, Film(config).frame(0), torch.float32, budget).weights
            for fill, config in of.items()
        }
        assert weights["start"] - weights["init"] == start.memory(torch.float32)


class TestConditions:
    @pytest.mark.parametrize(
        ("text", "number"),
        [("1", 1), ("goldfish", 1), ("a Goldfish in a bowl", 1), ("a great white shark", 2)],
    )
    def test_classes_by_number_and_name(self, text: str, number: int) -> None:
        assert class_number(text, 1000) == number

    @pytest.mark.parametrize("text", ["1000", "a smell of spring", ""])
    def test_texts_that_name_no_class(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"start\.text"):
            class_number(text, 1000)

    def test_coordinates_are_the_mean_place_of_a_cells_pixels(self) -> None:
        places = torch.arange(6 * 4 * 4 * 4).view(1, 1, 24, 16) / (24 * 16)
        means = torch.nn.functional.avg_pool2d(places.double(), 4)[0, 0]
        assert coordinates((6, 4), 4, 1023, 1024).equal((1024 * means).round().long())

    def test_a_window_has_the_coordinates_of_its_place(self) -> None:
        network = random_transformer("coordinates")
        made = conditions(LoadedTransformer(network, None), "", 3, (8, 6), 2, {})(4, 1).given
        whole = coordinates((8, 6), 2, 15, 16)
        assert made.equal(whole[4:8, 1:5].reshape(1, 16).expand(3, 16))
        assert whole.flatten().diff().min() >= 0


class TestRefusals:
    def test_no_model(self, tiny: Tiny) -> None:
        with pytest.raises(ConfigError, match=r"start\.model: name a transformer"):
            tiny(start="transformer")

    def test_a_map_is_needed(self, started: Started) -> None:
        with pytest.raises(WeightsError, match="images of maps"):
            sampled(started("map"))

    def test_guidance_without_a_text(self, started: Started) -> None:
        with pytest.raises(UsageError, match=r"start\.guidance: 3"):
            Pipeline(started("none", {"guidance": 3}), DEVICE)

    def test_other_codes_and_no_encoder(self, started: Started, tmp_path: Path) -> None:
        alone = VQGAN(Architecture(**vars(random_vqgan().architecture) | {"encoder": False}))
        save_file(alone.state_dict(), tmp_path / "alone.safetensors")
        (tmp_path / "alone.yaml").write_text((Path(started().drawer.model)).with_suffix(".yaml").read_text())
        with pytest.raises(WeightsError, match="can't encode; add --set vqgan="):
            sampled(started(vqgan=str(tmp_path / "alone.safetensors")))

    def test_files_that_are_none(self, started: Started, tiny_vqgan: Path, tmp_path: Path) -> None:
        (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 20)
        network = random_transformer(vqgan=str(tiny_vqgan))
        tensors = network.state_dict()
        del tensors["ln_f.weight"]
        note = network.architecture.to_note()
        save_file(tensors, tmp_path / "lacking.safetensors", {"vqclip.transformer": note})
        wrong = json.dumps({**json.loads(note), "heads": 3})
        save_file(tensors, tmp_path / "wrong.safetensors", {"vqclip.transformer": wrong})
        for name, message in (
            (str(tiny_vqgan), "no transformer of vqclip's"), (str(tmp_path / "cut.safetensors"), "no header"),
            (str(tmp_path / "lacking.safetensors"), "lacks ln_f.weight"), ("nothing", "no transformer 'nothing'"),
            (str(tmp_path / "wrong.safetensors"), "doesn't divide into 3 heads"),
        ):  # fmt: skip
            with pytest.raises(VqclipError, match=message) as caught:
                sampled(started("none", {"model": name}))
            assert "\n" not in str(caught.value)


class TestCommands:
    @pytest.fixture
    def words(self, started: Started, tiny_clip: Path) -> list[str]:
        config = started("bart")
        return [
            "--start", "transformer", "--set", f"start.model={config.start.model}", "--size", "8x8", "--steps", "0",
            "--set", f"vqgan={config.drawer.model}", "--set", f"perceptors=[{{model: {tiny_clip}}}]",
        ]  # fmt: skip

    def test_a_sampler(self, words: list[str], vqclip: Vqclip) -> None:
        done = vqclip("generate", "a apple", *words, "--count", "5", "--best", "2")
        assert done.code == 0, done.err
        assert len({Image.open(line).convert("RGB").tobytes() for line in done.lines}) == 2

    def test_a_plan_says_memory_and_time(self, words: list[str], vqclip: Vqclip) -> None:
        done = vqclip("generate", "a apple", *words, "--plan")
        assert done.code == 0, done.err
        assert "start      1 x 16 codes from 2 layers of width 8, by tokens" in done.out
        assert "no steps: latent 4x4" in done.out

    def test_an_image_is_made_again(self, words: list[str], vqclip: Vqclip) -> None:
        assert vqclip("generate", "a apple", *words, "--seed", "3", "-o", "a.png").code == 0
        again = vqclip("reproduce", "a.png")
        assert again.code == 0
        assert "the same" in again.err

    def test_a_video_of_no_steps_is_refused(self, words: list[str], vqclip: Vqclip) -> None:
        done = vqclip("generate", "a apple", *words, "--video")
        assert done.code == 2
        assert "--steps 0" in done.err
