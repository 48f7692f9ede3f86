"""The shell gets names, keys, runs and images, in the form in which it asks for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sample_runs import make_run
from typer.testing import CliRunner

from vqclip.cli.app import app


def completed(words: str) -> list[str]:
    """Ask as bash does: the last word is the one that is typed."""
    asked = {"_VQCLIP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = CliRunner().invoke(app, [], prog_name="vqclip", env=asked)
    assert done.exit_code == 0, done.output
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("vqclip sea", ["search"]),
        ("vqclip generate x --preset dra", ["draft"]),
        ("vqclip generate x --preset draft+stan", ["draft+standard"]),
        ("vqclip presets show dra", ["draft"]),
        ("vqclip generate x --set cutouts.cou", ["cutouts.count="]),
        ("vqclip generate x --drawer pyr", ["pyramid"]),
        ("vqclip generate x --start asc", ["ascent"]),
        ("vqclip generate x --loss symm", ["symmetry:"]),
        ("vqclip generate x --filter wallp", ["wallpaper:"]),
        ("vqclip generate x --judge mini-cl", ["mini-clip", "mini-clip-2"]),
        ("vqclip search photos x --model mini-cl", ["mini-clip", "mini-clip-2"]),
        ("vqclip classify x.png --model mini-cl", ["mini-clip", "mini-clip-2"]),
        ("vqclip models show mini-cl", ["mini-clip", "mini-clip-2"]),
        ("vqclip models pull mini-vq", ["mini-vqgan"]),
    ],
)
def test_names_and_keys(words: str, expected: list[str]) -> None:
    assert completed(words) == expected


@pytest.mark.parametrize("command", ["resume", "film", "gallery", "runs remove", "runs list"])
def test_runs(command: str) -> None:
    owl, fox = (str(make_run(Path("runs"), prompt)) for prompt in ("an owl", "a fox"))
    assert sorted(completed(f"vqclip {command} ")) == sorted([owl, fox])
    assert sorted(completed(f"vqclip {command} runs/2")) == sorted([owl, fox])
    assert completed(f"vqclip {command} {owl[:-3]}") == [owl]
    Path("rubbish").mkdir()
    assert completed(f"vqclip {command} rub") == ["rubbish/"]
    assert completed(f"vqclip {command} elsewhere/") == []


@pytest.mark.parametrize("command", ["show", "reproduce", "diff", "diff some.png"])
def test_images_of_runs_and_files(command: str) -> None:
    run = make_run(Path("runs"), "an owl")
    make_run(Path("runs"), "a fox", image=False, finished=False)
    Path("some.png").touch()
    Path(".hidden.png").touch()
    assert completed(f"vqclip {command} ") == [f"{run}/image.png", "runs/", "some.png"]
    assert completed(f"vqclip {command} so") == ["some.png"]
    assert f"{run}/image.png" in completed(f"vqclip {command} {run}/")


def test_completion_imports_no_torch() -> None:
    code = """
import sys
from vqclip.cli import completion
for name in ("presets", "settings", "drawers", "starts", "losses", "filters", "models", "runs", "images"):
    getattr(completion, name)("")
print([name for name in ("torch", "numpy", "open_clip") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
