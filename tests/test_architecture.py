"""The architecture: which folder imports which, who prints, what importing costs and leaves behind."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import typer

import vqclip
from vqclip.cli.app import COMMANDS, app

PACKAGE = Path(vqclip.__file__).parent

# The only list of the folders, and of the modules beside them. Each imports from itself and from those above it.
FOLDERS = [
    "base",
    "weights",
    "config",
    "importing",
    "media",
    "models",
    "guidance",
    "start",
    "requirements",
    "runs",
    "pipeline",
    "retrieval",
    "jobs",
    "session",
    "gallery",
    "ui",
    "doctor",
    "cli",
]
TOP = ("__init__", "__main__")  # the public names, and the way in: they import what they like
# What `vqclip --help` imports, and what therefore imports no torch.
WITH_TORCH = ("base.device", "base.determinism")
LIGHT = (
    "guidance.interfaces",
    "guidance.drawers.vqgan_config",
    "guidance.drawers.fft_config",
    "guidance.drawers.lines_config",
    "guidance.drawers.pixel_config",
    "guidance.drawers.pyramid_config",
    "guidance.perceptors.chosen",
    "guidance.perceptors.judge_config",
    "guidance.perceptors.open_clip_config",
    "start.ascent",
    "start.chosen",
    "start.codes",
    "start.gradient",
    "start.grey",
    "start.init",
    "start.noise",
    "start.phrases",
    "start.sketch_config",
    "start.source",
    "start.prior_config",
    "start.transformer_config",
    "models.transformer.architecture",
    "models.transformer.finding",
    "runs.job",
    "runs.record",
    "jobs.batch_file",
    "jobs.batch_matrix",
    "jobs.batch_folder",
    "jobs.batch",
    "requirements.needs",
    "retrieval.chosen",
    "cli.app",
    "cli.completion",
    "cli.help_layout",
    "cli.inits",
    "cli.options",
    "cli.outputs",
    "cli.painting_options",
    "cli.usage_errors",
)


def modules() -> list[str]:
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths if path.name != "__init__.py")


MODULES = [name for name in modules() if name.rpartition(".")[2] != "__init__" and name not in TOP]
LIGHT_MODULES = [
    name
    for name in MODULES
    if (name.split(".")[0] in ("base", "config", "importing") and name not in WITH_TORCH)
    or name in LIGHT
    or name.startswith(("cli.commands.", "guidance.losses.", "guidance.filters."))
]


def folder(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The package's own modules among what these nodes import."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix("vqclip.") for name in names} & set(MODULES)


def at_module_level(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every statement that runs on import, inside `if` and `try`, too, but not what only type checkers read."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from at_module_level(ast.iter_child_nodes(node))


def test_every_module_lies_in_a_folder_of_the_list() -> None:
    assert {folder(module) for module in MODULES} <= set(FOLDERS)


def test_the_document_shows_the_same_list() -> None:
    """docs/architecture.md has a row for each folder, in the same order."""
    document = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/?`", document, re.MULTILINE)
    assert rows == FOLDERS


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_from_above(module: str) -> None:
    """From the module's own folder and from those above it, lazy imports included."""
    allowed = FOLDERS[: FOLDERS.index(folder(module)) + 1]
    assert {name for name in imported(ast.walk(tree(module))) if folder(name) not in allowed} == set()


def test_no_imports_in_a_circle() -> None:
    graph = {module: imported(at_module_level(tree(module).body)) - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", [name for name in MODULES if folder(name) in ("weights", "models")])
def test_models_know_no_config(module: str) -> None:
    assert {name for name in imported(ast.walk(tree(module))) if folder(name) == "config"} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if folder(name) != "cli"])
def test_only_the_command_line_prints_or_exits(module: str) -> None:
    for node in ast.walk(tree(module)):
        match node:
            case ast.Call(func=ast.Name(id="print" | "exit" | "quit" | "input" as name)):
                pytest.fail(f"{name} in line {node.lineno}")
            case ast.Attribute(value=ast.Name(id="sys"), attr="exit" | "argv" | "stdout" | "stderr"):
                pytest.fail(f"sys.{node.attr} in line {node.lineno}")
            case ast.Import(names=names):
                found = {alias.name.partition(".")[0] for alias in names}
                assert found & {"typer", "rich", "argparse"} == set()
            case ast.ImportFrom(module=str(source)):
                assert source.partition(".")[0] not in {"typer", "rich", "argparse"}


def test_every_command_is_a_file() -> None:
    files = {path.stem for path in (PACKAGE / "cli/commands").glob("*.py")} - {"__init__"}
    assert files == set(COMMANDS)


def python(code: str, cwd: Path) -> str:
    """The output of a fresh interpreter that treats warnings as it likes."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


def test_help_and_plain_modules_import_no_torch(tmp_path: Path) -> None:
    """So that `vqclip --help` answers at once."""
    code = f"""
import sys, importlib
for name in {LIGHT_MODULES}:
    importlib.import_module(f"vqclip.{{name}}")
from typer.testing import CliRunner
from vqclip.cli.app import app
for words in (
    ["--help"], ["generate", "--help"], ["batch", "--help"], ["models", "--help"], ["--version"], ["config", "show"],
):
    assert CliRunner().invoke(app, words).exit_code == 0, words
print([name for name in ("torch", "numpy", "PIL", "open_clip") if name in sys.modules])
"""
    assert python(code, tmp_path).strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_importing_everything_leaves_no_trace(tmp_path: Path) -> None:
    """No file in the working folder, no changed signal handler, gradient mode or random state."""
    code = f"""
import signal, importlib
import torch
state = lambda: (signal.getsignal(2), torch.is_grad_enabled(), torch.initial_seed(), torch.get_num_threads())
before = state()
for name in {MODULES}:
    importlib.import_module(f"vqclip.{{name}}")
assert before == state()
"""
    tmp_path.chmod(0o500)
    try:
        python(code, tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_planned_without_torch(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("prompt,seed\na red apple,1\n")
    code = """
import sys
from typer.testing import CliRunner
from vqclip.cli.app import app
done = CliRunner().invoke(app, ["batch", "jobs.csv", "--plan"])
print(done.exit_code, "0001-a-red-apple-1.png" in done.output, "torch" in sys.modules)
"""
    assert python(code, tmp_path).split() == ["0", "True", "False"]


def test_the_flags_of_generate_are_frozen() -> None:
    """Few friendly flags; everything else goes through the config. A new one is added here on purpose."""
    command = typer.main.get_command(app).commands["generate"]  # type: ignore[attr-defined]
    flags = {
        spelling for parameter in command.params for spelling in parameter.opts if spelling.startswith("-")
    }
    assert flags == {
        "-o", "--output", "--force", "-s", "--size", "--steps", "--seed", "-p", "--preset", "-c", "--config", "--set",
        "--init", "--start", "--mask", "--extend", "--aspect", "--style",
        "--drawer", "--image-prompt", "--loss", "--palette", "--filter", "--save-every", "--tile",
        "--upscale", "--transparent",
        "-d", "--device", "-n", "--count",
        "--batch-size", "--together", "--best", "--judge", "--runs",
        "--pixels", "--video", "--video-seconds", "--video-fps", "--video-hold", "--forth-and-back",
        "--plan", "--json", "-q", "--quiet", "-v", "--verbose", "--pull", "--offline",
    }  # fmt: skip


def test_all_is_true() -> None:
    """What `__all__` promises is there, and what `dir` shows beyond it is private or a module."""
    assert all(getattr(vqclip, name) is not None for name in vqclip.__all__)
    public = {
        name
        for name, value in vars(vqclip).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public - {"TYPE_CHECKING", "Any", "import_module"} <= set(vqclip.__all__)
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        vqclip.paint  # noqa: B018
