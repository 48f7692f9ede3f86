"""`vqclip doctor`: check this machine."""

from dataclasses import asdict
from pathlib import Path

import typer

from vqclip.cli import options
from vqclip.cli.display.console import result, result_json


def doctor(as_json: options.Json = False, runs: options.Runs = Path("runs")) -> None:
    """Check versions, devices, memory, models and folders.

    The exit code is 1 if vqclip can't work here.
    """
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
