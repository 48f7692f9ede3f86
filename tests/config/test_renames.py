"""Old configs can be read: in them added keys are neutral, and renamed keys have their old names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Tiny, Vqclip

from vqclip.base.errors import ConfigError, RunError
from vqclip.config import dotted, known_keys, presets, renames
from vqclip.config import resolve as configs
from vqclip.config.renames import RENAMES, Rename
from vqclip.config.rules import among, key, schedule, within
from vqclip.config.schema import Config, CutoutsConfig
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig
from vqclip.jobs import batch
from vqclip.runs.folder_layout import CONFIG
from vqclip.runs.run import Run, read_config

OLD = {
    "optimizer.rate": "0.2 -> 0.1", "latent.average": 0.5, "penalties.smooth": "2", "penalties.near_start": "0.7",
    "penalties.vivid": "-0.3",
    "film.rate": "0.1",
}  # fmt: skip
NEW = {rename.new: OLD[rename.old] for rename in RENAMES if rename.old in OLD}


WRITTEN = (f"version: {configs.VERSION}", "version: 99")


def nested(values: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in values.items():
        dotted.put(made, name, value)
    return made


def as_before(config: Config) -> dict[str, Any]:
    """A config as a vqclip wrote it that knew neither versions nor the new names."""
    values = configs.to_dict(config)
    del values["version"]
    return renames.with_first_names(values)


class TestOldNames:
    def test_are_read_wherever_a_config_is_written(self, tmp_path: Path) -> None:
        (tmp_path / "old.yaml").write_text(yaml.safe_dump(nested(OLD)))
        expected = configs.resolve({"seed": 1} | nested(NEW))
        assert configs.resolve({"seed": 1}, file=tmp_path / "old.yaml") == expected
        assert configs.resolve({"seed": 1}, settings=[f"{k}={v}" for k, v in OLD.items()]) == expected
        assert configs.resolve({"seed": 1} | nested(OLD)) == expected
        assert configs.from_dict(as_before(expected)) == expected

    def test_are_read_in_presets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        default = Path(configs.CONFIGS / "default.yaml").read_text(encoding="utf-8")
        (tmp_path / "presets").mkdir()
        (tmp_path / "default.yaml").write_text(default, encoding="utf-8")
        (tmp_path / "presets" / "standard.yaml").write_text("{}")
        (tmp_path / "presets" / "mine.yaml").write_text("film: {rate: 0.3}")
        for module in (configs, presets):
            monkeypatch.setattr(module, "CONFIGS", tmp_path)
        assert configs.resolve(preset="mine").film.learning_rate == "0.3"

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("jobs.txt", "a -- --set latent.average=0.5"),
            ("jobs.csv", "prompt,latent.average\na,0.5"),
            ("jobs.jsonl", '{"prompt": "a", "latent": {"average": 0.5}}'),
            ("jobs.yaml", "{defaults: {latent.average: 0.5}, jobs: [a]}"),
            ("matrix.yaml", "matrix: {prompt: a, latent.average: [0.5]}"),
        ],
    )
    def test_are_read_in_batch_files(self, tmp_path: Path, name: str, content: str) -> None:
        (tmp_path / name).write_text(content)
        (task,) = batch.plan(tmp_path / name, tmp_path)
        assert task.job is not None, task.error
        assert task.job.config.latent.ema_decay == 0.5

    def test_of_a_file_lie_below_new_names_of_settings(self, tmp_path: Path) -> None:
        (tmp_path / "old.yaml").write_text("film: {rate: 0.3}")
        config = configs.resolve(file=tmp_path / "old.yaml", settings=["film.learning_rate=0.4"])
        assert config.film.learning_rate == "0.4"

    @pytest.mark.parametrize("rename", RENAMES, ids=lambda rename: rename.old)
    def test_beside_the_new_name_are_refused(self, rename: Rename) -> None:
        message = f"^{rename.old} and {rename.new} are names of one key; give only {rename.new}$"
        both = nested({rename.old: 1, rename.new: 1})
        with pytest.raises(ConfigError, match=message):
            configs.resolve(both)
        with pytest.raises(ConfigError, match=message):
            configs.from_dict(both)
        with pytest.raises(ConfigError, match=f"--set {message[1:]}"):
            configs.resolve(settings=[f"{rename.new}=1", f"{rename.old}=1"])

    def test_are_named_in_one_line_where_a_user_typed_them(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = tmp_path / "old.yaml"
        file.write_text("film: {rate: 0.3}")
        configs.resolve(file=file, settings=["latent.average=0"])
        assert [record.getMessage() for record in caplog.records] == [
            f"{file}: film.rate is now called film.learning_rate; the old name still works",
            "--set latent.average is now called latent.ema_decay; the old name still works",
        ]
        caplog.clear()
        configs.from_dict(as_before(configs.resolve()))
        assert caplog.records == []

    def test_are_named_once_in_a_command_unless_it_is_quiet(self, vqclip: Vqclip) -> None:
        Path("jobs.txt").write_text("a\nb -- --set latent.average=0\nc -- --set latent.average=0.1\n")
        done = vqclip("batch", "jobs.txt", "--plan", "--set", "film.rate=0.1")
        assert [line for line in done.err.splitlines() if "is now called" in line] == [
            "note      --set film.rate is now called film.learning_rate; the old name still works",
            "note      --set latent.average is now called latent.ema_decay; the old name still works",
        ]
        assert vqclip("batch", "jobs.txt", "--plan", "-q", "--set", "film.rate=0.1").err == ""
        assert vqclip("config", "show", "--set", "film.rate=0.1").err.count("\n") == 1
        assert vqclip("generate", "a", "--plan", "--set", "film.rate=0.1").err.count("is now called") == 1


def test_every_new_name_is_a_key_and_no_old_name_is() -> None:
    known = set(known_keys.keys())
    assert {rename.new for rename in RENAMES} <= known
    assert not {rename.old for rename in RENAMES} & known


def test_a_key_may_move_between_sections_and_change_its_values() -> None:
    """There and back: digests are of the first spelling."""
    moved = [
        Rename("a.loud", "b.quiet", to_new=lambda x: -x, to_old=lambda x: -x),
        Rename("a.x", "b.z"),
        Rename("b.y", "b.z"),
    ]
    first, between, now = {"a": {"loud": 3, "x": 1}}, {"b": {"y": 1}}, {"b": {"quiet": -3, "z": 1}}
    assert renames.with_new_names(first, moved) == now
    assert renames.with_new_names(between, moved) == {"b": {"z": 1}}
    assert renames.with_first_names(now, moved) == first
    with pytest.raises(ConfigError, match=r"a\.x and b\.y are names of one key; give only b\.z"):
        renames.with_new_names(first | between, moved)
    assert first == {"a": {"loud": 3, "x": 1}}, "what is given stays"


@dataclass(frozen=True, kw_only=True)
class LaterPerceptor(OpenCLIPConfig):
    layer: int = within(0, 9, default=0, neutral=0)


@dataclass(frozen=True, kw_only=True)
class LaterCutouts(CutoutsConfig):
    gamma: float = within(0, 4, neutral=1.0)


@dataclass(frozen=True, kw_only=True)
class SharpenConfig:
    mode: str = among("none", "edges", neutral="none")
    weight: str = schedule(minimum=0, neutral="0")


@dataclass(frozen=True, kw_only=True)
class LaterConfig(Config):
    """A Config to which keys were added: in a section, in a list's items, a section of its own, and at the top."""

    perceptors: list[LaterPerceptor]  # type: ignore[assignment]
    cutouts: LaterCutouts
    sharpen: SharpenConfig
    tints: list[str] = key(neutral=[])
    veil: str | None = key(neutral=None)


ADDED: dict[str, Any] = {
    "cutouts.gamma": 2.0,
    "sharpen.mode": "edges",
    "sharpen.weight": "0.5",
    "tints": ["red"],
    "veil": "a.png",
}


class TestAddedKeys:
    @pytest.fixture
    def before(self, tiny: Tiny) -> Config:
        return tiny()

    @pytest.fixture
    def later(self, before: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (configs, known_keys):
            monkeypatch.setattr(module, "Config", LaterConfig)

    @pytest.mark.usefixtures("later")
    def test_are_neutral_in_what_was_written_before_and_leave_its_digest(self, before: Config) -> None:
        config: Any = configs.from_dict(as_before(before))
        assert isinstance(config, LaterConfig)
        assert (config.cutouts.gamma, config.tints, config.veil) == (1.0, [], None)
        assert config.sharpen == SharpenConfig(mode="none", weight="0")
        assert config.perceptors[0].layer == 0
        assert config.digest == before.digest
        assert configs.from_dict(configs.to_dict(config)) == config

    @pytest.mark.usefixtures("later")
    @pytest.mark.parametrize("name", ADDED)
    def test_count_in_the_digest_where_they_are_not_neutral(self, before: Config, name: str) -> None:
        neutral = configs.to_dict(configs.from_dict(as_before(before)))
        dotted.put(neutral, name, ADDED[name])
        assert configs.from_dict(neutral).digest != before.digest

    @pytest.mark.usefixtures("later")
    def test_in_a_lists_items_count_as_well(self, before: Config) -> None:
        neutral = configs.to_dict(configs.from_dict(as_before(before)))
        neutral["perceptors"][0]["layer"] = 3
        assert configs.from_dict(neutral).digest != before.digest

    @pytest.mark.usefixtures("later")
    def test_are_neutral_however_a_schedule_spells_it(self, before: Config) -> None:
        neutral = configs.to_dict(configs.from_dict(as_before(before)))
        neutral["sharpen"]["weight"] = "0.0"
        assert configs.from_dict(neutral).digest == before.digest

    @pytest.mark.usefixtures("later")
    def test_leave_unknown_keys_unknown(self, before: Config) -> None:
        with pytest.raises(
            ConfigError, match=r"no key 'cutouts\.gama' in a config; did you mean cutouts\.gamma"
        ):
            configs.from_dict(as_before(before) | {"cutouts": {"gama": 1}})

    def test_let_a_run_folder_go_on_that_lacks_them(
        self, before: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Run.create(tmp_path, before, {}).folder
        monkeypatch.setattr(configs, "Config", LaterConfig)
        config = configs.from_dict(configs.to_dict(before))
        assert Run.open(folder, config, {}).config.digest == before.digest == folder.name[-12:]


def test_a_key_that_is_there_from_the_first_is_still_needed() -> None:
    values = as_before(configs.resolve())
    del values["optimizer"]["rate"]
    with pytest.raises(ConfigError, match=r"optimizer lacks learning_rate"):
        configs.from_dict(values)


def test_what_a_newer_version_wrote_is_refused_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    folder = Run.create(tmp_path, tiny(), {}).folder
    content = (folder / CONFIG).read_text(encoding="utf-8")
    (folder / CONFIG).write_text(content.replace(*WRITTEN) + "invented: 5\n", encoding="utf-8")
    with pytest.raises(
        RunError, match=r"config\.yaml is unusable: version: 99 is that of a newer vqclip.*; update vqclip$"
    ):
        read_config(folder)


def test_a_config_that_is_no_mapping_is_refused() -> None:
    broken: Any = ["a"]
    with pytest.raises(ConfigError, match="it is a list, and a config is keys with values"):
        configs.from_dict(broken)
