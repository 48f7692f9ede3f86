"""Result: the same Config is the same picture, whatever happens around it, and an interruption changes nothing."""

import dataclasses
import logging
import math
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEVICE, Tiny, at, paint
from PIL import Image
from tiny_transformers import random_transformer, write_transformer

import vqclip
from vqclip.base.errors import ConfigError, NotFinite
from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.config.registry import STARTS
from vqclip.config.schema import OPTIMIZERS
from vqclip.guidance.optimize import Step
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.media.image import load_image, read_metadata, save_png, to_pil
from vqclip.models.vqgan_loading import load_vqgan_onto
from vqclip.pipeline.events import Result, Stepped, Stopped, result
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.run import Run

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("device")
STAGES = {"stages": [{"scale": 0.5, "share": 1}, {"scale": 1, "share": 1}]}


def paint_file(folder: Path) -> None:
    """Paint a folder's config, and leave its pixels there."""
    config = configs.resolve(file=folder / "config.yaml")
    (folder / "pixels").write_bytes(result(render(config, Pipeline(config, CPU))).image.tobytes())


def pixels(painting: Result) -> np.ndarray:
    return np.asarray(painting.image)


def assert_equal(one: Result, other: Result) -> None:
    assert np.array_equal(pixels(one), pixels(other))


class TestSamePixels:
    def test_after_other_work_in_the_process(self, tiny: Tiny) -> None:
        config = tiny(latent=STAGES)
        first = paint(config)
        torch.manual_seed(99)
        torch.rand(1000)
        paint(tiny(seed=5, size="20x8"))
        assert_equal(paint(config), first)

    def test_while_others_draw_random_numbers(self, tiny: Tiny) -> None:
        config = tiny()

        def disturb(step: Step) -> None:
            torch.manual_seed(step.index)
            np.random.default_rng().random(3)

        assert_equal(paint(config, None, disturb), paint(config))

    def test_in_another_process(self, tiny: Tiny, tmp_path: Path, forks: Any) -> None:
        config = tiny(steps=3)
        (tmp_path / "config.yaml").write_text(configs.dump(config))
        other = forks.Process(target=paint_file, args=(tmp_path,))
        other.start()
        other.join()
        assert (other.exitcode, (tmp_path / "pixels").read_bytes()) == (0, paint(config).image.tobytes())

    def test_for_any_seed_of_one_pipeline(self, tiny: Tiny) -> None:
        """Batches load the models once: a painting doesn't depend on those before it."""
        pipeline = Pipeline(tiny(), DEVICE)
        for seed in (3, 4, 3):
            config = tiny(seed=seed)
            assert_equal(result(render(config, pipeline)), paint(config))

    def test_but_others_for_another_seed(self, tiny: Tiny) -> None:
        assert not np.array_equal(pixels(paint(tiny(seed=1))), pixels(paint(tiny(seed=2))))


class TestStopped:
    @pytest.mark.parametrize("index", [1, 3, 5])
    def test_resumed_is_as_if_it_had_never_been(self, tiny: Tiny, tmp_path: Path, index: int) -> None:
        """Across a change of the latent's size, too; the last event says how far it is."""
        config, stop = tiny(latent=STAGES), StopToken()
        whole = paint(config)
        run = Run.create(tmp_path, config, {})
        events = render(config, Pipeline(config, DEVICE), run, stop)
        for last in events:
            if isinstance(last, Stepped) and last.step.index == index:
                stop.stop()
        assert isinstance(last, Stopped)
        assert (last.result.steps, last.steps, last.result.folder) == (index, 6, run.folder)
        assert read_metadata(run.image)["config"] == configs.to_dict(config)
        resumed = paint(config, run)
        assert_equal(resumed, whole)
        assert resumed.losses == whole.losses
        assert {path.name for path in run.folder.iterdir()} == {
            "config.yaml", "provenance.json", "image.png", "steps.jsonl", "painting.json", "snapshot.safetensors",
        }  # fmt: skip

    def test_twice_and_resumed(self, tiny: Tiny, tmp_path: Path) -> None:
        config = tiny()
        run = Run.create(tmp_path, config, {})
        for index in (2, 4):
            stop = StopToken()
            assert paint(config, run, at(index, stop.stop), stop=stop).steps == index
        assert_equal(paint(config, run), paint(config))

    def test_in_the_last_step_is_a_finished_picture(self, tiny: Tiny, tmp_path: Path) -> None:
        config, stop = tiny(steps=2), StopToken()
        run = Run.create(tmp_path, config, {})
        assert_equal(paint(config, run, at(2, stop.stop), stop=stop), paint(config))
        assert run.record()

    def test_rendering_sets_no_signal_handler(self, tiny: Tiny) -> None:
        """Only the command line and workers' processes do."""
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        seen = []
        paint(
            tiny(steps=1), None, lambda _: seen.extend(map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)))
        )
        assert seen == handlers

    def test_a_generator_that_is_closed_leaves_no_lock_and_no_unfinished_file(
        self, tiny: Tiny, tmp_path: Path
    ) -> None:
        config = tiny(steps=3000)
        run = Run.create(tmp_path, config, {})
        events = render(config, Pipeline(config, DEVICE), run)
        for event in events:
            if isinstance(event, Stepped) and event.step.index == 12:
                break
        events.close()
        assert {path.name for path in run.folder.iterdir()} == {
            "config.yaml",
            "provenance.json",
            "steps.jsonl",
        }

    def test_painting_works_outside_the_main_thread(self, tiny: Tiny) -> None:
        config, done = tiny(), []
        thread = threading.Thread(target=lambda: done.append(paint(config)))
        thread.start()
        thread.join()
        assert_equal(done[0], paint(config))


class TestWhatIsPainted:
    @pytest.mark.parametrize("size", ["16x16", "17x15", "1x1", "5x31"])
    def test_has_exactly_the_asked_size(self, tiny: Tiny, tmp_path: Path, size: str) -> None:
        config = tiny(size=size, steps=2)
        run = Run.create(tmp_path, config, {})
        painting = paint(config, run)
        with Image.open(run.image) as saved:
            assert f"{saved.width}x{saved.height}" == size
            assert np.array_equal(np.asarray(saved), pixels(painting))

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_changes_under_every_optimiser(self, tiny: Tiny, name: str) -> None:
        config = tiny(
            optimizer={"name": name, "learning_rate": "1000" if name in ("sgd", "radam") else "1"},
            latent={"ema_decay": 0},
        )
        still = paint(
            dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, learning_rate="0"))
        )
        assert not np.array_equal(pixels(paint(config)), pixels(still))

    @pytest.mark.parametrize("start", STARTS.names())
    def test_begins_with_every_start(self, tiny: Tiny, start: str, tiny_vqgan: Path, tmp_path: Path) -> None:
        network = random_transformer(vqgan=str(tiny_vqgan))
        model = {"model": str(write_transformer(tmp_path / "network.safetensors", network))}
        keys = {"name": start, **(model if start in ("transformer", "prior") else {})}
        one, two = (paint(tiny(start=keys, steps=1, seed=seed)) for seed in (1, 1))
        assert_equal(one, two)

    def test_begins_with_the_given_picture(self, tiny: Tiny, tmp_path: Path) -> None:
        """With a rate of nothing it stays the autoencoder's own rendering of it."""
        save_png(to_pil(torch.rand(1, 3, 16, 16)), tmp_path / "init.png", {})
        flat = {"stages": [{"scale": 1, "share": 1}], "ema_decay": 0.9}
        config = tiny(init=str(tmp_path / "init.png"), optimizer={"learning_rate": "0"}, latent=flat)
        vqgan = Pipeline(config, CPU).models.load(config.drawer.model, load_vqgan_onto, CPU, torch.float32)
        with torch.no_grad():
            encoding = vqgan.encode(load_image(tmp_path / "init.png") * 2 - 1)
            expected = to_pil((vqgan.decode(vqgan.lookup(vqgan.codes(encoding))) + 1) / 2)
        difference = np.abs(pixels(paint(config)).astype(int) - np.asarray(expected).astype(int))
        assert difference.max() <= 1

    def test_follows_texts_images_and_noise(self, tiny: Tiny, tmp_path: Path) -> None:
        """Every kind of wish is among the losses, and changes the picture."""
        save_png(to_pil(torch.rand(1, 3, 9, 21)), tmp_path / "wish.png", {})
        prompts = ["a red apple", f"[{tmp_path}/wish.png]", "[noise:7]"]
        alone = [paint(tiny(prompts=[prompt], optimizer={"learning_rate": "2"})) for prompt in prompts]
        assert len({painting.image.tobytes() for painting in alone}) == 3
        batch_size = paint(tiny(prompts=prompts))
        assert [name.split(": ", 1)[1] for name in batch_size.losses] == prompts

    def test_pleases_two_perceptors_of_different_sizes(
        self, tiny: Tiny, tiny_clip: Path, other_clip: Path
    ) -> None:
        judges = [{"model": str(tiny_clip)}, {"model": str(other_clip), "weight": 0.5, "crops": 3}]
        painting = paint(tiny(perceptors=judges))
        assert len(painting.losses) == 2
        assert painting.image.tobytes() != paint(tiny()).image.tobytes()

    def test_names_one_model_twice_by_number(self, tiny: Tiny, tiny_clip: Path) -> None:
        painting = paint(tiny(perceptors=[{"model": str(tiny_clip)}] * 2, steps=1))
        assert [name.split(":")[0][-3:] for name in painting.losses] == [" #1", " #2"]

    def test_is_that_of_the_running_mean(self, tiny: Tiny) -> None:
        lively, stages = {"optimizer": {"learning_rate": "2"}, "steps": 9}, [{"scale": 1, "share": 1}]
        mean, last = (
            paint(tiny(**lively, latent={"ema_decay": average, "stages": stages})) for average in (0.9, 0)
        )
        assert mean.losses == last.losses
        assert not np.array_equal(pixels(mean), pixels(last))


def test_a_prompt_longer_than_the_context_is_reported_and_painted(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "vqclip"):
        paint(tiny(prompts=["a very long prompt " * 5], steps=1))
    assert [record.getMessage() for record in caplog.records if "its end goes unread" in record.getMessage()]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("a red 苹果", ["苹果"]), ("красное яблоко", ["красное", "яблоко"]), ("une pomme brûlée 🍎", [])],
)
def test_words_that_an_english_clip_cannot_read_are_reported_and_painted(
    tiny: Tiny, caplog: pytest.LogCaptureFixture, prompt: str, words: list[str]
) -> None:
    with caplog.at_level(logging.WARNING, "vqclip"):
        paint(tiny(prompts=[prompt], steps=1))
    notes = [record.getMessage() for record in caplog.records]
    assert [note.partition("can't read ")[2].partition(";")[0] for note in notes if "can't read" in note] == (
        [", ".join(words)] if words else []
    )


def test_a_plateau_ends_early_with_its_losses_known(tiny: Tiny) -> None:
    config = tiny(steps=50, plateau={"patience": 3, "improvement": 10.0})
    painting = paint(config)
    assert painting.steps == 4
    assert list(painting.losses)


def test_without_a_run_nothing_is_written(tiny: Tiny) -> None:
    paint(tiny())
    assert list(Path().iterdir()) == []


class TestLibrary:
    def test_generate_paints_as_the_config_says(self, tiny: Tiny) -> None:
        config = tiny(steps=2)
        settings = {key: value for key, value in configs.to_dict(config).items() if key != "prompts"}
        painting = vqclip.generate("a red apple", device="cpu", **settings)
        assert isinstance(painting.image, Image.Image)
        assert (painting.seed, painting.steps, painting.folder) == (1, 2, None)
        assert_equal(painting, paint(config))
        assert list(Path().iterdir()) == []

    def test_generate_keeps_a_run_where_it_is_told(self, tiny: Tiny, tmp_path: Path) -> None:
        settings = {key: value for key, value in configs.to_dict(tiny(steps=1)).items() if key != "prompts"}
        painting = vqclip.generate("a red apple", device="cpu", runs=tmp_path, **settings)
        assert painting.folder is not None
        assert painting.folder.parent == tmp_path
        assert (painting.folder / "image.png").is_file()

    def test_generate_refuses_as_the_command_line_does(self) -> None:
        with pytest.raises(ConfigError, match="did you mean steps"):
            vqclip.generate("a red apple", stpes=3)


class TestOverflow:
    """Losses that aren't finite any more are noticed, and what was painted before is not lost."""

    @staticmethod
    def overflowing(monkeypatch: pytest.MonkeyPatch, *dtypes: torch.dtype) -> None:
        """Perceptors of these types see nothing but infinite numbers from their 24th look on."""
        embed, looks = OpenCLIPPerceptor.embed_crops, []

        def see(self: OpenCLIPPerceptor, pixels: torch.Tensor) -> torch.Tensor:
            looks.append(self.dtype)
            seen = embed(self, pixels)
            return seen * float("nan") if self.dtype in dtypes and len(looks) > 23 else seen

        monkeypatch.setattr(OpenCLIPPerceptor, "embed_crops", see)

    @pytest.mark.parametrize("drawer", [{}, {"drawer": "fft"}])
    def test_a_short_type_gives_way_to_float32(
        self, drawer: dict[str, str], tiny: Tiny, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture, tmp_path: Path,
    ) -> None:  # fmt: skip
        """From the last state that was whole, with one line, and every step is in the log once.

        Also where the perceptors alone compute in that type.
        """
        self.overflowing(monkeypatch, torch.bfloat16)
        config = tiny(steps=35, precision="bfloat16", **drawer)
        run = Run.create(tmp_path, config, {})
        painting = paint(config, run)
        assert [message for message in caplog.messages if "float32" in message] == [
            "numbers overflowed; going on from step 0 in float32"
        ]
        assert painting.steps == 35
        assert all(map(math.isfinite, painting.losses.values()))
        assert run.record() is not None

    def test_float32_ends_in_the_line_to_type(self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        self.overflowing(monkeypatch, torch.float32)
        with pytest.raises(NotFinite, match=r"step 30 .*--set optimizer.learning_rate="):
            paint(tiny(steps=35))
