"""docs/peers.md: it has every feature of the peers, its commands run, and its second half agrees with the importer."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from conftest import Vqclip
from PIL import Image
from safetensors.torch import save_file
from test_readme import EXCEPTIONS, FILMS, files, provide_run, small  # noqa: F401
from test_readme import commands as blocks

from docs.make import peers
from vqclip.importing.pixray import PROGRAM

CASES = Path(__file__).parent / "cases/settings"
TABLES, _, _ = peers.FILE.read_text(encoding="utf-8").partition(peers.HEADING)
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TABLES, re.MULTILINE | re.DOTALL)


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def commands(section: str) -> list[list[str]]:
    cells = [row[-1].replace("\\|", "|") for row in rows(section)]
    return [shlex.split(found)[1:] for cell in cells for found in re.findall(r"`(vqclip [^`]+)`", cell)]


def test_every_feature_has_a_row() -> None:
    """The peers have 77 between them."""
    assert sum(len(rows(section)) for _, section in SECTIONS) == 77


def test_a_row_has_a_command_or_a_reason() -> None:
    answers = [row[-1] for _, section in SECTIONS for row in rows(section)]
    assert [cell for cell in answers if not re.search(r"`vqclip |none( yet)?: |\]\(", cell)] == []


def test_the_second_half_is_current() -> None:
    """It fails after a change of the importer; `python -m docs.make.peers` writes the file again."""
    assert peers.FILE.read_text(encoding="utf-8") == peers.page()
    assert len(PROGRAM.arguments) == 119


def test_every_argument_has_a_counterpart_or_a_reason() -> None:
    assert [each.name for each in PROGRAM.arguments if not (each.keys or each.reason)] == []


@pytest.fixture
def more_files(files: None) -> None:  # noqa: F811
    """What these commands read besides."""
    Image.new("L", (20, 20), 200).save("mask.png")
    Path("textoff.json").write_text(json.dumps([0.1] * 16))
    save_file({"weight": torch.ones(1, 16), "bias": torch.zeros(1)}, "head.safetensors")
    save_file({f"features.0.{key}": value for key, value in torch.nn.Conv2d(3, 8, 3).state_dict().items()},
              "vgg.safetensors")  # fmt: skip
    Path("matrix.yaml").write_text(
        'matrix: {prompt: "{thing} of {stuff}", thing: [a cup], stuff: [ice, clay]}'
    )
    for ours, case in (("settings", "pixray-pixel"), ("pytti", "pytti-scenes")):
        shutil.copy(CASES / f"{case}.yaml", f"{ours}.yaml")


@pytest.mark.usefixtures("more_files")
@pytest.mark.parametrize("section", [text for _, text in SECTIONS], ids=[name for name, _ in SECTIONS])
def test_commands_run(section: str, vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path) -> None:
    models = ["--set", f"vqgan={tiny_vqgan}", "--set", f"perceptors=[{{model: {tiny_clip}}}]"]
    models += ["--set", "cutouts.count=6", "--set", "start=grey"]
    vqclip("generate", *models, "an apple", "--size", "16x16", "--steps", "1", "-o", "apple.png", "--force")
    for words in commands(section):
        run(words, models, vqclip)


@pytest.mark.usefixtures("more_files")
def test_the_first_commands_run(vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path) -> None:
    for words in blocks(peers.FILE):
        run(words, ["--set", f"vqgan={tiny_vqgan}", "--set", f"perceptors=[{{model: {tiny_clip}}}]"], vqclip)


def run(words: list[str], models: list[str], vqclip: Vqclip) -> None:
    """Run a command on tiny models, and compare its exit code."""
    exceptions = [found for start, found in EXCEPTIONS.items() if shlex.join(words).startswith(start)]
    more, code, _ = exceptions[0] if exceptions else (tiny(words), 0, "")
    before = models if words[0] in ("batch", "generate", *FILMS) and "--plan" not in words else []
    before = before[2:] if {"--drawer", "--pixels"} & set(words) else before
    provide_run(words)
    more = [*more, "--force"] if "-o" in words and words[0] == "generate" else more
    done = vqclip(words[0], *before, *words[1:], *more)
    assert done.code == code, f"{shlex.join(words)}\n{done.err}"


def tiny(words: list[str]) -> list[str]:
    """Options for a small image and few steps."""
    if "--plan" in words:
        return []
    if words[0] == "batch":
        return [*small(words), "--workers", "1"]
    return [*small(words), *(["--set", "drawer.pixels=8x8"] if "drawer.pixels=16x16" in words else [])]
