"""The folders of training/: which imports from which."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "training"
# Each folder imports from itself and from those before it, and of the modules beside the folders only `work`.
FOLDERS = ["images", "packed", "scenes", "towers", "codes"]


def imported(path: Path) -> set[str]:
    """The folders, and the modules beside them, that a file imports from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("training.")}


def test_the_document_lists_every_folder() -> None:
    """docs/architecture.md has a line for each, in the same order."""
    document = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = document.partition("\ntraining/")[2].partition("\nevaluation/")[0]
    assert re.findall(r"^  (\w+)/", listed, re.MULTILINE) == FOLDERS
    assert {path.parent.name for path in TRAINING.glob("*/__init__.py")} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_only_from_folders_before_it(folder: str) -> None:
    found = set[str]().union(*(imported(path) for path in (TRAINING / folder).glob("*.py")))
    assert found <= {*FOLDERS[: FOLDERS.index(folder) + 1], "work"}
