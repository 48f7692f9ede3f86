"""`vqclip doctor`: what this machine has and lacks, and what to do about it."""

from dataclasses import asdict
from pathlib import Path

import typer

from vqclip.cli import options
from vqclip.cli.display.console import result, result_json


def doctor(as_json: options.Json = False, runs: options.Runs = Path("runs")) -> None:
    """Look at versions, devices, memory, models and folders; ends with 1 if something hinders painting."""
    from vqclip.doctor import examine  # noqa: PLC0415

    hinders = False
    for finding in examine(runs):
        hinders |= finding.hinders
        if as_json:
            result_json(asdict(finding) | {"verdict": finding.verdict})
        else:
            advice = f" -> {finding.advice}" if finding.advice else ""
            result(f"{finding.verdict:<5} {finding.topic:<8} {finding.text}{advice}")
    if hinders:
        raise typer.Exit(1)
