"""`python -m vqclip` is the console script, and a picture needs nothing of what only videos need."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Tiny, Vqclip

from vqclip.config import resolve as configs

WITHOUT_FFMPEG = "import sys; sys.modules['imageio_ffmpeg'] = sys.modules['imageio'] = None; "
MAIN = "from vqclip.cli.app import main; main()"


@pytest.fixture
def words(tiny: Tiny, tmp_path: Path) -> list[str]:
    """A picture to paint on tiny models."""
    values = configs.to_dict(tiny(steps=2))
    del values["prompts"], values["seed"]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))
    return ["generate", "a red apple", "-c", str(tmp_path / "tiny.yaml"), "--device", "cpu", "-q"]


def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vqclip", "--version"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "vqclip")


def test_a_picture_is_painted_without_ffmpeg(words: list[str]) -> None:
    code = WITHOUT_FFMPEG + MAIN
    done = subprocess.run([sys.executable, "-c", code, *words], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).is_file()


@pytest.mark.parametrize("more", [["--video"], ["--video", "a.mp4"], ["--set", "film.frames=2"]])
def test_what_needs_ffmpeg_says_what_to_type(
    more: list[str], words: list[str], vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, before anything is painted."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    done = vqclip(*words, *more)
    assert done.code == 1
    assert done.err.strip() == "vqclip: videos need ffmpeg; type: pip install imageio-ffmpeg"
    assert not list(Path("runs").glob("*/image.png"))


def test_the_doctor_says_so_too(vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    lines = vqclip("doctor").lines
    assert any("ffmpeg" in line and "pip install imageio-ffmpeg" in line for line in lines)
