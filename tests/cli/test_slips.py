"""Slips are told before any work, in one line that says what to type."""

import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Tiny, Vqclip
from PIL import Image
from typer.testing import CliRunner

from vqclip.base.errors import ConfigError, UsageError
from vqclip.base.files import check_target, is_image, is_writable
from vqclip.cli.app import app
from vqclip.cli.outputs import LARGEST_CONFIG
from vqclip.config import region
from vqclip.config import resolve as configs
from vqclip.config.conversion import build
from vqclip.jobs import batch_file
from vqclip.pipeline.inputs import read_inputs
from vqclip.requirements.inputs import input_files


def save(name: str, size: tuple[int, int] = (24, 16)) -> str:
    Image.new("RGB", size, "red").save(name, "PNG")
    return name


class TestPrecision:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("fp32", "float32"), ("single", "float32"), ("fp16", "float16"), ("half", "float16"),
            ("bf16", "bfloat16"), ("FP16", "float16"), ("tf32", "tf32"), ("auto", "auto"),
        ],
    )  # fmt: skip
    def test_is_kept_by_its_full_name(self, given: str, kept: str) -> None:
        assert configs.resolve({"precision": given}).precision == kept
        assert configs.resolve(settings=[f"precision={given}"]).precision == kept

    def test_of_another_name_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="precision: 'fp8' is none of auto, float32"):
            configs.resolve({"precision": "fp8"})


class TestPromptFiles:
    def test_an_image_by_content_is_refused_whatever_its_name(self) -> None:
        for name in ("a.png", "b.txt", "c.csv"):
            with pytest.raises(ConfigError, match="this is an image, and batch takes a file of prompts"):
                batch_file.read(Path(save(name)))

    def test_a_text_with_an_images_ending_is_refused(self) -> None:
        Path("jobs.png").write_text("a red apple\n")
        with pytest.raises(ConfigError, match=r"\.png is an image's ending.*name it jobs.txt"):
            batch_file.read(Path("jobs.png"))

    def test_a_text_that_begins_like_an_image_is_read(self) -> None:
        Path("jobs.txt").write_text("BM is no image\nRIFF neither\n")
        assert [entry.title for entry in batch_file.read(Path("jobs.txt"))] == [
            "BM is no image",
            "RIFF neither",
        ]

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
    def test_every_kind_of_image_is_known(self, kind: str) -> None:
        Image.new("RGB", (9, 9)).save("image", kind)
        assert is_image(Path("image"))


class TestNamedFiles:
    NAMING = (
        {"init": "x.png"},
        {"init": "there.png", "mask": {"file": "x.png"}},
        {"overlay": {"file": "x.png", "every": 2}},
        {"palette": "[x.png]"},
        {"filters": [{"kind": "clut", "file": "x.png"}]},
        {"filters": ["lookup:[x.png]"]},
        {"losses": {"palette": {"colours": ["[x.png]"]}}},
        {"losses": {"style": {"image": "x.png", "network": "y.pth"}}},
        {"losses": {"near_images": {"targets": ["x.png"]}}},
        {"prompts": ["a", "[x.png]"]},
        {"prompts": ["a @ [x.png]"]},
        {"prompts": ["a", "[x.npz]"]},
        {"source": {"video": "x.mp4"}},
    )

    @pytest.mark.parametrize("given", NAMING, ids=map(str, NAMING))
    def test_each_is_listed_and_read_before_any_model(self, given: dict[str, Any], tiny: Tiny) -> None:
        save("there.png")
        config = tiny(**given)
        assert any(file.startswith("x.") for file in input_files(config))
        with pytest.raises((UsageError, ConfigError), match=r"x\.(png|npz|mp4)"):
            read_inputs(config)

    def test_plan_refuses_a_missing_one(self, vqclip: Vqclip) -> None:
        done = vqclip("generate", "an owl", "--palette", "[nowhere.png]", "--plan", "-q")
        assert (done.code, done.out) == (2, "")
        assert "there is no image nowhere.png" in done.err

    def test_plan_of_a_batch_names_the_job_that_lacks_one(self, vqclip: Vqclip) -> None:
        Path("jobs.txt").write_text("an owl\nan owl -- --init nowhere.png\n")
        done = vqclip("batch", "jobs.txt", "--plan", "--json", "-q")
        first, second = map(json.loads, done.lines)
        assert (done.code, first["status"], second["status"]) == (0, "open", "failed")
        assert second["error"] == "there is no file nowhere.png"


@dataclass(frozen=True, kw_only=True)
class TwoFiles:
    """A section with two keys that have no default."""

    image: str
    network: str


class TestMissingKeys:
    def test_are_all_named_with_what_to_type(self) -> None:
        with pytest.raises(ConfigError) as caught:
            build(TwoFiles, {}, "losses.two.")
        assert str(caught.value) == (
            "losses.two lacks image and network; add --set losses.two.image=IMAGE "
            "--set losses.two.network=NETWORK"
        )

    @pytest.mark.parametrize(
        ("loss", "key"),
        [("style", "image"), ("head", "file"), ("palette", "colours"), ("near_images", "targets")],
    )
    def test_of_a_loss_are_named_on_the_command_line(self, vqclip: Vqclip, loss: str, key: str) -> None:
        done = vqclip("generate", "an owl", "--loss", loss, "--plan")
        assert done.code == 2
        assert f"losses.{loss} lacks {key}; add --set losses.{loss}.{key}={key.upper()}" in done.err

    def test_of_an_item_of_a_list_are_named(self) -> None:
        with pytest.raises(
            ConfigError, match=r"filters\[0\] lacks file; write keys .* as in {…, file: FILE}"
        ):
            configs.resolve({"filters": "clut"})


class TestVideosAndFolders:
    def test_reproduce_says_what_it_takes(self, vqclip: Vqclip) -> None:
        Path("film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
        done = vqclip("reproduce", "film.mp4")
        assert done.code == 2
        assert "film.mp4 is a video, and reproduce takes an image" in done.err
        assert "vqclip reproduce RUN/frames/000000.png" in done.err

    def test_reproduce_names_the_frame_beside_a_film(self, vqclip: Vqclip) -> None:
        Path("run/frames").mkdir(parents=True)
        save("run/frames/000000.png")
        Path("run/film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
        assert "type: vqclip reproduce run/frames/000000.png" in vqclip("reproduce", "run/film.mp4").err
        assert "type: vqclip reproduce run/frames/000000.png" in vqclip("reproduce", "run").err


class TestUnreadableFiles:
    def test_sheet_does_the_rest_and_exits_with_1(self, vqclip: Vqclip) -> None:
        Path("bad.png").write_text("no image")
        done = vqclip("sheet", save("a.png"), "bad.png", "-o", "sheet.png")
        assert (done.code, done.lines) == (1, ["sheet.png"])
        assert done.err.count("bad.png") == 1

    def test_classify_and_embed_do_the_rest_and_exit_with_1(self, vqclip: Vqclip, tiny_clip: Path) -> None:
        Path("bad.png").write_text("no image")
        images = [save("a.png"), "bad.png"]
        done = vqclip("classify", *images, "--labels", "cat,dog", "--model", tiny_clip, "--json", "-q")
        assert (done.code, [json.loads(line)["image"] for line in done.lines]) == (1, ["a.png"])
        done = vqclip("embed", *images, "--model", tiny_clip, "-o", "v.npz", "-q")
        assert (done.code, done.lines) == (1, ["v.npz"])

    def test_several_inits_do_the_rest_and_exit_with_1(self, vqclip: Vqclip) -> None:
        Path("photos").mkdir()
        save("photos/a.png")
        Path("photos/b.png").write_text("no image")
        done = vqclip("generate", "an owl", "--init", "photos/*.png", "--plan", "--json", "-q")
        assert (done.code, len(done.lines)) == (1, 1)
        assert "photos/b.png is not an image" in done.err


class TestOutputs:
    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
    def test_a_folder_that_takes_no_files_is_found_before_rendering(self, vqclip: Vqclip) -> None:
        done = vqclip("generate", "an owl", "-o", "/proc/owl.png")
        assert done.code == 2
        assert "the folder /proc can't be written to; name another" in done.err
        assert vqclip("generate", "an owl", "--runs", "/proc/runs", "-q").code == 4

    def test_trying_leaves_no_file(self, tmp_path: Path) -> None:
        check_target(tmp_path / "deep" / "owl.png", "owl.png")
        assert is_writable(tmp_path)
        assert os.listdir(tmp_path) == []

    def test_a_config_too_long_for_a_jpeg_is_refused_before_rendering(self, vqclip: Vqclip) -> None:
        line = "an owl " * (LARGEST_CONFIG // 14 + 100)
        done = vqclip("generate", line, "-o", "owl.jpg", "--plan")
        assert done.code == 2
        assert re.search(r"too long for a JPEG \(\d+ bytes\); name it owl.png or owl.webp", done.err)
        assert vqclip("generate", line, "-o", "owl.webp", "--plan", "-q").code == 0


class TestRegions:
    def test_a_name_that_is_nearly_a_region_is_told(self) -> None:
        assert region.misspelt("an apple @ lft") == (
            "@ lft is read as text, as it names no region; did you mean left?"
        )
        assert "did you mean edges?" in region.misspelt("fog @ not edgs ")
        for text in ("an apple @ home", "an apple @lft", "an apple @ the lft side", "an apple"):
            assert region.misspelt(text) == ""

    def test_a_weight_before_the_region_is_told(self) -> None:
        for line in ("fog:0.3 @ left", "a lake | fog: .5 @ not [m.png]:2", "fog:-1 @ 0,0,1,0.5 | a lake"):
            assert "a weight follows the region, as in @ " in region.misplaced(line)
        for line in (
            "fog @ left:0.3",
            '"a sign: 5" @ left',
            "a lake:2 | fog @ left",
            "at 5 @ left",
            "a: b @ left",
        ):
            assert region.misplaced(line) == ""

    def test_the_command_tells_of_a_weight_before_the_region(self, vqclip: Vqclip) -> None:
        done = vqclip("generate", "a plum:0.3 @ right", "--plan")
        assert done.code == 0
        assert ":0.3 before the @ is read as text" in done.err

    def test_the_command_says_so_and_goes_on(self, vqclip: Vqclip) -> None:
        done = vqclip("generate", "a plum @ rihgt", "--plan")
        assert done.code == 0
        assert "did you mean right?" in done.err


class TestDirections:
    def test_a_weight_of_nothing_is_refused(self) -> None:
        for prompts in (["an apple:0"], ["an apple:0", "a pear:0"]):
            with pytest.raises(
                ConfigError, match="'an apple' weighs 0, so there is nothing to optimise towards"
            ):
                configs.resolve({"prompts": prompts})

    def test_what_gives_a_direction_is_read(self) -> None:
        save("a.png")
        for given in (
            {"prompts": ["an apple:0", "a pear"]}, {"prompts": ["an apple:{0 -> 1}"]},
            {"prompts": ["an apple:0"], "losses": {"symmetry": 1}}, {"prompts": ["an apple:0"], "init": "a.png"},
            {"prompts": ["an apple:0"], "steps": 0},
        ):  # fmt: skip
            configs.resolve(given)

    def test_a_config_that_was_rendered_is_still_read(self) -> None:
        values = configs.to_dict(configs.resolve({"prompts": ["an apple"], "seed": 1}))
        assert configs.from_dict(values | {"prompts": ["an apple:0"]}).prompts == ["an apple:0"]


class TestScaling:
    def test_a_size_that_scales_what_is_kept_is_told(self, vqclip: Vqclip) -> None:
        words = ("generate", "an owl", "--init", save("a.png"), "--extend", "left=8", "--plan")
        assert "scales" not in vqclip(*words).err
        assert "scales" not in vqclip(*words, "--size", "32x16").err
        done = vqclip(*words, "--size", "64x64")
        assert done.code == 0
        assert "--size 64x64 scales the init image from 24x16 to 56x64; leave --size out" in done.err


class TestPlainWords:
    CASES = (
        ("generate an_owl -c x.png --plan", "x.png is an image; name a file of YAML"),
        ("generate an_owl -c text.yaml --plan", "text.yaml holds a text, and a config is keys with values"),
        ("generate an_owl -c list.yaml --plan", "list.yaml holds a list, and a config is keys with values"),
        ("config import empty.txt", "it holds nothing; settings are names with values"),
        ("config import x.png", "x.png is an image; name a file of settings"),
        ("batch text.yaml --plan", "this holds a text; it takes defaults, jobs, matrix"),
    )

    @pytest.mark.parametrize(("words", "said"), CASES)
    def test_say_what_a_file_holds(self, vqclip: Vqclip, words: str, said: str) -> None:
        save("x.png")
        Path("empty.txt").touch()
        Path("text.yaml").write_text("a text")
        Path("list.yaml").write_text("[1, 2]")
        done = vqclip(*words.split())
        assert done.code == 2
        assert said in done.err
        assert not re.search(r"NoneType|\bstr\b|\bdict\b|codec|mapping", done.err)


class TestHelp:
    @pytest.fixture(autouse=True)
    def shows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def shown(command: str, width: int) -> list[str]:
            monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", width)
            return CliRunner().invoke(app, [command, "-h"], terminal_width=width).output.splitlines()

        self.shown = shown

    @pytest.mark.parametrize("command", ["generate", "story", "zoom", "restyle", "vary"])
    def test_fits_60_lines_of_100_columns(self, command: str) -> None:
        lines = self.shown(command, 100)
        assert len(lines) <= 60
        assert max(map(len, lines)) == 100

    @pytest.mark.parametrize("command", ["batch", "search", "rank", "restyle"])
    def test_wraps_at_the_last_word_that_fits(self, command: str) -> None:
        lines = [line.strip() for line in self.shown(command, 80)]
        text = lines[3 : next(i for i, line in enumerate(lines) if line.startswith("╭"))]
        for line, following in itertools.pairwise(text):
            if line and following:
                assert len(f" {line} {following.split()[0]}") > 79

    def test_of_vary_says_what_it_starts_from(self) -> None:
        text = " ".join(" ".join(self.shown("vary", 100)).replace("│", " ").split())
        assert "transformer… [default: noise]" in text
        assert "[default: the image]" in text


def test_a_batch_keeps_earlier_images_in_its_manifest(vqclip: Vqclip, tiny: Tiny) -> None:
    values = configs.to_dict(tiny(steps=1))
    del values["prompts"], values["seed"]
    Path("tiny.yaml").write_text(yaml.safe_dump(values))
    Path("jobs.txt").write_text("a pear -- --seed 1\n")
    small = ("batch", "jobs.txt", "-c", "tiny.yaml", "--devices", "cpu", "--workers", "1", "-q")
    first, second = vqclip(*small), vqclip(*small, "--set", "steps=2")
    assert (first.code, second.code) == (0, 0), second.err
    lines = [json.loads(line) for line in Path("runs/jobs/manifest.jsonl").read_text().splitlines()]
    assert [line["image"] for line in lines] == [*second.lines, *first.lines]
    assert vqclip(*small, "--set", "steps=2").lines == second.lines
    again = [json.loads(line) for line in Path("runs/jobs/manifest.jsonl").read_text().splitlines()]
    assert [line["image"] for line in again] == [*second.lines, *first.lines]
    assert all(Path(line["image"]).is_file() for line in again)
