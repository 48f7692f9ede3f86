"""`vqclip runs` lists run folders, and deletes only what vqclip wrote into them."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Tiny, Vqclip
from PIL import Image

from vqclip.base import lock
from vqclip.cli.display.table import columns, cut
from vqclip.config.schema import Config
from vqclip.runs.listing import remove
from vqclip.runs.run import Run


def make(config: Config, name: str = "", parent: Path = Path("runs")) -> Path:
    """A finished run without painting."""
    run = Run.create(parent, config, {})
    run.log(0, 6, {"a": 1.0})
    run.save_image(Image.new("RGB", (2, 2)))
    run.finish({"steps": 6})
    return run.folder.rename(parent / name) if name else run.folder


def everything() -> set[Path]:
    return set(Path().rglob("*"))


class TestList:
    def test_says_what_is_in_each(self, vqclip: Vqclip, tiny: Tiny) -> None:
        done, stopped = (
            make(tiny()),
            Run.create(Path("runs/jobs/jobs"), tiny(prompts=["a wide 苹果 " * 20]), {}),
        )
        stopped.log(0, 3, {})
        made = vqclip("runs")
        assert made.code == 0
        assert all(columns(line) <= 80 for line in made.lines if not line.startswith("runs/jobs"))
        by_folder = dict(zip(made.lines[::2], made.lines[1::2], strict=True))
        assert by_folder[str(done)].split()[:2] == ["finished", "6/6"]
        assert by_folder[str(stopped.folder)].split()[:2] == ["stopped", "3/6"]
        assert by_folder[str(done)].endswith("a red apple")

    def test_as_json_has_all_facts(self, vqclip: Vqclip, tiny: Tiny) -> None:
        run = make(tiny())
        (line,) = vqclip("runs", "runs", "--json").lines
        facts = json.loads(line)
        assert facts["run"] == str(run)
        assert facts["bytes"] == sum(path.stat().st_size for path in run.iterdir())
        assert (facts["state"], facts["step"], facts["steps"], facts["prompt"]) == (
            "finished",
            6,
            6,
            "a red apple",
        )

    def test_a_film_over_a_video_has_as_many_steps_as_it_took(self, vqclip: Vqclip, tiny: Tiny) -> None:
        film = tiny(source={"video": "a.mp4"}, film={"steps": 2})
        done, stopped = make(film), Run.create(Path("runs"), film, {})
        stopped.log(2, 1, {})
        made = vqclip("runs").lines
        by_folder = dict(zip(made[::2], made[1::2], strict=True))
        assert by_folder[str(done)].split()[:2] == ["finished", "6/6"]
        assert by_folder[str(stopped.folder)].split()[1].endswith("/?")

    def test_tells_what_is_in_use_or_damaged_and_writes_nothing(self, vqclip: Vqclip, tiny: Tiny) -> None:
        busy, broken = make(tiny(), "busy"), make(tiny(), "broken")
        (broken / "config.yaml").write_text("steps: many")
        with lock.held(busy):
            owner, before = (busy / "lock").read_text(), everything()
            states = {Path(line["run"]).name: line["state"]
                      for line in map(json.loads, vqclip("runs", "--json").lines)}  # fmt: skip
            assert states == {"busy": "in use", "broken": "damaged"}
            assert (busy / "lock").read_text() == owner
            assert everything() == before

    def test_follows_no_links(self, vqclip: Vqclip, tiny: Tiny) -> None:
        make(tiny(), "here")
        Path("runs/again").symlink_to("here")
        Path("runs/up").symlink_to("..")
        assert [json.loads(line)["run"] for line in vqclip("runs", "--json").lines] == ["runs/here"]

    def test_of_a_folder_that_is_not_there_is_one_line(self, vqclip: Vqclip) -> None:
        done = vqclip("runs", "nowhere")
        assert (done.code, done.err.count("\n")) == (4, 1)


class TestRemove:
    def test_names_what_it_deletes_and_asks(
        self, vqclip: Vqclip, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, kept = make(tiny()), make(tiny(seed=2))
        refused = vqclip("runs", "remove", run)
        assert refused.code == 2
        assert str(run) in refused.err
        assert "add --yes" in refused.err
        for answer, is_left in (("n\n", True), ("\n", True), ("y\n", False)):
            monkeypatch.setattr("sys.stdin", Terminal(answer))
            done = vqclip("runs", "remove", run)
            assert run.exists() == is_left == (done.code == 2)
        assert kept.is_dir()

    @pytest.mark.parametrize("settings", [{}, {"film": {"frames": 2, "steps": 1}}])
    def test_leaves_nothing_of_what_vqclip_wrote(
        self, vqclip: Vqclip, tiny: Tiny, settings: dict[str, Any]
    ) -> None:
        run = Run.create(Path("runs"), tiny(save_every=1, **settings), {})
        still = run.save_still(1, 3, Image.new("RGB", (2, 2)))
        run.save_drawing("<svg/>")
        run.save_frame(0, Image.new("RGB", (2, 2)))
        assert still.is_file()
        assert run.drawing.is_file()
        assert vqclip("runs", "remove", run.folder, "--yes").code == 0
        assert not run.folder.exists()

    def test_keeps_files_that_are_not_ours(self, vqclip: Vqclip, tiny: Tiny) -> None:
        run = make(tiny())
        (run / "frames").mkdir()
        for name in ("frames/000000.png", "frames/mine.png", "notes.txt", ".notes.markdown"):
            (run / name).write_text("x")
        Path("outside").mkdir()
        Path("outside/000000.safetensors").write_text("x")
        (run / "latents").symlink_to(Path("outside").absolute())
        (run / "image.png").unlink()
        (run / "image.png").symlink_to(Path("outside/000000.safetensors").absolute())
        done = vqclip("runs", "remove", run, "--yes")
        assert done.code == 0
        assert "files that vqclip didn't write" in done.err
        left = {str(path.relative_to(run)) for path in run.rglob("*")}
        assert left == {"frames", "frames/mine.png", "notes.txt", ".notes.markdown", "latents"}
        assert Path("outside/000000.safetensors").read_text() == "x"

    def test_refuses_what_is_no_run_a_link_or_in_use_before_deleting_any(
        self, vqclip: Vqclip, tiny: Tiny
    ) -> None:
        good, busy = make(tiny()), make(tiny(seed=2))
        Path("link").symlink_to(good)
        Path("project").mkdir()
        Path("project/config.yaml").write_text("steps: 3")
        before = everything()
        for folder in ("link", "project", "runs", ".", "nowhere"):
            done = vqclip("runs", "remove", good, folder, "--yes")
            assert (done.code, done.err.count("\n")) == (4, 1)
        assert everything() == before
        with lock.held(busy):
            assert "is in use" in vqclip("runs", "remove", good, busy, "--yes").err
        assert everything() == before
        assert remove(busy) > 0
        assert not busy.exists()


class Terminal:
    """A stdin on which somebody types."""

    def __init__(self, text: str):
        self.text = text

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("text", "width", "kept"), [("apple", 5, "apple"), ("apples", 5, "appl…"), ("苹果苹果", 6, "苹果…")]
)
def test_texts_are_cut_by_columns(text: str, width: int, kept: str) -> None:
    assert cut(text, width) == kept
