"""The short form of tests/stress/fuzz.py: mutated files of every kind are read or refused in one line, and do no
harm."""

import contextlib
import pickle
from pathlib import Path

import pytest
from stress import fuzz


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_do_no_harm(tmp_path: Path) -> None:
    outcomes = fuzz.run(400, 7, tmp_path)
    assert (
        outcomes["whole b.safetensors: read"] == outcomes["whole a.ckpt: refused"] == 1
    )  # shapes tell 32 groups
    assert sum(times for outcome, times in outcomes.items() if "refused" in outcome) > 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
def test_pickles_written_to_do_harm_set_off_no_canary(tmp_path: Path) -> None:
    """Files, environment, imports, processes, threads, time and memory are as before."""
    outcomes = fuzz.run_hostile(600, 3, tmp_path)
    assert sum(outcomes.values()) == 600
    assert list(tmp_path.iterdir()) == []


def test_the_canaries_sing(tmp_path: Path) -> None:
    """Python's own unpickler sets them off: what the reader is spared from is there."""
    trace = tmp_path / "trace"
    programs = [
        f"c{module}\n{name}\n".encode() + arguments + b"R."
        for module, name, arguments in fuzz.hostile_calls(trace)
        if (module, name) in {("posix", "system"), ("builtins", "exec"), ("io", "open"), ("os", "mkdir")}
    ]
    assert len(programs) == 4
    for program in programs:
        with contextlib.suppress(Exception):
            opened = pickle.loads(program)  # four programs of our own
            getattr(opened, "close", int)()
        assert trace.exists()
        trace.rmdir() if trace.is_dir() else trace.unlink()
