"""The short form of scripts/fuzz: mutated files of every kind are read or refused in one line, and do no harm."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts/fuzz"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    loader = SourceFileLoader("fuzz", str(SCRIPT))
    spec = spec_from_loader("fuzz", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_do_no_harm(fuzz: ModuleType, tmp_path: Path) -> None:
    outcomes = fuzz.run(400, 7, tmp_path)
    assert (
        outcomes["whole b.safetensors: read"] == outcomes["whole a.ckpt: refused"] == 1
    )  # shapes tell 32 groups
    assert sum(times for outcome, times in outcomes.items() if "refused" in outcome) > 200
    assert list(tmp_path.iterdir()) == []
