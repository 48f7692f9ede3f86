"""Every command that the README names runs as it stands there, on tiny models and a few steps."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from vqclip.cli.app import main
from vqclip.media.video_writer import VideoWriter

README = Path(__file__).parents[1] / "README.md"
SHELL = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line for block in SHELL for line in block.splitlines() if "vqclip " in line]


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["vqclip", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 8


def test_commands_run_in_their_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_vqgan: Path, tiny_clip: Path
) -> None:
    small = ["--set", f"vqgan={tiny_vqgan}", "--set", f"perceptors=[{{model: {tiny_clip}}}]"]
    for name in ("photo.jpg", "style.png"):
        Image.new("RGB", (20, 20), "teal").save(name)
    with VideoWriter(Path("holiday.mp4"), 16, 16, 2, {}, "") as video:
        for shade in range(12):
            video.write(Image.new("RGB", (16, 16), (20 * shade, 90, 90)))
    for name, text in (("prompts.txt", "an owl\n"), ("jobs.yaml", "jobs: [an owl]\n")):
        Path(name).write_text(text)
    for command in COMMANDS:
        _, verb, *rest = shlex.split(command, comments=True)
        if verb == "batch":
            rest += [*small, "--set", "steps=2", "--set", "size=16x16"]
        if verb == "generate":
            if (
                "--size" in rest
            ):  # a small picture of the same shape: the tiny VQGAN attends to each four pixels
                width, height = (int(side) // 16 for side in rest[rest.index("--size") + 1].split("x"))
                rest += ["--size", f"{width}x{height}"]
            rest = ["--size", "16x16", *rest, *small, "--steps", "2"]
        if verb in ("story", "zoom", "restyle"):
            rest += [
                *small,
                "--steps",
                "2",
                "--frame-steps",
                "1",
                "--size",
                "16x16",
                "--set",
                "film.overlap=2",
            ]
            rest += ["--frames", "3"] if verb != "restyle" else []
        if verb == "film":
            shutil.copytree(next(Path("runs").glob("*/frames")).parent, rest[0])
        if verb == "resume":
            shutil.copytree(next(Path("runs").iterdir()), rest[0])
        assert run([verb, *rest], monkeypatch) == 0, f"{command}\n{capsys.readouterr().err}"


def test_the_library_example_runs(tiny_vqgan: Path, tiny_clip: Path) -> None:
    import vqclip  # noqa: PLC0415

    models = {"vqgan": str(tiny_vqgan), "perceptors": [{"model": str(tiny_clip)}]}
    painting = vqclip.generate("a red apple", seed=7, size="16x16", steps=2, **models)
    assert painting.image.size == (16, 16)
    assert not list(Path.cwd().iterdir()), "a library call writes nothing unless asked to"
