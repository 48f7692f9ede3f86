"""Say where an image's steps ended early, and why."""

from vqclip.guidance.optimize import Step
from vqclip.pipeline.events import Result, Stepped


class PlateauWatch:
    """Watch the steps of images, by seed, for frames that end before their last step."""

    def __init__(self) -> None:
        self._last: dict[int, Step] = {}
        self._early: dict[int, int] = {}  # frames that ended early

    def watch(self, event: Stepped) -> None:
        step, before = event.step, self._last.get(event.step.seed)
        if before and before.frame != step.frame and before.index < before.steps:
            self._early[step.seed] = self._early.get(step.seed, 0) + 1
        self._last[step.seed] = step

    def line(self, made: Result) -> str | None:
        """Describe in one line how a finished image's steps ended early, or give None if they didn't."""
        last = self._last.get(made.seed)
        if last is None:
            return None
        plateau, is_early = made.config.plateau, last.index < last.steps
        early = self._early.get(made.seed, 0) + is_early
        why = (
            f"the loss improved by less than {plateau.improvement:.3g} of itself in {plateau.patience} steps "
            "(plateau.patience)"
        )
        if made.config.is_film:
            return f"{early} frames ended early: {why}" if early else None
        return f"stopped at step {last.index} of {last.steps}: {why}" if is_early else None
