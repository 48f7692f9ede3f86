"""The short form of tests/stress/inputs.py: mutated files and prompts are read or refused in one line."""

import runpy
from pathlib import Path

STRESS = Path(__file__).parents[1] / "stress/inputs.py"


def test_mutated_inputs_are_read_or_refused_in_one_line() -> None:
    outcomes = runpy.run_path(str(STRESS))["run"](300, 1)
    assert sum(outcomes.values()) == 300
    for kind in ("batch", "config", "prompt"):
        assert outcomes[f"{kind} read"] > 4
        assert outcomes[f"{kind} refused"] > 4
