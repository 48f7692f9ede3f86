"""The live report shows any picture and any wish, and leaves the terminal as it was."""

import io
import re
from collections.abc import Sequence

import pytest
import torch
from rich.console import Console

from vqclip.cli.display.batch_progress import PlainBatchProgress, batch_progress
from vqclip.cli.display.report import LiveReport, PlainReport, Reporter, reporter
from vqclip.cli.display.tables import print_shares
from vqclip.guidance.optimize import Step
from vqclip.pipeline.events import Stepped

NAMES = ("mini: the [/b] tag :smile:", "mini: [/home/a.png]", "été \x1b[31m")


def step(index: int, size: tuple[int, int] = (12, 20)) -> Stepped:
    losses = {name: torch.tensor(0.25) for name in NAMES}
    return Stepped(Step(7, 0, index, 10, losses, torch.rand(1, 3, *size)), index, 10)


def console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, color_system="truecolor" if terminal else None, width=70
    )


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("size", [(12, 20), (1, 1), (300, 3), (3, 100)])
def test_shows_any_wish_and_size(terminal: bool, size: tuple[int, int]) -> None:
    """Brackets in a wish are no markup."""
    screen = console(terminal)
    with reporter(screen, False) as report:
        for index in range(1, 11):
            report.step(step(index, size))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "mini: the [/b] tag :smi… 0.250" in text
    assert "loss 0.750" in text


@pytest.mark.parametrize(("every", "steps"), [(0.0, range(1, 11)), (1e9, [10])])
def test_a_pipe_gets_a_line_now_and_then_and_the_last(
    monkeypatch: pytest.MonkeyPatch, every: float, steps: Sequence[int]
) -> None:
    """Each with losses, steps a second, memory, and time left."""
    monkeypatch.setattr("vqclip.cli.display.report.LINE_EVERY", every)
    screen = console(terminal=False)
    with PlainReport(screen) as report:
        for index in range(1, 11):
            report.step(step(index))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split()[1] for line in lines] == [f"{index}/10" for index in steps]
    assert all(re.search(r"(steps/s|s a step), [\d.]+ [MG]B of memory", line) for line in lines)
    assert [line.endswith(" left") for line in lines] == [index < 10 for index in steps]


def test_a_terminal_gets_steps_a_second_time_left_and_memory() -> None:
    screen = console(terminal=True)
    with LiveReport(screen) as report:
        report.step(step(1))
        report.step(step(10))
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen.file.getvalue())  # type: ignore[attr-defined]
    assert re.search(r"10/10 [\d.]+ (steps/s|s a step) +\d+ s left", text)
    assert re.search(r"[\d.]+ [MG]B of memory", text)


def test_a_terminal_of_true_colours_gets_a_preview() -> None:
    assert LiveReport(console(terminal=True)).shows_image
    without = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", no_color=True)
    assert not LiveReport(without).shows_image
    assert not LiveReport(
        Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    ).shows_image


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [(True, False, LiveReport), (False, False, PlainReport), (True, True, Reporter)],
)
def test_the_report_suits_the_stream(terminal: bool, quiet: bool, kind: type) -> None:
    assert type(reporter(console(terminal), quiet)) is kind


def test_a_terminal_that_cannot_redraw_gets_lines() -> None:
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert type(reporter(dumb, quiet=False)) is PlainReport
    assert type(batch_progress(dumb, ["an owl"], quiet=False)) is PlainBatchProgress


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_probabilities_are_read_at_any_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_shares("photo.jpg", [("a label that goes on and on and on and on", 1.0), ("owl", 0.05)])
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[-1] for row in rows] == ["100.0%", "5.0%"]
    assert all(row.startswith("  ") and row.split()[0] in ("a", "owl") for row in rows)
    assert all(len(row) <= width for row in rows)
