"""The board of a batch says what each worker is at, whatever the wishes contain."""

import io

import pytest
from rich.console import Console

from vqclip.cli.display.batch_progress import (
    BatchProgress,
    LiveBatchProgress,
    PlainBatchProgress,
    batch_progress,
    duration,
)
from vqclip.config import resolve as configs
from vqclip.jobs.launcher import JobEvent
from vqclip.pipeline.events import Failed, Finished, Progressed, Result, Started

TITLES = ("the [/b] tag :smile:", "été \x1b[31m", "third")
CONFIG = configs.resolve({"prompts": ["a"], "seed": 1})
EVENTS = (
    JobEvent(0, "cpu #1", Started(CONFIG, None)),
    JobEvent(1, "cpu #2", Started(CONFIG, None)),
    JobEvent(0, "cpu #1", Progressed(3, 10, {"a": 0.5, "b": 0.25})),
    JobEvent(2, "unheard of", Progressed(1, 10, {})),
    JobEvent(1, "cpu #2", Failed("no")),
    JobEvent(0, "cpu #1", Finished(Result(CONFIG, 10, 1.5, {}))),
    JobEvent(2, "cpu #2", Started(CONFIG, None)),
)


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80)


@pytest.mark.parametrize("terminal", [True, False])
def test_shows_any_wish(terminal: bool) -> None:
    """Brackets in a wish are no markup."""
    screen = console(terminal)
    with batch_progress(screen, TITLES, quiet=False) as watching:
        for event in EVENTS:
            watching.on_event(event)
    assert "[/b] tag :smile:" in screen.file.getvalue() or terminal  # type: ignore[attr-defined]
    assert watching.summary.startswith("1 of 3 done, 1 failed")
    assert list(watching.rows) == ["cpu #2"], "who has ended is at nothing"


def test_the_table_has_a_row_a_worker_with_step_and_loss() -> None:
    screen, live = console(terminal=True), LiveBatchProgress(TITLES, console(terminal=True))
    for event in EVENTS[:3]:
        live.on_event(event)
    screen.print(live._table())
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("cpu #1", "cpu #2", "3/10", "0.750", "the [/b] tag :smile:", "0 of 3 done"):
        assert shown in text


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [(True, False, LiveBatchProgress), (False, False, PlainBatchProgress), (True, True, BatchProgress)],
)
def test_suits_the_stream(terminal: bool, quiet: bool, kind: type) -> None:
    assert type(batch_progress(console(terminal), TITLES, quiet)) is kind


def test_durations_are_short() -> None:
    assert [duration(seconds) for seconds in (None, 42.4, 200, 3900)] == ["", "42 s", "3 min", "1 h 5 min"]
