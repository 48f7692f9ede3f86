"""A style adds its words and prompts, and users have their own."""

import os
from pathlib import Path

import pytest

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.config import styles
from vqclip.config.schema import Config


def prompts_of(*lines: str, style: str | None) -> list[str]:
    config = configs.resolve({"seed": 1, "prompts": list(lines), "style": style})
    assert config.style is None, "a saved config says the prompts alone"
    return config.prompts


def test_a_style_frames_texts_and_adds_prompts() -> None:
    assert prompts_of("an owl:2 | fog:-1 | [a.png]", style="watercolour") == [
        "a watercolour painting of an owl:2 | fog:-1 | [a.png]",
        "wet washes of paint on paper:0.2",
    ]
    assert prompts_of("an owl", style=None) == ["an owl"]


def test_styles_add_up() -> None:
    assert prompts_of("an owl @ left", style="ink+night") == [
        "an ink drawing of an owl, black lines on white paper, at night under the moon @ left"
    ]


def test_a_style_s_settings_lie_under_what_the_user_says(tmp_path: Path) -> None:
    def resolved(**given: object) -> Config:
        return configs.resolve({"seed": 1, "prompts": "an owl", "style": "pixel-art", **given})

    assert (resolved().drawer.name, resolved().palette.colours) == ("pixel", ["pico8"])
    assert resolved(palette="nord").palette.colours == ["nord"]
    assert resolved(drawer="fft").drawer.name == "fft"
    assert configs.from_dict(configs.to_dict(resolved())) == resolved()
    (tmp_path / "a.yaml").write_text("style: woodcut\npalette: nord\n")
    assert configs.resolve({"seed": 1}, file=tmp_path / "a.yaml").palette.colours == ["nord"]
    assert prompts_of("an owl", style=None) == ["an owl"]


def test_the_last_of_several_styles_wins() -> None:
    config = configs.resolve({"seed": 1, "prompts": "an owl", "style": "pencil+night"})
    assert config.palette.colours == ["#02030f->#14204f->#3c4f96->#d2d2b4\\16"]


def test_a_style_s_unknown_keys_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path))
    (tmp_path / "styles.yaml").write_text("felt: {settings: {palete: red}}\n")
    with pytest.raises(ConfigError, match="palete"):
        prompts_of("an owl", style="felt")


def test_every_style_that_ships_can_be_painted() -> None:
    for name in styles.library():
        assert prompts_of("an owl ^ a bee", style=name)[0] != "an owl ^ a bee"


def test_users_have_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path))
    (tmp_path / "styles.yaml").write_text('felt: {suffix: ", made of felt"}\nink: {prefix: ink of}\n')
    assert prompts_of("an owl", style="felt") == ["an owl, made of felt"]
    assert prompts_of("an owl", style="ink") == ["ink of an owl"]
    assert os.listdir(tmp_path) == ["styles.yaml"]


@pytest.mark.parametrize("text", ["felt: 3", "felt: {sufix: a}", "felt: {prompts: a}", "- felt", "felt: {}"])
def test_what_is_no_style_is_refused(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path))
    (tmp_path / "styles.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"styles.yaml: .*it is no style; write some of prefix"):
        prompts_of("an owl", style="ink")


def test_an_unknown_style_is_refused_with_a_hint() -> None:
    with pytest.raises(
        ConfigError, match=r"there is no style 'watercolor', only .* did you mean watercolour"
    ):
        prompts_of("an owl", style="watercolor")
