"""The live report shows any picture and any wish, and leaves the terminal as it was."""

import io

import pytest
import torch
from rich.console import Console

from vqclip.cli.display.report import LiveReport, PlainReport, Reporter, reporter
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
    assert "the [/b] tag :smile: 0.250" in text
    assert "loss 0.750" in text


def test_a_pipe_gets_ten_lines_each_of_one() -> None:
    screen = console(terminal=False)
    with PlainReport(screen) as report:
        for index in range(1, 11):
            report.step(step(index))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split()[1] for line in lines] == [f"{index}/10" for index in range(1, 11)]


def test_a_terminal_of_true_colours_gets_a_preview() -> None:
    assert LiveReport(console(terminal=True)).shows_picture
    assert not LiveReport(
        Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    ).shows_picture


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [(True, False, LiveReport), (False, False, PlainReport), (True, True, Reporter)],
)
def test_the_report_suits_the_stream(terminal: bool, quiet: bool, kind: type) -> None:
    assert type(reporter(console(terminal), quiet)) is kind
