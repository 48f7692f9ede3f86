"""Recipes: which one lies under a config, what it says, and that nothing which was written before hangs on one."""

from pathlib import Path
from typing import Any

import pytest

from vqclip.base.errors import ConfigError
from vqclip.config import recipes
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.jobs import batch
from vqclip.weights import catalog

FOREIGN = "vqgan-imagenet-f16-16384"


def resolved(*settings: str, preset: str | None = None, file: Path | None = None, **given: Any) -> Config:
    return configs.resolve({"seed": 1} | given, preset, file, settings)


def course(config: Config) -> list[float]:
    """The learning rate of each step."""
    from vqclip.config.schedule import Schedule  # noqa: PLC0415

    schedule = Schedule.parse(config.optimizer.learning_rate)
    return [schedule.at(step, config.steps) for step in range(config.steps)]


class TestWhichOne:
    def test_ours_stay_on_the_defaults(self) -> None:
        assert resolved() == resolved("vqgan=mini-vqgan") == resolved(preset="standard")
        assert resolved().start.name == "sketch"

    @pytest.mark.parametrize("name", [FOREIGN, "my.ckpt", "no such name", "/tmp/model.safetensors", "", "3"])
    def test_unknown_ones_get_the_known_recipe(self, name: str) -> None:
        assert recipes.recipe_of(name) == recipes.UNKNOWN
        config = resolved(f"vqgan={name}")
        assert (config.start.name, config.cutouts.count, config.steps) == ("codes", 32, 500)
        assert (config.optimizer.learning_rate, config.optimizer.unit) == ("0.1", "latent")
        assert (config.losses["near_start"].weight, config.losses["tv"].weight, config.latent.ema_decay) == (
            "0",
            "0",
            0,
        )

    @pytest.mark.parametrize(
        "name", [name for name, card in catalog.shipped().items() if card.family == "vqgan"]
    )
    def test_no_card_names_one_that_is_not_there(self, name: str) -> None:
        assert recipes.recipe_of(name) in configs.presets()

    def test_a_sketch_is_never_the_silent_default_of_others(self) -> None:
        pairs = [name for name in configs.presets() if name.startswith("pairs/")]
        for name in pairs:
            assert resolved(preset=name).start.name == "codes"
        assert resolved("start=sketch", preset=pairs[0]).start.name == "sketch"

    def test_it_is_that_of_the_finally_chosen_vqgan(self, tmp_path: Path) -> None:
        (tmp_path / "foreign.yaml").write_text(f"vqgan: {FOREIGN}")
        file = tmp_path / "foreign.yaml"
        assert resolved(file=file).start.name == resolved(preset="pairs/classic").start.name == "codes"
        assert resolved("vqgan=mini-vqgan", file=file, preset="pairs/light").start.name == "sketch"
        assert resolved("vqgan=mini-vqgan", vqgan=FOREIGN).start.name == "codes"

    def test_a_user_s_card_names_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VQCLIP_HOME", str(tmp_path))
        (tmp_path / "catalog.yaml").write_text("mine: {family: vqgan, recipe: recipes/pixray}")
        assert resolved("vqgan=mine").optimizer == resolved(preset="recipes/pixray").optimizer
        (tmp_path / "catalog.yaml").write_text("mine: {family: vqgan, recipe: recipes/pixry}")
        with pytest.raises(ConfigError, match=r"no preset 'recipes/pixry'.* did you mean recipes/pixray"):
            resolved("vqgan=mine")

    def test_a_batch_lays_each_line_on_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "jobs.txt").write_text(f"a\nb -- --set vqgan={FOREIGN}\nc -- --preset pairs/rich\nd\n")
        starts = [
            task.job.config.start.name for task in batch.plan(tmp_path / "jobs.txt", tmp_path) if task.job
        ]
        assert starts == ["sketch", "codes", "codes", "sketch"]


class TestLayers:
    def test_it_lies_over_the_defaults_and_under_all_else(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text(f"vqgan: {FOREIGN}\ncutouts: {{flip: 0.31}}")
        config = resolved("optimizer.name=sgd", preset="draft", file=tmp_path / "mine.yaml", tile=True)
        recipe = configs.read_preset(recipes.UNKNOWN)
        assert (config.steps, config.cutouts.flip, config.optimizer.name, config.tile) == (
            40,
            0.31,
            "sgd",
            True,
        )
        assert (config.cutouts.count, config.cutouts.erase) == (32, recipe["cutouts"]["erase"])

    def test_what_dump_wrote_hangs_on_none(self, tmp_path: Path) -> None:
        """A config is read as it was meant, though its VQGAN is foreign and it lacks keys that came later."""
        values = configs.to_dict(resolved(f"vqgan={FOREIGN}", "start=noise"))
        del values["optimizer"]["unit"], values["optimizer"]["restart"], values["losses"]["near_zero"]
        written = configs.from_dict(values)
        (tmp_path / "old.yaml").write_text(configs.yaml12.dump(values))
        assert configs.resolve(file=tmp_path / "old.yaml") == written
        assert (written.optimizer.unit, written.optimizer.restart) == ("codebook", 0)

    def test_reading_looks_nothing_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = resolved(f"vqgan={FOREIGN}")
        values = configs.to_dict(config)
        monkeypatch.setattr(recipes.catalog, "cards", lambda: pytest.fail("looked up"))
        assert configs.from_dict(values) == config

    def test_pairs_name_models_alone(self) -> None:
        for name in configs.presets():
            if name.startswith("pairs/"):
                assert configs.read_preset(name).keys() == {"drawer", "perceptors"}


class TestValues:
    """The peers' own numbers."""

    @pytest.mark.parametrize(
        ("name", "steps", "size", "crops", "start", "rates"),
        [
            ("nerdyrodent", 500, "256x256", 32, "codes", (0.1, 0.1)),
            ("crowson", 500, "480x480", 64, "codes", (0.05, 0.05)),
            ("crowson-mse", 250, "480x480", 64, "codes", (0.95, 0.95)),
            ("pytti", 100, "180x112", 40, "codes", (0.1, 0.1)),
            ("pixray", 250, "288x288", 30, "noise", (0.2, 0.02)),
            ("pixray-draft", 200, "144x144", 24, "noise", (0.2, 0.02)),
            ("pixray-normal", 250, "288x288", 30, "noise", (0.2, 0.02)),
            ("pixray-better", 300, "432x432", 36, "noise", (0.2, 0.02)),
            ("pixray-best", 350, "576x576", 2 * 12, "noise", (0.2, 0.02)),
            ("pixray-supreme", 400, "720x720", 4 * 8, "noise", (0.2, 0.02)),
        ],
    )
    def test_are_those_of(
        self, name: str, steps: int, size: str, crops: int, start: str, rates: tuple[float, float]
    ) -> None:
        config = resolved(f"vqgan={FOREIGN}", preset=f"recipes/{name}")
        assert (config.steps, config.size, config.cutouts.count, config.start.name) == (
            steps,
            size,
            crops,
            start,
        )
        assert (config.optimizer.name, config.optimizer.unit) == ("adam", "latent")
        assert (course(config)[0], course(config)[-1]) == pytest.approx(rates)

    def test_pixray_s_qualities_differ_in_their_clips(self) -> None:
        names = ("draft", "normal", "better", "best", "supreme")
        clips = [
            [p.model.removesuffix("/openai") for p in resolved(preset=f"recipes/pixray-{name}").perceptors]
            for name in names
        ]
        assert clips == [
            ["ViT-B-16"],
            ["ViT-B-32", "ViT-B-16"],
            ["RN50", "ViT-B-32", "ViT-B-16"],
            ["RN50x4", "ViT-B-32", "ViT-B-16"],
            ["RN50x4", "RN101", "ViT-B-32", "ViT-B-16"],
        ]

    def test_pixray_s_rate_falls_at_three_quarters(self) -> None:
        rates = course(resolved("vqgan=x", preset="recipes/pixray"))
        assert next(step for step in range(250) if rates[step] < 0.2) == 187
        assert set(rates) == {0.2, 0.02}
