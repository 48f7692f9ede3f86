"""The edges of the system: letters that can't be spelled, no home, no folder, a full disk, devices, long names."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Tiny, Vqclip

from vqclip.base.errors import ConfigError, PromptError, SaveError, UsageError, WeightsError
from vqclip.base.files import LONGEST_NAME, check_target, write_text
from vqclip.base.paths import expand, home
from vqclip.cli.display.console import result, result_json, say
from vqclip.config import resolve as configs
from vqclip.jobs import batch
from vqclip.models.vqgan_loading import find_vqgan
from vqclip.runs.job import slug
from vqclip.weights import catalog, store

HOSTILE = "a \x1b[31mred\x07 \x9b2J\u202eapple\u2028"


def command(*words: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The console script in a process of its own."""
    start = [sys.executable, "-c", "from vqclip.cli.app import main; main()"]
    package = str(Path(configs.__file__).parents[1])
    return subprocess.run(
        [*start, *words], capture_output=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": package, **environment},
    )  # fmt: skip


class TestText:
    @pytest.mark.parametrize(
        ("key", "place"),
        [
            ("prompts", "prompts"), ("init", "init"), ("size", "size"),
            ("vqgan", "vqgan"), ("sketchbook", "sketchbook"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("text", ["caf\udce9", "a\ud800", "a\0b"])
    def test_that_no_file_could_hold_is_refused_before_painting(
        self, key: str, place: str, text: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            configs.resolve({key: text, "seed": 1})
        assert str(caught.value).startswith(place)
        str(caught.value).encode()

    def test_of_an_argument_that_is_no_utf_8_is_one_line(self) -> None:
        done = command("generate", b"a caf\xe9")
        assert done.returncode == 2
        assert b"is no text in UTF-8" in done.stderr
        assert done.stderr.count(b"\n") == 1

    @pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
    def test_that_stdout_cannot_spell_is_spelled_out(self, encoding: str) -> None:
        Path("jobs.txt").write_text("苹果 apple -- --seed 1\n", encoding="utf-8")
        done = command("batch", "jobs.txt", "--plan", PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        spelled = "苹果".encode(encoding, "backslashreplace")
        assert b"0001-" + spelled + b"-apple-1.png" in done.stdout

    def test_that_the_file_system_cannot_spell_is_left_out_of_names(
        self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = tiny(prompts=["苹果 apple"])
        assert slug(config) == "苹果-apple"
        monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
        assert slug(config) == "apple"

    def test_of_a_prompt_moves_no_terminal(self, capfd: pytest.CaptureFixture[str]) -> None:
        say("wish", HOSTILE)
        result_json({"prompt": HOSTILE})
        out, err = capfd.readouterr()
        for text in (out, err):
            assert text.rstrip("\n").isprintable()
            assert "\\u001b[31mred\\u0007 \\u009b2J\\u202eapple\\u2028" in text

    def test_files_spell_out_what_is_no_letter(self) -> None:
        write_text(Path("a.json"), '"caf\udce9"')
        assert Path("a.json").read_bytes() == b'"caf\\udce9"'


class TestNumbers:
    @pytest.mark.parametrize("prompt", [f"a:{'9' * 40}", "a:-1" + "0" * 20, f"a:1:{'9' * 400}"])
    def test_beyond_float32_are_refused_in_prompts(self, prompt: str) -> None:
        with pytest.raises(PromptError, match="beyond 1e"):
            configs.resolve({"prompts": [prompt]})

    @pytest.mark.parametrize(
        "setting",
        [
            "perceptors=[{model: a, weight: 1e30}]", "penalties.smooth=1e39", "optimizer.rate=0 -> 1e300",
            "plateau.improvement=inf", "film.rate=0:1, 50%:1e99",
        ],
    )  # fmt: skip
    def test_beyond_float32_are_refused_in_configs(self, setting: str) -> None:
        with pytest.raises(ConfigError, match="out of range"):
            configs.resolve(settings=[setting])


class TestFiles:
    @pytest.mark.parametrize("name", ["/dev/full", "n" * 252 + ".png", "è" * 126 + ".png", "fifo"])
    def test_that_cannot_be_written_in_the_end_are_refused_first(self, name: str) -> None:
        os.mkfifo("fifo")
        with pytest.raises(UsageError) as caught:
            check_target(Path(name), "picture.png")
        assert "\n" not in str(caught.value)

    def test_the_longest_name_can_be_written(self) -> None:
        path = Path("n" * LONGEST_NAME)
        check_target(path, "picture.png")
        write_text(path, "whole")
        assert path.read_text() == "whole"

    def test_a_link_stays_one(self) -> None:
        Path("real").mkdir()
        Path("real/a.txt").write_text("old")
        Path("link.txt").symlink_to("real/a.txt")
        write_text(Path("link.txt"), "new")
        assert Path("link.txt").is_symlink()
        assert Path("real/a.txt").read_text() == "new"

    def test_a_name_longer_than_a_file_may_have_is_its_jobs_fault(self) -> None:
        Path("a.txt").write_text("a" + " b" * 30 + "\nc\n")
        long, short = batch.plan(Path("a.txt"), Path("runs"), names="{slug}" * 7 + ".png")
        assert "longer than" in str(long.error)
        assert short.job

    @pytest.mark.parametrize("name", ["n" * 300, "~nobody-of-this-name/a.ckpt"])
    def test_a_model_that_no_file_can_be_is_one_line(self, name: str) -> None:
        with pytest.raises(WeightsError, match="no such file"):
            find_vqgan(name)

    def test_stdout_that_is_full_names_the_result(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            with pytest.raises(SaveError, match=r"no space left on device; the result: a\.png"):
                result("a.png")

    def test_a_folder_that_is_gone_is_one_line(self, vqclip: Vqclip) -> None:
        Path("gone").mkdir()
        os.chdir("gone")
        Path("../gone").rmdir()
        done = vqclip("generate", "a")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "the working folder no longer exists" in done.err
        assert vqclip("--version").code == 0


class TestTerminal:
    @pytest.fixture
    def start(self, tiny: Tiny) -> list[str]:
        """What starts a long run on tiny models."""
        values = configs.to_dict(tiny(steps=100_000))
        del values["prompts"], values["seed"]
        Path("tiny.yaml").write_text(yaml.safe_dump(values))
        words = ["generate", "a", "-c", "tiny.yaml", "--seed", "1", "--device", "cpu"]
        return [sys.executable, "-c", "from vqclip.cli.app import main; main()", *words]

    @pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a system without SIGHUP")
    def test_that_is_closed_leaves_a_snapshot_and_stderr_may_be_gone(self, start: list[str]) -> None:
        """As a terminal window does it: SIGHUP, and nobody reads what is said."""
        run = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
        assert run.stdout
        assert run.stderr
        while not list(Path().glob("runs/*/steps.jsonl")):
            assert run.poll() is None, run.stderr.read()
        run.stdout.close()
        run.stderr.close()
        run.send_signal(signal.SIGHUP)
        assert run.wait(timeout=60) == 128 + signal.SIGHUP
        (folder,) = Path("runs").iterdir()
        assert (folder / "snapshot.safetensors").is_file()
        assert (folder / "image.png").is_file()


def test_new_commands_say_edges_in_one_line(vqclip: Vqclip) -> None:
    """Names too long for a file, links to nowhere, and folders without rights."""
    Path("loop").symlink_to("loop")
    for words in (
        ("runs", "n" * 300), ("runs", "remove", "n" * 300, "--yes"), ("runs", "loop"), ("runs", "remove", "loop", "-y"),
        ("presets", "show", "n" * 300), ("presets", "show", "../default"), ("resume", "n" * 300), ("resume", "loop"),
    ):  # fmt: skip
        done = vqclip(*words)
        assert done.code in (1, 2, 4), words
        assert done.err.count("\n") == 1, (words, done.err)


class TestNoHome:
    @pytest.fixture(autouse=True)
    def no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As for a user whom the system doesn't know."""
        for name in ("VQCLIP_HOME", "XDG_DATA_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)

    def test_the_shipped_models_are_there(self) -> None:
        assert "mini-vqgan" in catalog.cards()
        assert find_vqgan("mini-vqgan").is_file()
        assert store.records() == {}
        assert expand("~/a") == Path("~/a")

    def test_presets_are_those_that_ship(self, vqclip: Vqclip) -> None:
        assert len(vqclip("presets").lines) == len(configs.presets()) + 1

    def test_what_needs_one_says_so(self, vqclip: Vqclip) -> None:
        with pytest.raises(WeightsError, match="there is no home folder to keep models in; set VQCLIP_HOME"):
            home()
        done = vqclip("models", "pull", "vqgan-imagenet-f16-16384", "--offline")
        assert done.code == 3
        assert "there is no home folder" in done.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["generate", "batch", "restyle", "story"])
def test_a_command_without_arguments_says_what_is_missing(vqclip: Vqclip, name: str) -> None:
    done = vqclip(name)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "Missing argument" in done.err
