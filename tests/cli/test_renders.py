"""The short form of tests/stress/renders.py: jobs of any prompts and settings become images, or one line each."""

from pathlib import Path

from stress import renders


def test_accepted_jobs_become_images_and_the_rest_lines(tmp_path: Path) -> None:
    outcomes = renders.run(20, 1, renders.write_base(tmp_path))
    assert sum(outcomes.values()) == 20
    assert outcomes["rendered"] > 6
    assert outcomes["refused"] > 1
