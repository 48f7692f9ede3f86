"""The command line: results on stdout, progress output on stderr, one line and an exit code for each error."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Tiny, Vqclip
from PIL import Image

from vqclip import __version__
from vqclip.base.paths import CONFIGS
from vqclip.config import resolve as configs
from vqclip.media.image import read_metadata, save_png
from vqclip.pipeline.events import Stepped


@pytest.fixture
def small(tiny: Tiny, tmp_path: Path) -> tuple[str, str]:
    """-c FILE of a tiny config."""
    values = configs.to_dict(tiny(steps=2))
    del values["prompts"], values["seed"]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return "-c", str(tmp_path / "tiny.yaml")


def left_behind() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


class TestGenerate:
    def test_prints_one_path_and_nothing_else(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        done = vqclip("generate", "a red apple", *small, "--seed", "7")
        assert done.code == 0
        (path,) = done.lines
        assert re.fullmatch(r"runs/\d{8}-\d{6}-a-red-apple-[0-9a-f]{12}/image\.png", path)
        with Image.open(path) as image:
            assert image.size == (16, 16)
        for spoken in (
            "a red apple · text, weight 1",
            "seed      7",
            "device    cpu",
            "run       runs/",
            "2/2  loss",
        ):
            assert spoken in done.err
        assert {Path(file).parent for file in left_behind()} == {Path(path).parent}

    def test_the_same_command_paints_the_same_bytes(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        one, two = (vqclip("generate", "a", *small, "--seed", "7", "-q").lines[0] for _ in range(2))
        assert one != two
        assert Path(one).read_bytes() == Path(two).read_bytes()

    def test_json_is_one_object_a_picture(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        done = vqclip("generate", "a été|b:-1", *small, "--seed", "7", "--json", "--count", "2")
        records = [json.loads(line) for line in done.lines]
        assert [record["seed"] for record in records] == [7, 8]
        for record in records:
            assert list(record) == ["image", "run", "seed", "prompt", "steps", "seconds", "losses"]
            assert (record["prompt"], record["steps"], len(record["losses"])) == ("a été|b:-1", 2, 2)
            assert Path(record["image"]).parent == Path(record["run"])

    def test_quiet_says_nothing(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        done = vqclip("generate", "a", *small, "-q")
        assert (done.code, done.err, len(done.lines)) == (0, "", 1)

    def test_output_is_named_as_asked_and_by_seed_where_there_are_several(
        self, vqclip: Vqclip, small: tuple[str, str]
    ) -> None:
        Path("pictures").mkdir()
        assert vqclip("generate", "a", *small, "-q", "-o", "a.PNG").lines == ["a.PNG"]
        done = vqclip("generate", "a", *small, "-q", "--seed", "9", "--count", "3", "-o", "pictures/b.png")
        assert done.lines == [f"pictures/b-{seed}.png" for seed in (9, 10, 11)]
        assert all(Path(line).is_file() for line in done.lines)
        assert len({Path(line).read_bytes() for line in done.lines}) == 3

    def test_flags_win_over_set_over_file_over_preset(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        flags = ["--preset", "fine", *small, "--set", "steps=3", "--set", "size=8x8", "--size", "12x10"]
        (record,) = map(json.loads, vqclip("generate", "a", *flags, "--json", "-q").lines)
        config = yaml.safe_load((Path(record["run"]) / "config.yaml").read_text())
        assert (config["size"], config["steps"], config["cutouts"]["count"]) == ("12x10", 3, 4)

    def test_begins_with_init_and_follows_image_prompts(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        for name in ("init.jpg", "a:b [1].png"):
            Image.effect_noise((20, 9), 60).save(name)
        done = vqclip(
            "generate", "a", *small, "--init", "init.jpg", "--image-prompt", "a:b [1].png:0.5", "--json"
        )
        assert "[a:b [1].png] · image, weight 0.5" in done.err
        assert len(json.loads(done.out)["losses"]) == 2

    def test_plan_loads_and_writes_nothing(
        self, vqclip: Vqclip, small: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            pytest.fail("weights were read")

        for function in (
            "torch.load",
            "safetensors.torch.load_file",
            "vqclip.models.vqgan_loading.read_checkpoint",
        ):
            monkeypatch.setattr(function, refuse)
        words = ["generate", "a", *small, "--size", "17x15", "--seed", "3", "--count", "2", "--plan"]
        plan = json.loads(vqclip(*words, "--json").out)
        assert plan["seeds"] == [3, 4]
        assert plan["size"] == "17x15"
        assert [re.sub(".*(present|missing).*", r"\1", model) for model in plan["models"]] == ["present"] * 2
        assert plan["stages"] == [
            "steps 1 to 1: latent 5x4, decoded at 10x8",
            "steps 2 to 2: latent 9x8, decoded at 18x16",
        ]
        assert re.fullmatch(r"about \d+\.\d\d GiB", plan["memory"])
        assert len(plan["outputs"]) == 2
        assert "latent 9x8" in vqclip(*words).out
        assert left_behind() == []

    def test_plan_says_which_models_are_missing(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        done = vqclip(
            "generate", "a", *small, "--set", "perceptors=[{model: ViT-B-32/openai}]", "--plan", "--json"
        )
        (line,) = [line for line in json.loads(done.out)["models"] if line.startswith("perceptor 1: ")]
        assert (
            line == "perceptor 1: ViT-B-32/openai, missing, 354 MB; type: vqclip models pull ViT-B-32/openai"
        )

    def test_plan_lists_every_model_by_its_role(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        words = ["generate", "a", *small, "--set", "start=sketch", "--count", "2", "--best", "1", "--plan"]
        models = json.loads(vqclip(*words, "--judge", "RN50/openai", "--json").out)["models"]
        roles = [line.partition(":")[0] for line in models]
        assert roles == ["vqgan", "perceptor 1", "sketchbook", "sketch reader", "judge"]
        assert [", present, " in line for line in models] == [True, True, True, True, False]


class TestResume:
    def test_goes_on_after_an_interruption(
        self, vqclip: Vqclip, small: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C in the middle keeps the work, says how to go on, and the end is the same picture."""
        words = ["generate", "a", *small, "--seed", "5", "--steps", "8"]
        whole = vqclip(*words, "-q").lines[0]
        with monkeypatch.context() as patch:
            patch.setattr("vqclip.cli.display.report.PlainReport.step", interrupt_at(3))
            stopped = vqclip(*words)
        assert (stopped.code, stopped.out) == (130, "")
        (run,) = re.findall(r"stopped at step 3 of 8; go on with: vqclip resume (\S+)", stopped.err)
        resumed = vqclip("resume", run, "-q")
        assert resumed.lines == [f"{run}/image.png"]
        assert Path(resumed.lines[0]).read_bytes() == Path(whole).read_bytes()

    def test_of_a_finished_run_paints_nothing(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        path = Path(vqclip("generate", "a", *small, "-q").lines[0])
        before = path.stat().st_mtime_ns
        done = vqclip("resume", str(path.parent))
        assert (done.code, done.lines) == (0, [str(path)])
        assert "made      already" in done.err
        assert path.stat().st_mtime_ns == before

    def test_finds_relative_pictures_from_another_working_folder(
        self, vqclip: Vqclip, small: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Image.effect_noise((20, 9), 60).save("init.png")
        with monkeypatch.context() as patch:
            patch.setattr("vqclip.cli.display.report.PlainReport.step", interrupt_at(1))
            vqclip("generate", "a", *small, "--init", "init.png")
        (run,) = Path("runs").absolute().iterdir()
        monkeypatch.chdir(tmp_path)
        assert vqclip("resume", str(run), "-q").lines == [f"{run}/image.png"]

    @pytest.mark.parametrize("folder", ["nowhere", "."])
    def test_refuses_what_is_no_run(self, vqclip: Vqclip, folder: str) -> None:
        done = vqclip("resume", folder)
        assert (done.code, done.out) == (4, "")
        assert "is no run folder" in done.err
        assert done.err.count("\n") == 1


def interrupt_at(index: int) -> Any:
    def step(_: Any, event: Stepped) -> None:
        if event.step.index == index:
            os.kill(os.getpid(), signal.SIGINT)

    return step


class TestReproduceAndDiff:
    def test_reproduce_paints_the_same_and_says_what_differs(
        self, vqclip: Vqclip, small: tuple[str, str]
    ) -> None:
        (path,) = vqclip("generate", "a", *small, "-q", "-o", "a.png").lines
        metadata = read_metadata(Path(path))
        metadata["versions"]["torch"] = "0.1"
        metadata["weights"] = dict.fromkeys(metadata["weights"], "0" * 64)
        with Image.open(path) as image:
            save_png(image, Path("b.png"), metadata)
        done = vqclip("reproduce", "b.png", "-o", "c.png", "--json")
        assert (done.code, json.loads(done.out)["same"]) == (0, True)
        assert re.search(r"differs +versions\.torch: 0\.1 then, \S+ now", done.err)
        assert len(re.findall(r"differs +weights\.\S+: 0{64} then, [0-9a-f]{64} now", done.err)) == 2
        assert "pixels    the same" in done.err
        assert Path("c.png").read_bytes() == Path("a.png").read_bytes()

    def test_reproduce_of_an_older_picture_tells_only_real_differences(
        self, vqclip: Vqclip, small: tuple[str, str]
    ) -> None:
        """Older versions didn't record the CLIP that reads for a sketch, and recorded sketchbooks that weren't used."""
        words = ["generate", "a", *small, "--set", "start=sketch", "-q", "--seed", "1"]
        (path,) = vqclip(*words).lines
        metadata = read_metadata(Path(path))
        assert "mini-clip-2" in metadata["weights"]
        metadata["weights"] = {"unused": "0" * 64} | metadata["weights"]
        del metadata["weights"]["mini-clip-2"]
        with Image.open(path) as image:
            save_png(image, Path("b.png"), metadata)
        assert "differs" not in vqclip("reproduce", "b.png").err
        assert vqclip("diff", path, "b.png").lines == []

    def test_reproduce_says_how_many_pixels_differ(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        (path,) = vqclip("generate", "a", *small, "-q").lines
        save_png(Image.new("RGB", (16, 16)), Path("b.png"), read_metadata(Path(path)))
        assert re.search(r"pixels +[\d.]+% differ, by \d+ of 255 at most", vqclip("reproduce", "b.png").err)

    def test_diff_shows_what_differs_and_nothing_else(self, vqclip: Vqclip, small: tuple[str, str]) -> None:
        for name, seed, words in (("a.png", "1", ["--set", "cutouts.count=3"]), ("b.png", "2", [])):
            vqclip("generate", "a", *small, "-q", "--seed", seed, "-o", name, *words)
        done = vqclip("diff", "a.png", "b.png")
        assert [line.split() for line in done.lines] == [
            ["a.png", "b.png"], ["seed", "1", "2"], ["cutouts.count", "3", "4"],
        ]  # fmt: skip
        assert json.loads(vqclip("diff", "a.png", "b.png", "--json").out) == {
            "seed": [1, 2],
            "cutouts.count": [3, 4],
        }
        assert vqclip("diff", "a.png", "a.png").lines == []


class TestBest:
    def test_keeps_those_that_the_judge_ranks_highest(
        self, vqclip: Vqclip, small: tuple[str, str], other_clip: Path
    ) -> None:
        words = ["generate", "a", *small, "--seed", "1", "--count", "3", "--judge", str(other_clip), "--json"]
        every = [json.loads(line) for line in vqclip(*words, "--best", "3").lines]
        scores = [record["score"] for record in every]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > 1
        done = vqclip(*words, "--best", "1", "-o", "a.png")
        (best,) = map(json.loads, done.lines)
        assert (best["image"], best["score"], best["seed"]) == ("a.png", scores[0], every[0]["seed"])
        assert done.err.count("not kept") == 2
        assert Path("a.png").is_file()

    @pytest.mark.parametrize(
        ("words", "fragment"),
        [
            (["--best", "2"], "--best 2 of --count 1 is impossible"),
            (["--judge", "x"], "--judge ranks for --best"),
        ],
    )
    def test_refuses_what_is_no_choice(self, vqclip: Vqclip, words: list[str], fragment: str) -> None:
        done = vqclip("generate", "a", *words)
        assert (done.code, done.out) == (2, "")
        assert fragment in done.err


class TestShowAndConfig:
    def test_show_prints_the_config_that_paints_the_picture_again(
        self, vqclip: Vqclip, small: tuple[str, str], tmp_path: Path
    ) -> None:
        image = vqclip("generate", 'été: "x" [y]', *small, "-q", "-o", "a.png").lines[0]
        shown = vqclip("show", image)
        assert f"vqclip {__version__}" in shown.err
        (tmp_path / "again.yaml").write_text(shown.out)
        config = configs.resolve(file=tmp_path / "again.yaml")
        assert vqclip("show", image, "--json").out.startswith('{"config":')
        assert json.loads(vqclip("show", image, "--json").out)["config"] == configs.to_dict(config)

    def test_config_show_resolves(self, vqclip: Vqclip, tmp_path: Path) -> None:
        done = vqclip("config", "show", "--preset", "draft", "--set", "seed=3", "--set", "steps=9")
        assert done.code == 0
        assert yaml.safe_load(done.out) == configs.to_dict(configs.resolve({"seed": 3, "steps": 9}, "draft"))

    def test_config_init_writes_the_commented_default_once(self, vqclip: Vqclip) -> None:
        assert vqclip("config", "init", "my.yaml").lines == ["my.yaml"]
        assert Path("my.yaml").read_text() == (CONFIGS / "default.yaml").read_text()
        again = vqclip("config", "init", "my.yaml")
        assert (again.code, again.out) == (2, "")
        assert "exists already" in again.err

    def test_version(self, vqclip: Vqclip) -> None:
        assert vqclip("--version").out == f"vqclip {__version__}\n"


def truncated_png(path: Path) -> None:
    Image.effect_noise((64, 64), 60).save(path)
    path.write_bytes(path.read_bytes()[:-500])


# What lies in the working folder when the commands below are refused.
FURNITURE: dict[str, Callable[[Path], object]] = {
    "cut.png": truncated_png,
    "text.png": lambda path: path.write_text("hello"),
    "afile": lambda path: path.touch(),
    "list.yaml": lambda path: path.write_text("- a\n- b\n"),
    "bad.yaml": lambda path: path.write_text("a: ["),
    "folder.png": lambda path: path.mkdir(),
    "hostile.yaml": lambda path: path.write_text("prompts: !!python/object/apply:os.system ['touch hacked']"),
    "empty.ckpt": lambda path: path.touch(),
}

REFUSALS = [
    (["a", "--set", "stpes=3"], 2, "there is no key 'stpes' in a config; did you mean steps"),
    (["a", "--set", "cutouts.cuont=3"], 2, "did you mean cutouts.count"),
    (["a", "--set", "steps=many"], 2, "steps: "),
    (["a", "--set", "steps"], 2, "is no KEY=VALUE"),
    (["a", "--steps", "many"], 2, "--steps: 'many' is no whole number; write one as in 7"),
    (["a", "--steps", "-1"], 2, "steps: -1 is out of range"),
    (["a", "--size", "0x0"], 2, "'0x0' is impossible"),
    (["a", "--size", "big"], 2, "'big' is no size; write width x height"),
    (["a", "--seed", "-1"], 2, "seed: -1 is out of range"),
    (["a", "--seed", "1.5"], 2, "seed: '1.5' is no whole number; write one as in 7, or words"),
    (["a", "--count", "0"], 2, "--count: 0 is too small; 1 or more is allowed"),
    (["a", "--preset", "drat"], 2, "did you mean draft?"),
    (["a", "--batch-size", "65"], 2, "--batch-size: 65 is too large; 64 at most is allowed"),
    (["a", "--video", "--video-seconds", "x"], 2, "--video-seconds: 'x' is no number; write one as in 0.5"),
    (["a", "--sizes", "3x3"], 2, "--sizes"),
    (["a", "b"], 2, "too many words"),
    ([], 2, "Missing argument 'PROMPT'"),
    ([""], 2, "is empty"),
    (["a:nan"], 2, "'nan' is no weight"),
    (["a^b"], 2, "separates the scenes of a story"),
    (["a", "-c", "nowhere.yaml"], 2, "nowhere.yaml can't be read: no such file"),
    (["a", "-c", "list.yaml"], 2, "holds a list"),
    (["a", "-c", "bad.yaml"], 2, "is not YAML"),
    (["a", "-c", "hostile.yaml"], 2, "is not YAML"),
    (["a", "-c", "folder.png"], 2, "can't be read: is a directory"),
    (["a", "-o", "a.bmp"], 2, "name it a.png"),
    (["a", "-o", "afile/a.png"], 2, "afile is a file; name a folder"),
    (["a", "-o", "cut.png"], 2, "cut.png exists already; add --force"),
    (["a", "-o", "{sed}.png"], 2, "{sed} is none of seed, slug; did you mean seed?"),
    (["a", "-o", "folder.png"], 2, "is a folder; name a file in it"),
    (["a", "--device", "cuda:7"], 2, "this machine hasn't got it"),
    (["a", "--device", "toaster"], 2, "is no device; write auto, cpu"),
    (["a", "--runs", "afile"], 4, "afile is a file; name a folder"),
    (["a", "--runs", "afile/deeper"], 4, "afile is a file; name a folder"),
    (["a", "--init", "nowhere.png"], 2, "there is no image nowhere.png"),
    (["a", "--init", "cut.png"], 2, "cut.png can't be read"),
    (["a", "--init", "text.png"], 2, "text.png is not an image"),
    (["a", "--init", "folder.png"], 2, "folder.png can't be read: is a directory"),
    (["a", "--image-prompt", "nowhere.png:2"], 2, "there is no image nowhere.png"),
    (["a", "--image-prompt", ":2"], 2, "is empty"),
    (["a|[text.png]"], 2, "text.png is not an image"),
    (["a", "--set", "vqgan=mini-vqgna"], 3, "did you mean mini-vqgan?"),
    (["a", "--set", "vqgan=empty.ckpt"], 3, "empty.ckpt is no checkpoint"),
    (["a", "--set", "perceptors=[{model: mini-clop}]"], 3, "did you mean mini-clip or mini-clip-2"),
    (["a", "--set", "perceptors=[{model: ViT-B-32/opnai}]"], 3, "did you mean ViT-B-32/openai"),
    (
        ["a", "--set", "perceptors=[{model: ViT-B-32/openai}]"],
        3,
        "add --pull, or type: vqclip models pull ViT-B-32/openai",
    ),
]


@pytest.mark.parametrize(
    ("words", "code", "fragment"), REFUSALS, ids=[" ".join(words) for words, _, _ in REFUSALS]
)
def test_is_refused_in_one_line_and_leaves_nothing(
    vqclip: Vqclip, small: tuple[str, str], words: list[str], code: int, fragment: str
) -> None:
    for name, make in FURNITURE.items():
        make(Path(name))
    before = left_behind()
    done = vqclip("generate", *([] if "-c" in words else small), "-q", *words)
    assert fragment in done.err
    assert (done.code, done.out) == (code, "")
    assert re.fullmatch(r"vqclip: [^\n]+\n", done.err)
    assert left_behind() == before
    assert not Path("runs").exists()


@pytest.mark.parametrize("words", [["--runs", "."], ["-o", "a.png"]])
def test_a_folder_that_may_not_be_written_to_is_refused_before_any_work(
    vqclip: Vqclip, small: tuple[str, str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)  # root may write anywhere
    done = vqclip("generate", "a", *small, "-q", *words)
    assert done.code in (2, 4)
    assert "can't be written to; name another" in done.err
    assert done.err.count("\n") == 1
    assert left_behind() == []


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (["show", "nowhere.png"], 2, "there is no image"),
        (["show", "text.png"], 2, "is not an image"),
        (["config", "show", "--preset", "x"], 2, "there is no preset 'x'"),
        (["config", "init", "nowhere/my.yaml"], 2, "can't be written: no such file"),
        (["paint", "a"], 2, "No such command 'paint'"),
    ],
)
def test_other_commands_refuse_in_one_line(
    vqclip: Vqclip, words: list[str], code: int, fragment: str
) -> None:
    Path("text.png").write_text("hello")
    done = vqclip(*words)
    assert fragment in done.err
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)


def test_the_unforeseen_is_one_line_and_a_traceback_only_on_request(
    vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("vqclip.config.resolve.resolve", fail)
    done = vqclip("config", "show")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "unexpected ZeroDivisionError: two lines" in done.err
    assert "Traceback" in vqclip("--debug", "config", "show").err


def test_ctrl_c_before_painting_is_130(vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vqclip.config.resolve.resolve", interrupt)
    assert vqclip("config", "show").code == 130
