"""Configs: how layers are laid over each other, what is refused, and that a Config survives its YAML."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Tiny

from vqclip.base.errors import ConfigError
from vqclip.base.paths import CONFIGS
from vqclip.config import recipes
from vqclip.config import resolve as configs
from vqclip.config.prompt import Kind, Prompt, format
from vqclip.config.registry import DRAWERS, STARTS
from vqclip.config.schema import BORDERS, EDGES, OPTIMIZERS, UNITS, Config
from vqclip.config.shorthands import spelled_out

DEFAULT = CONFIGS / "default.yaml"


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of all plain values and lists."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


LEAVES = leaves(spelled_out(yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))))


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def test_default_yaml_has_the_keys_of_the_schema() -> None:
    assert set(leaves(configs.to_dict(configs.resolve()))) == set(LEAVES)


def test_every_key_of_default_yaml_has_a_comment() -> None:
    """A section may leave it to its keys."""
    lines = DEFAULT.read_text(encoding="utf-8").splitlines()
    uncommented = [line for line in lines if re.match(r"\s*\w+:", line) and "#" not in line]
    assert [line.strip() for line in uncommented] == ["optimizer:", "latent:"]


DRAFT, FINE = configs.read_preset("draft"), configs.read_preset("fine")


class TestLayers:
    def test_each_lies_over_the_one_before(self, tmp_path: Path) -> None:
        """default < recipe < preset < file < --set < given, key by key."""
        file = tmp_path / "my.yaml"
        keys = ["size", "steps", "cutouts.count", "cutouts.flip", "drawer.model"]
        file.write_text("steps: 31\ncutouts: {count: 31, flip: 0.31}\nvqgan: file\n")
        config = configs.resolve(
            {"vqgan": "given"},
            preset="draft",
            file=file,
            settings=["cutouts.count=32", "cutouts.flip=0.32", "vqgan=set", "cutouts.flip=0.33"],
        )
        found = leaves(configs.to_dict(config))
        assert [found[key] for key in keys] == [DRAFT["size"], 31, 32, 0.33, "given"]
        untouched = set(LEAVES) - {
            *keys,
            "seed",
            "start.sketchbook",
            "start.reader",
        }  # the recipe's start has none
        below = LEAVES | leaves(configs.read_preset(recipes.UNKNOWN))
        assert {key: found[key] for key in untouched - {"perceptors", "latent.stages"}} == {
            key: below[key] if not isinstance(found[key], str) else str(below[key])
            for key in untouched - {"perceptors", "latent.stages"}
        }

    @pytest.mark.parametrize("name", configs.presets())
    def test_every_preset_resolves(self, name: str) -> None:
        assert configs.resolve({"seed": 0}, preset=name).steps >= 1

    def test_joined_presets_win_from_left_to_right(self) -> None:
        assert configs.resolve(preset="fine+draft").size == DRAFT["size"]
        assert configs.resolve(preset="fine+draft").cutouts.count == FINE["cutouts"]["count"]
        assert configs.resolve(preset="draft+fine").size == FINE["size"]

    def test_standard_is_the_default(self) -> None:
        assert configs.resolve({"seed": 0}, preset="standard") == configs.resolve({"seed": 0})

    def test_lists_are_replaced_whole(self) -> None:
        config = configs.resolve(settings=["perceptors=[{model: a}, {model: b, weight: 0.5, crops: 3}]"])
        assert [(p.model, p.weight, p.crops) for p in config.perceptors] == [("a", 1, None), ("b", 0.5, 3)]

    @pytest.mark.parametrize(
        ("setting", "key", "value"),
        [
            ("vqgan=0x3", "drawer.model", "0x3"),
            ("vqgan=a=b", "drawer.model", "a=b"),
            ("vqgan= spaced ", "drawer.model", "spaced"),
            ("optimizer.learning_rate=1:30", "optimizer.learning_rate", "1:30"),
            ("init=null", "init", None),
            ("prompts=[a, 'b|c']", "prompts", ["a", "b|c"]),
            ("steps=7", "steps", 7),
            ("cutouts.flip=1", "cutouts.flip", 1.0),
        ],
    )
    def test_a_setting_means_what_it_says(self, setting: str, key: str, value: Any) -> None:
        assert leaves(configs.to_dict(configs.resolve(settings=[setting])))[key] == value

    def test_an_empty_file_changes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "empty.yaml").write_text("# nothing\n")
        assert configs.resolve({"seed": 3}, file=tmp_path / "empty.yaml") == configs.resolve({"seed": 3})

    def test_nothing_is_interpolated(self) -> None:
        """Whatever dollars, braces and backslashes a prompt holds, it stays as it is."""
        chance = random.Random(3)
        texts = [
            "${seed} of ${oc.env:HOME}",
            *("".join(chance.choices("${}\\a: ", k=9)) + "x" for _ in range(500)),
        ]
        quoted = [format(Prompt(Kind.TEXT, text)) for text in texts]
        config = configs.resolve({"prompts": quoted})
        assert [prompt.body for prompt in config.parsed_prompts] == texts
        assert configs.from_dict(configs.to_dict(config)) == config


class TestSeed:
    def test_null_draws_one_that_is_kept(self) -> None:
        drawn = {configs.resolve().seed for _ in range(20)}
        assert len(drawn) > 15
        assert all(isinstance(seed, int) for seed in drawn)

    def test_zero_is_a_seed(self) -> None:
        assert configs.resolve({"seed": 0}).seed == 0

    def test_the_last_layer_that_names_one_wins_and_null_draws_again(self) -> None:
        assert configs.resolve(settings=["seed=5", "seed=6"]).seed == 6
        assert configs.resolve({"seed": None}, settings=["seed=5"]).seed != 5


class TestRoundTrip:
    def test_the_version_is_written(self, tiny: Tiny) -> None:
        assert next(iter(configs.to_dict(tiny()).items())) == ("version", configs.VERSION)
        assert yaml.safe_load(configs.dump(tiny()))["version"] == configs.VERSION == LEAVES["version"]

    def test_through_plain_data(self, tiny: Tiny) -> None:
        assert configs.from_dict(configs.to_dict(tiny())) == tiny()

    def test_through_a_file(self, tiny: Tiny, tmp_path: Path) -> None:
        config = tiny(prompts=["été: 日本|[a:b.png]:-1:0.2", "yes", "1:2", "# no", "${x}"], init="null")
        (tmp_path / "config.yaml").write_text(configs.dump(config), encoding="utf-8")
        assert configs.resolve(file=tmp_path / "config.yaml") == config


TWO_STAGES = [{"scale": 0.5, "share": 0.3}, {"scale": 1.0, "share": 0.7}]


def other(key: str, value: Any) -> Any:
    """A valid value that differs from the default."""
    choices = {
        "start.name": [name for name in STARTS.names() if name != "transformer"],  # which needs its model
        "drawer.name": DRAWERS.names(),
        "cutouts.border": BORDERS,
        "optimizer.name": OPTIMIZERS,
        "optimizer.unit": UNITS,
        "motion.border": EDGES,
    }
    special = {
        "prompts": ["b"], "seed": 8, "size": "16x32", "init": "a.png", "cutouts.aspect": "squash",
        "perceptors": [{"model": "mini-clip-2", "crops": 3}], "latent.stages": TWO_STAGES,
        "precision": "bfloat16", "drawer.model": "x", "start.sketchbook": "x", "start.reader": "x",
        "optimizer.learning_rate": "0.1", "losses.near_start.weight": "0.2",
        "film.frames": 3, "film.fps": 3.0, "film.window": 3, "story.after": "repeat",
        "source.video": "a.mp4", "source.end": 3.0, "story.prefix": "a", "story.suffix": "b",
        "losses.tv.form": "log", "optimizer.drops": ["75%"],
        "palette.colours": ["red"], "palette.lock": False, "filters": ["wrap"],
        "story.at": 0.0, "upscale.model": "a.pth", "transparent": "0.3",
        "mask.file": "m.png", "mask.fill": "init", "extend": "left=8", "aspect": "2:1", "style": "oil",
        "overlay.file": "o.png", "overlay.until": 3, "texts.templates": ["a {}"],
        "texts.image_prior": "mini-image-prior-2",
    }  # fmt: skip
    if key in choices:
        return choices[key][-1]
    if key in special:
        return special[key]
    return value + 1 if isinstance(value, int) else value / 2 or 0.125


@pytest.mark.parametrize("key", [key for key in LEAVES if key != "version"])
def test_the_digest_hangs_on(key: str) -> None:
    """Every key: a run folder is never taken for another Config's."""
    least = {"seed": 7, "init": "b.png"}
    base = configs.resolve(least)
    changed = configs.resolve(least | nested(key, other(key, LEAVES[key])))
    assert changed.digest != base.digest
    assert re.fullmatch("[0-9a-f]{12}", base.digest)


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        ({"stpes": 3}, "there is no key 'stpes' in a config; did you mean steps or"),
        ({"rate": "0.1"}, "did you mean optimizer.learning_rate or film.learning_rate?"),
        ({"version": configs.VERSION + 1}, f"newer vqclip, and this one reads up to {configs.VERSION}; update vqclip"),
        ({"version": "x"}, f"version: 'x' is none; leave the line out, or write {configs.VERSION}"),
        ({"version": 0}, "version: 0 is none"),
        ({"cutouts": {"cuont": 3}}, "'cutouts.cuont' in a config; did you mean cutouts.count"),
        ({"count": 3}, "did you mean cutouts.count?"),
        ({"perceptors": [{"modle": "x"}]}, "'perceptors[0].modle'"),
        ({"xyzzy": 3}, "`vqclip config show` prints them all"),
        ({"cutouts": 3}, "cutouts: 3 is one value; this takes keys, such as cutouts.count"),
        ({"perceptors": ["mini-clip-2"]}, "perceptors[0]: 'mini-clip-2' is one value"),
        ({"steps": "many"}, "steps: "),
        ({"steps": 1.5}, "steps: "),
        ({"cutouts": {"flip": "often"}}, "cutouts.flip: "),
        ({"prompts": {"a": 1}}, "prompts[0]: {'a': 1} is no text"),
        ({"prompts": True}, "prompts[0]: True is no text"),
        ({"vqgan": None}, "vqgan: "),
        ({"steps": -1}, "steps: -1 is out of range; it takes 0 to 1000000"),
        ({"seed": -1}, "seed: -1 is out of range"),
        ({"cutouts": {"noise": float("nan")}}, "cutouts.noise: nan is out of range"),
        ({"cutouts": {"flip": 1.5}}, "cutouts.flip: 1.5 is out of range; it takes 0 to 1"),
        ({"perceptors": [{"model": "x", "crops": 0}]}, "perceptors[0].crops: 0 is out of range"),
        ({"optimizer": {"name": "adma"}}, "'adma' is none of adam, adamw"),
        ({"optimizer": {"name": "adma"}}, "did you mean adam"),
        ({"optimizer": {"learning_rate": "fast"}}, "optimizer.learning_rate: 'fast' is no schedule"),
        ({"optimizer": {"learning_rate": "1 -> -1"}}, "at least 0 is allowed"),
        ({"size": "big"}, "'big' is no size; write width x height"),
        ({"size": "0x16"}, "'0x16' is impossible"),
        ({"size": "99999x16"}, "'99999x16' is impossible"),
        ({"size": "-5x16"}, "is no size"),
        ({"perceptors": []}, "there is none to score the image"),
        ({"cutouts": {"smallest": 0.9, "largest": 0.2}}, "smallest 0.9 exceeds largest 0.2"),
        ({"latent": {"stages": []}}, "must rise and end at 1"),
        ({"latent": {"stages": [{"scale": 0.5, "share": 1}]}}, "must rise and end at 1"),
        ({"latent": {"stages": [{"scale": 1, "share": 1}, {"scale": 0.5, "share": 1}]}}, "must rise and end at 1"),
        ({"latent": {"stages": [{"scale": 1}]}}, "latent.stages[0] lacks share"),
    ],
)  # fmt: skip
def test_is_refused_in_one_line(given: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configs.resolve({"seed": 1} | given)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["steps", "=3", "", "prompts=[a", "a..b=3", ".=1"])
def test_a_setting_that_does_not_read_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        configs.resolve(settings=[setting])


def test_a_key_that_is_missing_is_named() -> None:
    values = configs.to_dict(configs.resolve())
    del values["cutouts"]["flip"]
    with pytest.raises(ConfigError, match="cutouts lacks flip"):
        configs.from_dict(values)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"- a\n- b\n", "holds a list"),
        (b"just words", "holds a text"),
        (b"a: [1", "is not YAML"),
        (b"\xff\xfe\x00", "is no text in UTF-8; name a file of YAML"),
        (b"a: !!python/object/apply:os.system ['touch hacked']", "is not YAML"),
        (b"1: 2", "there is no key '1'"),
        (None, "can't be read: no such file"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, content: bytes | None, fragment: str) -> None:
    file = tmp_path / "my.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        configs.resolve(file=file)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("hacked").exists()


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no preset 'drat', only .*; did you mean draft\?"):
        configs.resolve(preset="drat")


def test_a_config_is_frozen() -> None:
    config: Any = configs.resolve()
    with pytest.raises(AttributeError):
        config.steps = 3
    assert isinstance(config, Config)
