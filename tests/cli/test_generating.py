"""What generates an image: prompts from anywhere, seeds of words, output files, plans, and what is said."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import Tiny, Vqclip
from PIL import Image
from typer.testing import CliRunner

from vqclip.base import seeds
from vqclip.cli import completion
from vqclip.cli.app import app
from vqclip.cli.display.table import cut
from vqclip.config import resolve as configs
from vqclip.media.image import read_metadata
from vqclip.media.video_reader import VideoReader

PAINTING = ("generate", "story", "zoom", "restyle")


@pytest.fixture
def small(tiny: Tiny, tmp_path: Path) -> tuple[str, str]:
    """-c FILE of a tiny config without prompts and seed."""
    values = configs.to_dict(tiny(steps=2))
    del values["prompts"], values["seed"]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return "-c", str(tmp_path / "tiny.yaml")


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Give the program an stdin of these bytes."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def shown_help(command: str, width: int = 100) -> list[str]:
    environment = {"COLUMNS": str(width), "TERMINAL_WIDTH": str(width)}
    output = CliRunner().invoke(app, [*command.split(), "-h"], env=environment, terminal_width=width).output
    return output.splitlines()


def unwrapped(lines: list[str]) -> str:
    """Join the lines of panels."""
    return " ".join(" ".join(lines).replace("│", " ").split())


class TestHelp:
    def test_of_generate_fits_60_lines_of_100_columns(self) -> None:
        lines = shown_help("generate")
        assert len(lines) <= 60
        assert max(map(len, lines)) <= 100

    @pytest.mark.parametrize("command", ["", *PAINTING, "batch", "reproduce", "config show"])
    def test_shows_no_type_of_a_flag(self, command: str) -> None:
        text = "\n".join(shown_help(command))
        assert not re.search(r"<\w+", text)
        assert "--help" in text

    @pytest.mark.parametrize("command", [*PAINTING, "batch"])
    def test_groups_options_in_one_order(self, command: str) -> None:
        panels = re.findall(r"^╭─ (\w+)", "\n".join(shown_help(command)), re.MULTILINE)
        assert panels[0] == "Arguments"
        order = ["What", "How", "Output", "Run"]
        assert panels[1:] == [panel for panel in order if panel in panels]
        assert {"How", "Output", "Run"} <= set(panels)

    def test_shows_the_defaults_that_hold(self) -> None:
        """What the help says is what default.yaml says."""
        text, default = unwrapped(shown_help("generate")), configs.resolve({"seed": 0})
        assert f"Width x height, init, or large portrait. [default: {default.size}]" in text
        assert f"[default: {default.drawer.name}]" in text
        story = unwrapped(shown_help("story"))
        restyle, zoom = (configs.resolve({"seed": 0}, f"films/{name}") for name in ("restyle", "zoom"))
        shown = unwrapped(shown_help("restyle"))
        assert f"first frame. [default: {restyle.steps}]" in shown
        assert f"later frame. [default: {restyle.film.steps}]" in shown
        shown = unwrapped(shown_help("zoom"))
        assert f"later frame. [default: {zoom.film.steps}]" in shown
        assert f"of the film. [default: {zoom.film.frames}]" in shown
        for value in (default.story.frames, default.story.fade, default.film.steps):
            assert f"[default: {value}]" in story

    def test_the_old_name_of_batch_size_is_read_and_not_shown(
        self, vqclip: Vqclip, small: tuple[str, str]
    ) -> None:
        assert "--together" not in "\n".join(shown_help("generate"))
        for option in ("--together", "--batch-size"):
            words = ("generate", "a", *small, "-n", "3", "-s", "16x16", option, "2", "--plan", "-q")
            assert "2 at once" in vqclip(*words).out


class TestCompletion:
    def test_of_names_and_keys(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        assert completion.presets("dra") == ["draft"]
        assert "draft+pairs/classic" in completion.presets("draft+pairs/c")
        assert completion.drawers("f") == ["fft"]
        assert completion.settings("cutouts.cou") == ["cutouts.count="]
        assert "mini-clip-2" in completion.models("mini-")
        (path,) = vqclip("generate", "a", *small, "-q").lines
        run = str(Path(path).parent)
        assert completion.runs("") == completion.runs("runs/") == [run]
        assert completion.runs(Path(run).name[:5]) == [run]

    def test_imports_no_torch(self) -> None:
        code = (
            "import sys; from vqclip.cli import completion as c; "
            "c.presets('d'); c.settings('c'); c.drawers(''); c.models(''); c.runs(''); print('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"

    def test_a_shell_gets_a_script(self) -> None:
        shown = CliRunner().invoke(app, ["-h"]).output
        assert "--install-completion" in shown
        assert "--show-completion" in shown


class TestPrompt:
    def test_comes_from_stdin(
        self, vqclip: Vqclip, small: tuple[str, str], stdin: Callable[[bytes], None]
    ) -> None:
        stdin("\ufeffa red été\n".encode())
        (record,) = map(json.loads, vqclip("generate", "-", *small, "-q", "--json").lines)
        assert record["prompt"] == "a red été"

    @pytest.mark.parametrize(
        ("data", "fragment"), [(b"  \n", "no prompt on stdin"), (b"caf\xe9", "is no text in UTF-8")]
    )
    def test_of_stdin_may_be_refused(
        self, vqclip: Vqclip, stdin: Callable[[bytes], None], data: bytes, fragment: str
    ) -> None:
        stdin(data)
        done = vqclip("generate", "-")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert fragment in done.err

    def test_may_be_left_out_where_a_config_has_one(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        done = vqclip("generate", *small, "--set", "prompts=[an owl, a tree:0.5]", "-q", "--json")
        assert json.loads(done.out)["prompt"] == "an owl | a tree:0.5"

    def test_of_the_command_line_wins_and_says_so(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        done = vqclip("generate", "a fox", *small, "--set", "prompts=[an owl]", "--plan")
        assert "prompt    PROMPT wins over the prompts of --set: 'an owl'" in done.err
        Path("owl.yaml").write_text("prompts: an owl\n")
        done = vqclip("generate", "a fox", "-c", "owl.yaml", "--plan")
        assert "PROMPT wins over the prompts of -c owl.yaml: 'an owl'" in done.err
        assert "wins" not in vqclip("generate", "-c", "owl.yaml", "--plan").err

    def test_a_shown_config_is_painted_as_it_is(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        first = Path(vqclip("generate", "an owl", *small, "--seed", "8", "-q").lines[0])
        Path("shown.yaml").write_text(vqclip("show", str(first)).out)
        again = Path(vqclip("generate", "-c", "shown.yaml", "-q").lines[0])
        assert again.read_bytes() == first.read_bytes()


class TestSeed:
    def test_may_be_words(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        (record,) = map(
            json.loads, vqclip("generate", "a", *small, "--seed", "red apple", "-q", "--json").lines
        )
        config = yaml.safe_load((Path(record["run"]) / "config.yaml").read_text())
        assert record["seed"] == config["seed"] == seeds.of_words(" red  apple ")

    def test_of_words_never_changes(self) -> None:
        assert seeds.of_words("apple") == 2008458005
        assert configs.resolve({"seed": "apple"}).seed == 2008458005
        assert configs.resolve(settings=["seed=apple"]).seed == 2008458005
        assert seeds.of_words("7 dwarfs") is None

    def test_of_words_is_read_in_batch_files(self, vqclip: Vqclip) -> None:
        Path("jobs.txt").write_text("a -- --seed apple\n")
        Path("jobs2.csv").write_text("prompt,seed\na,apple\n")
        for name in ("jobs.txt", "jobs2.csv"):
            (line,) = vqclip("batch", name, "--plan", "--json", "-q").lines
            assert json.loads(line)["seed"] == 2008458005


class TestOutput:
    @pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.webp", "new/deeper/a.PNG"])
    def test_carries_its_config(self, vqclip: Vqclip, small: tuple[str, str], name: str) -> None:
        done = vqclip("generate", 'été "x"', *small, "--seed", "3", "-o", name, "--json", "-q")
        record = json.loads(done.out)
        assert record["image"] == name
        with Image.open(name) as image:
            assert image.size == (16, 16)
        assert read_metadata(Path(name)) == read_metadata(Path(record["run"]) / "image.png")
        shown = yaml.safe_load(vqclip("show", name).out)
        assert (shown["seed"], shown["prompts"]) == (3, ['été "x"'])
        assert json.loads(vqclip("reproduce", name, "--json", "-q").out)["seed"] == 3

    def test_names_take_seed_and_slug(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        words = ("generate", "a red apple", *small, "--seed", "3", "-n", "2", "-q")
        assert vqclip(*words, "-o", "{slug}/{seed}.png").lines == ["a-red-apple/3.png", "a-red-apple/4.png"]
        assert vqclip(*words, "-o", "{slug}.webp").lines == ["a-red-apple-3.webp", "a-red-apple-4.webp"]

    @pytest.mark.parametrize("option", [("-o", "a.png"), ("--video", "a.gif")])
    def test_replaces_no_file_unless_forced(
        self, vqclip: Vqclip, small: tuple[str, str], option: tuple[str, str]
    ) -> None:
        file = Path(option[1])
        file.write_text("mine")
        done = vqclip("generate", "a", *small, "-q", *option)
        assert (done.code, done.out) == (2, "")
        assert f"{file} exists already; add --force to replace it" in done.err
        assert not Path("runs").exists()
        assert file.read_text() == "mine"
        assert vqclip("generate", "a", *small, "-q", *option, "--force").code == 0
        assert file.read_bytes() != b"mine"

    def test_that_appears_while_painting_stays(
        self, vqclip: Vqclip, small: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "vqclip.cli.display.report.PlainReport.step", lambda *_: Path("a.png").write_text("mine")
        )
        done = vqclip("generate", "a", *small, "-o", "a.png")
        assert done.code == 1
        assert re.search(r"a\.png exists by now, and stays; the result is in runs/\S+/image\.png", done.err)
        assert Path("a.png").read_text() == "mine"

    def test_a_link_is_written_through(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        Path("link.png").symlink_to("real/there.png")
        assert vqclip("generate", "a", *small, "-q", "-o", "link.png").lines == ["link.png"]
        assert Path("link.png").is_symlink()
        assert read_metadata(Path("real/there.png"))["config"]["prompts"] == ["a"]

    def test_a_film_makes_its_folder(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        words = ("story", "a^b", *small, "--frames", "1", "--frame-steps", "1", "--seed", "2", "-q")
        assert vqclip(*words, "-o", "new/{slug}-{seed}.gif").lines == ["new/a-b-2.gif"]
        assert vqclip(*words, "-o", "new/a-b-2.gif").code == 2


class TestWhatIsSaid:
    def test_a_file_that_beats_the_preset(self, vqclip: Vqclip) -> None:
        vqclip("config", "init", "my.yaml")
        done = vqclip("generate", "a", "-c", "my.yaml", "-p", "draft", "--plan")
        assert "my.yaml wins over --preset draft in " in done.err
        assert "nothing of the preset holds" in done.err
        Path("one.yaml").write_text("steps: 7\n")
        done = vqclip("config", "show", "-c", "one.yaml", "-p", "draft")
        assert "one.yaml wins over --preset draft in steps; the rest of the preset holds" in done.err
        Path("other.yaml").write_text("seed: 7\n")
        assert "wins" not in vqclip("config", "show", "-c", "other.yaml", "-p", "draft").err

    def test_a_story_of_one_scene(self, vqclip: Vqclip) -> None:
        assert "this is one scene, so it is a still" in vqclip("story", "a red apple", "--plan").err
        assert "one scene" not in vqclip("story", "a red apple ^ a tree", "--plan").err

    def test_a_plateau_says_its_step_and_why(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        plateau = ("--set", "plateau.patience=3", "--set", "plateau.improvement=0.9", "--steps", "40")
        done = vqclip(
            "generate", "a", *small, *plateau, "--set", "latent.stages=[{scale: 1, share: 1}]", "--json"
        )
        steps = json.loads(done.out)["steps"]
        assert steps < 40
        why = "the loss fell by less than 90.00% in 3 steps"
        assert f"plateau   stopped early at step {steps}: {why}" in done.err

    def test_verbose_says_files_and_times(
        self, vqclip: Vqclip, small: tuple[str, str], tiny_vqgan: Path
    ) -> None:
        done = vqclip("generate", "a", *small, "-v", "--seed", "3")
        assert re.search(rf"file +vqgan: .*{re.escape(str(tiny_vqgan))}", done.err)
        assert re.search(r"time +seed 3: \d+ ms a step", done.err)
        assert "file      " not in vqclip("generate", "a", *small).err

    def test_reproduce_says_what_generate_says(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        """The same topics in the same words."""
        made = vqclip("generate", "a", *small, "--seed", "3", "-o", "a.png")
        again = vqclip("reproduce", "a.png")
        for topic in ("prompt", "models", "device", "seed", "made"):
            (first,), (second,) = (
                re.findall(rf"^{topic} +(.*)$", done.err, re.MULTILINE) for done in (made, again)
            )
            assert re.sub(r"[\d.]+ s$", "", first) == re.sub(r"[\d.]+ s$", "", second)

    def test_loss_names_are_cut_on_the_right(self) -> None:
        assert cut("mini-clip-2: a lighthouse in a storm", 32) == "mini-clip-2: a lighthouse in a…"
        assert cut("tv", 32) == "tv"


class TestPlan:
    @pytest.mark.parametrize("words", [["--init", "no.png"], ["--image-prompt", "no.png"]])
    def test_refuses_a_missing_image(self, vqclip: Vqclip, words: list[str]) -> None:
        done = vqclip("generate", "a", "--plan", "-q", *words)
        assert (done.code, done.out, done.err) == (2, "", "vqclip: there is no image no.png\n")

    def test_draws_no_seed_that_is_not_used(self, vqclip: Vqclip) -> None:
        words = ("generate", "a", "--plan", "--json", "-q", "-n", "2")
        one, two = (json.loads(vqclip(*words, "-o", "{seed}.png").out) for _ in range(2))
        assert one == two
        assert one["seeds"] == "drawn when the work begins"
        assert one["outputs"] == ["<seed>.png"] * 2
        assert json.loads(vqclip(*words, "--seed", "apple").out)["seeds"] == [2008458005, 2008458006]

    def test_of_a_batch_names_models_and_fails_where_no_job_can_be_done(self, vqclip: Vqclip) -> None:
        Path("good.txt").write_text("a\nb -- --set steps=-1\n")
        good = vqclip("batch", "good.txt", "--plan")
        assert good.code == 0
        assert re.search("models +mini-vqgan, mini-clip-2", good.err)
        Path("bad.txt").write_text("a -- --set steps=-1\n")
        bad = vqclip("batch", "bad.txt", "--plan")
        assert (bad.code, bad.err) == (1, "vqclip: none of the 1 jobs can be done\n")


class TestExitCodes:
    @pytest.mark.parametrize("name", ["no.mp4", "no.png", "text.mp4", "text.png"])
    @pytest.mark.parametrize("command", ["show", "restyle"])
    def test_of_a_file_that_is_missing_or_none_is_2(self, vqclip: Vqclip, command: str, name: str) -> None:
        for suffix in ("mp4", "png"):
            Path(f"text.{suffix}").write_text("hello")
        done = vqclip(
            command, name, *(["a"] if command == "restyle" else []), *["--plan"] * (command == "restyle")
        )
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[-1].startswith("vqclip: ")

    def test_a_batch_without_images_names_no_sheet(self, vqclip: Vqclip) -> None:
        Path("jobs.txt").write_text("a -- --set steps=-1\n")
        done = vqclip("batch", "jobs.txt")
        assert done.code == 1
        (line,) = [line for line in done.err.splitlines() if line.startswith("batch ")]
        paths = line.rpartition("done: ")[2].split(", ")
        assert all(Path(path).is_file() for path in paths)


class TestWholeNames:
    @pytest.mark.parametrize(
        "words",
        [
            ["generate", "a", "--plan", "-q", "--init", "https://example.com/a.png"],
            ["restyle", "https://example.com/a.mp4", "a", "-q"],
            ["generate", "a", "-q", "-c", "https://example.com/a.yaml"],
            ["batch", "https://example.com/a.txt", "-q"],
        ],
    )
    def test_a_url_is_named_as_it_was_typed(self, vqclip: Vqclip, words: list[str]) -> None:
        done = vqclip(*words)
        assert done.code == 2
        assert "https://example.com/a." in done.err
        assert done.err.count("\n") == 1

    @pytest.mark.parametrize(
        ("setting", "fragment"),
        [
            ("vqgan=[1]", "vqgan: "), ("vqgan=null", "vqgan: null"), ("sketchbook={a: 1}", "sketchbook: "),
            ("losses.tv=much", "losses.tv: "),
        ],
    )  # fmt: skip
    def test_a_short_key_is_refused_under_its_own_name(
        self, vqclip: Vqclip, setting: str, fragment: str
    ) -> None:
        done = vqclip("generate", "a", "--set", setting)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert f"vqclip: {fragment}" in done.err

    def test_a_missing_video_is_said_before_ffmpeg_is_asked(self) -> None:
        with pytest.raises(Exception, match=r"there is no video no\.mp4"):
            VideoReader(Path("no.mp4"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--transparent", "-o", "a.jpg"], "a JPEG can't be transparent; name it a.png or a.webp"),
        (["an", "owl"], 'put what has spaces into quotes, as in "an owl"'),
        (["a", "--init", "a.png", "--extend", "left=123456"], "99999 at most is allowed"),
        (["a", "--drawer", ""], "drawer"),
        (["a", "--start", ""], "start"),
    ],
)
def test_what_would_be_lost_or_misread_is_refused(vqclip: Vqclip, words: list[str], said: str) -> None:
    Image.new("RGB", (16, 16)).save("a.png")
    done = vqclip("generate", *words)
    assert done.code == 2
    assert said in done.err
    assert not Path("runs").exists()


class TestPixels:
    """--pixels sizes the grid of the drawer pixel, which it implies."""

    def test_make_a_grid(self, vqclip: Vqclip) -> None:
        words = ("--pixels", "12x8", "-s", "48x32", "--steps", "0", "-o", "a.png", "--device", "cpu")
        assert vqclip("generate", "an owl", *words).code == 0
        with Image.open("a.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        assert np.array_equal(pixels[::4, ::4].repeat(4, 0).repeat(4, 1), pixels)

    @pytest.mark.parametrize(
        "words", [("--drawer", "pixel"), ("--style", "mosaic"), ("--set", "drawer=pixel")]
    )
    def test_go_with_their_drawer(self, words: tuple[str, str], vqclip: Vqclip) -> None:
        assert vqclip("generate", "an owl", "--pixels", "12x8", "--plan", *words).code == 0

    @pytest.mark.parametrize("words", [["--drawer", "fft"], ["--set", "drawer=fft"]])
    def test_are_refused_with_another_drawer(self, words: list[str], vqclip: Vqclip) -> None:
        done = vqclip("generate", "an owl", "--pixels", "12x8", "--plan", *words)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "pixels" in done.err
