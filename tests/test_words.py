"""Help, documents, configs and docstrings use the field's words: none of those that vqclip once used instead."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Vqclip
from typer.testing import CliRunner

from docs.make.reference import find_commands
from vqclip.cli.app import app

ROOT = Path(__file__).parents[1]
# The only list of them. Say prompt, step or update, objective, request, frame store, video, cache, embeddings, worker,
# weight transfer, manifest, memory budget, batch or progress output, image, rendered or made.
OLD_WORDS = (
    "company", "conversation", "crew", "easel", "economy", "flipbook", "footage", "freight", "hasten", "hollow",
    "ledger", "meanings", "nudge", "nudged", "nudges", "painted", "painter", "parcel",
    "picture", "pictures", "reel", "seat", "seats", "shelf",
    "studio", "tighten", "told", "wish", "wished", "wishes",
)  # fmt: skip
OLD = re.compile(rf"\b({'|'.join(OLD_WORDS)})\b", re.IGNORECASE)
PAINTING = re.compile(r"(?<!oil )\b(paint|paints|painting|paintings)\b", re.IGNORECASE)  # say render, or draw
TEMPLATE = "a picture of a {}"  # CLIPs read it in the words that their captions had
LINKED = re.compile(r"(?<=\])\([^)\s]+\)")  # a link's target is a file's name
HISTORY = ("docs/log.md", "CHANGELOG.md")  # they speak of what was, in the words of the day
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").rglob("*.yaml")]
)
MODULES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "vqclip").rglob("*.py"))
COMMANDS = ["", "config", "models", *(name for name, _ in find_commands(app))]


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text whose lines are wrapped."""
    for block in re.split(r"\n\s*\n", text):
        yield from re.split(r"(?<=[.:;!?])\s+", " ".join(block.split()))


def old_sentences(text: str) -> list[str]:
    return [
        sentence for sentence in sentences(LINKED.sub("", text)) if OLD.search(sentence.replace(TEMPLATE, ""))
    ]


def prose(source: str) -> Iterator[str]:
    """Yield the docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def test_an_old_word_is_found() -> None:
    text = "The image is saved. A latent is\nnudged in each step. A seated person is no seat number."
    assert old_sentences(text) == ["A latent is nudged in each step.", "A seated person is no seat number."]


def test_an_old_word_is_found_in_docstrings_and_comments() -> None:
    source = '"""Make pictures."""\ndef f():\n    """Nudge it."""\n    return "reel"  # a painter\n'
    assert [bool(OLD.search(text)) for text in prose(source)] == [True, True, True]


def test_help_begins_with_what_vqclip_does() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=200).output.split("\n\n")
    assert "Generate images from text by optimising a VQGAN latent against CLIP." in " ".join(shown[:2])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_uses_no_old_word(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200)
    assert done.exit_code == 0
    assert old_sentences(done.output.replace("│", " ")) == []  # a panel's borders, of whatever width it is


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in HISTORY])
def test_documents_use_no_old_word(document: str) -> None:
    assert old_sentences((ROOT / document).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_and_comments_use_no_old_word(module: str) -> None:
    texts = list(prose((ROOT / module).read_text(encoding="utf-8")))
    assert [found for text in texts for found in old_sentences(text)] == []
    assert [text for text in texts if PAINTING.search(text)] == []


def test_progress_output_uses_no_old_word(vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path) -> None:
    small = [
        "--set",
        f"vqgan={tiny_vqgan}",
        "--set",
        f"perceptors=[{{model: {tiny_clip}}}]",
        "--set",
        "start=grey",
    ]
    done = vqclip("generate", "a red apple", "--size", "16x16", "--steps", 2, *small)
    assert done.code == 0
    assert "prompt    a red apple" in done.err
    assert OLD.search(done.err.replace(str(tiny_vqgan.parent), "")) is None
