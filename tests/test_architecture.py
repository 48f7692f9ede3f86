"""The house keeps its plan: who imports whom, who prints, what importing costs and leaves behind."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import vqclip
from vqclip.cli.app import app

PACKAGE = Path(vqclip.__file__).parent

# A module imports from rows above its own and, at module level, from what stands left of it in its own row.
ROWS = """
errors resources files lock schedule prompt phrases seeds dotted renames conversion neutral schema yaml12 strict_json \
    table config film job record batchfile batch compare
ops device determinism records
models.catalog models.store models.download models.archives models.inert_pickle models.torch_files \
    models.checkpoint \
    models.quantizers models.cpu_kernels models.kernels models.frozen models.vqgan models.folding models.layouts \
    models.descriptions \
    models.loading models.towers models.clip_layouts models.clip models.sketchbook \
    models.writing models.install
requirements.needs requirements.status
cutout_draws crop_sampling cutouts latent canvas losses state economy step_graph objective optimize perceptor meanings \
    layout sketch pixels media ffmpeg container video video_look \
    footage source motion judge sheet provenance
shelf pipeline snapshot reel run projector ledger estimate health
render painter progress
api launch.contract launch.freight launch.serial launch.processes launch.ray launch.seats
cli.console cli.options cli.report cli.board cli.transfer cli.config cli.models cli.provide cli.asked cli.wanted \
    cli.generate cli.plan cli.delivery cli.work cli.story cli.zoom cli.restyle cli.film cli.resume cli.batch_plan \
    cli.batch_work cli.batch cli.reproduce cli.show cli.diff cli.doctor cli.app __main__
"""
PLACES = {
    name: (row, place)
    for row, line in enumerate(ROWS.strip().splitlines())
    for place, name in enumerate(line.split())
}
TORCHLESS = [name for name, (row, _) in PLACES.items() if row == 0]


def modules() -> list[str]:
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths if path.name != "__init__")


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The house's own modules among what these nodes import."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix("vqclip.") for name in names} & PLACES.keys()


def test_every_module_has_its_place() -> None:
    assert modules() == sorted(PLACES)


@pytest.mark.parametrize("module", PLACES)
def test_imports_only_from_below(module: str) -> None:
    row, place = PLACES[module]
    anywhere, at_once = imported(ast.walk(tree(module))), imported(iter(tree(module).body))
    assert {name for name in anywhere if PLACES[name][0] > row} == set()
    assert {name for name in at_once if PLACES[name] > (row, place)} == set()


@pytest.mark.parametrize("module", [name for name in PLACES if name.startswith("models.")])
def test_models_know_no_config(module: str) -> None:
    assert imported(ast.walk(tree(module))) & {"config", "schema"} == set()


@pytest.mark.parametrize("module", [name for name in PLACES if not name.startswith("cli.")])
def test_only_the_command_line_prints_or_exits(module: str) -> None:
    for node in ast.walk(tree(module)):
        match node:
            case ast.Call(func=ast.Name(id="print" | "exit" | "quit" | "input" as name)):
                pytest.fail(f"{name} in line {node.lineno}")
            case ast.Attribute(value=ast.Name(id="sys"), attr="exit" | "argv" | "stdout" | "stderr"):
                pytest.fail(f"sys.{node.attr} in line {node.lineno}")
            case ast.Import(names=names):
                assert {alias.name.partition(".")[0] for alias in names} & {
                    "typer",
                    "rich",
                    "argparse",
                } == set()
            case ast.ImportFrom(module=str(source)):
                assert source.partition(".")[0] not in {"typer", "rich", "argparse"}


def python(code: str, cwd: Path) -> str:
    """The output of a fresh interpreter that treats warnings as it likes."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


def test_help_and_plain_modules_import_no_torch(tmp_path: Path) -> None:
    """So that `vqclip --help` answers at once."""
    light = [
        *TORCHLESS,
        "requirements.needs",
        *(
            f"cli.{name}"
            for name in (
                "app",
                "asked",
                "batch",
                "diff",
                "doctor",
                "film",
                "generate",
                "models",
                "reproduce",
                "restyle",
                "resume",
                "show",
                "story",
                "wanted",
                "zoom",
                "config",
                "options",
            )
        ),
    ]
    code = f"""
import sys, importlib
for name in {light}:
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


def test_importing_everything_leaves_no_trace(tmp_path: Path) -> None:
    """No file in the working folder, no changed signal handler, gradient mode or random state."""
    code = f"""
import signal, importlib
import torch
state = lambda: (signal.getsignal(2), torch.is_grad_enabled(), torch.initial_seed(), torch.get_num_threads())
before = state()
for name in {list(PLACES)}:
    importlib.import_module(f"vqclip.{{name}}")
assert before == state()
"""
    tmp_path.chmod(0o500)
    try:
        python(code, tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_the_flags_of_generate_are_frozen() -> None:
    """Few friendly flags; everything else goes through the config. A new one is added here on purpose."""
    command = typer.main.get_command(app).commands["generate"]  # type: ignore[attr-defined]
    flags = {
        spelling for parameter in command.params for spelling in parameter.opts if spelling.startswith("-")
    }
    assert flags == {
        "-o", "--output", "--size", "--steps", "--seed", "--preset", "-c", "--config", "--set", "--init",
        "--image-prompt", "--tile", "--device", "--count", "--together", "--best", "--judge", "--runs",
        "--video", "--video-seconds", "--video-fps", "--video-hold", "--forth-and-back",
        "--plan", "--json", "-q", "--quiet", "--pull", "--offline",
    }  # fmt: skip


def test_all_is_true() -> None:
    """What `__all__` promises is there, and what `dir` shows beyond it is private or a module."""
    assert all(getattr(vqclip, name) is not None for name in vqclip.__all__)
    public = {
        name
        for name, value in vars(vqclip).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public - {"TYPE_CHECKING", "Any"} <= set(vqclip.__all__)
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        vqclip.paint  # noqa: B018
