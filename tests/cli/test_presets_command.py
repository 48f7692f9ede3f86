"""`vqclip presets` lists presets, the user's own among them, which --preset takes like any other."""

import json
from pathlib import Path

import pytest
from conftest import Vqclip

from vqclip.base.errors import ConfigError
from vqclip.base.paths import CONFIGS
from vqclip.config import presets
from vqclip.config import resolve as configs


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's presets."""
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path))
    (tmp_path / "presets" / "my").mkdir(parents=True)
    return tmp_path / "presets"


def test_every_shipped_preset_has_a_line(vqclip: Vqclip) -> None:
    done = vqclip("presets")
    assert done.lines[0].split() == ["PRESET", "FROM", "WHAT", "IT", "IS"]
    assert [line.split()[0] for line in done.lines[1:]] == configs.presets()
    assert all(len(line) <= 80 for line in done.lines)
    assert all(presets.about(path) for path in presets.shipped().values())


def test_own_presets_are_listed_shown_and_used(vqclip: Vqclip, own: Path) -> None:
    (own / "my" / "look.yaml").write_text("# Loud.\n# Very.\nextends: draft\nsteps: 7\n")
    (own / "tile.yaml").write_text("steps: 1\n")
    listed = {line["name"]: line for line in map(json.loads, vqclip("presets", "--json").lines)}
    assert (listed["my/look"]["origin"], listed["my/look"]["about"]) == ("yours", "Loud. Very.")
    assert listed["tile"]["origin"] == "ships"
    assert vqclip("presets", "show", "my/look").out == (own / "my" / "look.yaml").read_text()
    config = configs.resolve({"prompts": ["a"]}, preset="my/look+tile")
    assert (config.steps, config.size, config.tile) == (7, "144x144", True)


def test_show_prints_the_file(vqclip: Vqclip) -> None:
    text = (CONFIGS / "presets" / "draft.yaml").read_text()
    assert vqclip("presets", "show", "draft").out.rstrip() == text.rstrip()
    done = vqclip("presets", "show", "drfat")
    assert (done.code, done.err) == (2, "vqclip: there is no preset 'drfat'; did you mean draft?\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("extends: my", "extends itself"), ("extends: 3", "is no preset's name"), ("extends: nowhere", "no preset"),
        ("stpes: 3", "there is no key"), ("- a", "is keys with values"), ("a: [", "my.yaml"),
    ],
)  # fmt: skip
def test_an_own_preset_that_is_wrong_is_named_in_one_line(own: Path, text: str, why: str) -> None:
    (own / "my.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        configs.resolve({"prompts": ["a"]}, preset="my")
    assert why in str(caught.value)
    assert "my.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_saved_config_is_a_preset(own: Path) -> None:
    """Of a whole config, the missing keys are neutral, as of a file that `-c` reads."""
    whole = configs.resolve({"prompts": ["a"], "seed": 3}, preset="draft")
    (own / "saved.yaml").write_text(configs.dump(whole))
    assert configs.resolve({"prompts": ["a"]}, preset="saved") == whole
