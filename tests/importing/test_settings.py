"""Other programs' settings become configs that render, and what has no counterpart is named."""

import contextlib
from pathlib import Path

import pytest
import yaml
from conftest import Vqclip
from PIL import Image

from vqclip.base.errors import ConfigError, UsageError
from vqclip.importing import importing
from vqclip.importing.pixray import DRAWERS
from vqclip.importing.table import Program, convert
from vqclip.media.video_writer import VideoWriter

CASES = Path(__file__).parents[1] / "cases/settings"
FILES = sorted(CASES.iterdir())
# The settings of each file that have no counterpart.
WITHOUT = {
    "nerdyrodent-still": {"vqgan_config", "output", "deterministic"},
    "nerdyrodent-story": {"optimiser"},
    "nerdyrodent-zoom": {"augments"},
    "pixray-lines": {"stroke_length", "min_stroke_width", "transparent"},
    "pixray-losses": {"custom_loss", "fft_lrate"},
    "pixray-painting": {"optimiser", "outdir"},
    "pixray-pixel": {"display_every"},
    "pixray-spot": {"perceptors"},
    "pytti-moving": {
        "image_model", "translate_y", "direct_init_weight", "flow_stabilization_weight", "input_audio",
    },
    "pytti-scenes": {"scenes"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def images() -> None:
    """What the settings name, in the working folder."""
    for name in ("photo.jpg", "style.png", "mask.png"):
        Image.radial_gradient("L").convert("RGB").resize((24, 24)).save(name)
    with VideoWriter(Path("holiday.mp4"), 16, 16, 2, {}, "") as video:
        for shade in range(4):
            video.write(Image.new("RGB", (16, 16), (60 * shade, 90, 90)))


def test_there_are_ten() -> None:
    assert [file.stem for file in FILES] == sorted(WITHOUT)
    assert len(FILES) == 10


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_file_becomes_a_config_that_renders(
    file: Path, vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path
) -> None:
    done = vqclip("config", "import", str(file), "-o", "ours.yaml")
    assert done.code == 0, done.err
    lines = [
        line.removeprefix("without").strip() for line in done.err.splitlines() if line.startswith("without")
    ]
    assert {line.partition(":")[0] for line in lines} == WITHOUT[file.stem], done.err
    config = yaml.safe_load(Path("ours.yaml").read_text())
    small = {"size": "16x16", "steps": 2, "cutouts.count": 4, "save_every": 0}
    small |= {"film.steps": 1, "story.frames": 2, "perceptors": f"[{{model: {tiny_clip}}}]"}
    drawer = config["drawer"]["name"]
    small |= {"vqgan": tiny_vqgan} if drawer == "vqgan" else {}
    small |= {"drawer.pixels": "8x8"} if drawer == "pixel" else {}
    small |= {"film.frames": 3} if "frames" in config.get("film", {}) else {}
    settings = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    made = vqclip("generate", "-c", "ours.yaml", *settings)
    assert made.code == 0, made.err
    assert Path(made.out.strip()).is_file()


def values(text: str, program: str | None = None) -> dict[str, object]:
    Path("settings.yaml").write_text(text)
    return dict(importing.read("settings.yaml", program).values)


def test_a_quality_sets_what_it_sets_in_pixray() -> None:
    best = values("{prompts: an owl, quality: best}")
    assert (best["size"], best["steps"]) == ("768x432", 350)
    assert [each["model"] for each in best["perceptors"]] == [  # type: ignore[attr-defined]
        "RN50x4/openai", "ViT-B-32/openai", "ViT-B-16/openai",
    ]  # fmt: skip
    assert best["cutouts"]["count"] == 24  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "steps"), [("20i", 20), ("20 iterations", 20), ("25%", 50), ("25p", 50), ("30", 30)]
)
def test_units(given: str, steps: int) -> None:
    assert values(f"{{prompts: an owl, iterations: 200, save_every: {given}}}")["save_every"] == steps


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("red", ["black->red"]),
        (r"rust->white\8;[navy, gold]", [r"rust->white\8", "[navy, gold]"]),
        ("@a.png", ["[a.png]"]),
        ("pixel_green", ["pixel_green"]),
    ],
)
def test_palettes(given: str, ours: list[str]) -> None:
    from vqclip.importing.pixray_values import colours  # noqa: PLC0415

    assert colours(given) == ours


def test_losses_have_weights_and_arguments() -> None:
    losses = values("{prompts: an owl, custom_loss: 'symmetry:2, edge:3', edge_thickness: 8}")["losses"]
    assert losses["symmetry"]["weight"] == 2  # type: ignore[index]
    assert losses["edges"] == {"weight": pytest.approx(0.3), "margin": 0.08}  # type: ignore[index]


def test_a_quoted_command_line_is_read_without_a_shell() -> None:
    line = """python generate.py -p "a $(touch gone) rose; rm -f photo.jpg" -i 30 -sd 0"""
    imported = importing.read(line)
    assert imported.program == "nerdyrodent"
    assert imported.values["prompts"] == ["a $(touch gone) rose; rm -f photo.jpg"]
    assert (imported.values["steps"], imported.values["seed"]) == (30, "0")
    assert Path("photo.jpg").exists()
    assert not Path("gone").exists()


def test_masks_become_regions() -> None:
    prompts = values("{scenes: 'a:1_l | b:2_[m.png] | c:1_[-m.png] | d:1_d:0.3', cutouts: 4}")["prompts"]
    assert prompts == ["a @ left | b @ [m.png]:2 | c @ not [m.png] | d @ bottom:1:0.3"]


def test_what_is_read_twice_is_the_same() -> None:
    """A preset's values, which other calls share, stay as they were."""
    text = (CASES / "pixray-painting.yaml").read_text()
    assert values(text) == values(text)
    assert "drops" not in values("{prompts: an owl, drawer: pixel}").get("optimizer", {})  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "whose settings"),
        ("[1, 2]", "names with values"),
        ("{prompts: an owl, quality: superb}", "quality: 'superb' is none of draft"),
        ("{prompts: an owl, iterations: many}", "iterations: 'many' is no number"),
        ("{prompts: an owl, save_every: soon}", "save_every: 'soon' is no moment"),
        ("{prompts: an owl, custom_loss: edge, edge_color: nonsense}", "nonsense"),
        ("# generate.py", "0 command lines"),
        ('python generate.py -p "an owl', "isn't whole"),
        ("python generate.py an owl", "follows no argument"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        values(text)
    assert "\n" not in str(caught.value)


ODD = (
    [], [1], ["a", "b"], {"a": 1}, "", "x", -1, 0, float("inf"), float("nan"), True, None, "a:b:c", "\\8", "->", "[",
    "@", "9" * 400, "_", "a:_", "||", " ", "100%",
)  # fmt: skip


@pytest.mark.parametrize("program", importing.PROGRAMS.values(), ids=lambda each: each.name)
def test_odd_values_are_converted_or_refused(program: Program) -> None:
    """No value of any argument ends in an error that isn't meant for users; each argument gets every third value."""
    losses = "palette, saturation, symmetry, smoothness, edge, gaussian, aesthetic, resmem, style"
    whole = {
        "pixray": {"prompts": "an owl", "custom_loss": losses, "filters": "lookup, wallpaper"},
        "nerdyrodent": {"prompts": "an owl", "zoom_video": True},
        "pytti": {"scenes": "an owl", "animation_mode": "2D", "image_model": "VQGAN", "init_image": "a.png"},
    }[program.name]
    for i, argument in enumerate(program.arguments):
        drawer = {"drawer": argument.part} if argument in DRAWERS else {}
        for value in ODD[i % 3 :: 3]:
            with contextlib.suppress(UsageError):
                convert({**whole, **drawer, argument.name: value}, program)


def test_unknown_settings_are_named() -> None:
    Path("settings.yaml").write_text("{prompts: an owl, iterations: 9, use_pixeldraw: true, strokes: 3}")
    notes = importing.read("settings.yaml").notes
    assert "use_pixeldraw: pixray has no such argument" in notes
    assert any(note.startswith("strokes: only pixray's clipdraw and line_sketch") for note in notes)
