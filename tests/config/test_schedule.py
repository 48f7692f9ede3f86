"""Schedules: their three spellings, and their values at every step."""

import pytest

from vqclip.base.errors import ConfigError
from vqclip.config.schedule import Schedule


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.3", {0: 0.3, 50: 0.3, 100: 0.3}),
        ("-1", {0: -1, 100: -1}),
        ("1e-2", {7: 0.01}),
        ("\x1f0.5\x1e", {7: 0.5}),  # blanks that `float` doesn't know
        ("0 -> 1", {0: 0, 25: 0.25, 50: 0.5, 100: 1}),
        ("1 -> 0", {0: 1, 25: 0.75, 100: 0}),
        ("20:1, 40:3", {0: 1, 20: 1, 30: 2, 40: 3, 100: 3}),
        ("0:1, 50%:1, 75%:3", {0: 1, 50: 1, 60: 1.8, 75: 3, 100: 3}),
        ("0:1,50:1,50:5", {49: 1, 50: 5, 51: 5}),
    ],
)
def test_values_at_steps(text: str, values: dict[int, float]) -> None:
    schedule = Schedule.parse(text)
    assert {step: schedule.at(step, 101) for step in values} == pytest.approx(values)


@pytest.mark.parametrize("text", ["0.3 -> 0.1", "0:0.3, 75%:0.3, 80%:0.1", "5"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_paintings_have_finite_values_within_the_keyframes(text: str, steps: int) -> None:
    schedule = Schedule.parse(text)
    highest = max(keyframe.value for keyframe in schedule.keyframes)
    assert all(schedule.smallest <= schedule.at(step, steps) <= highest for step in range(steps))


@pytest.mark.parametrize("text", ["", "fast", "1 ->", "-> 1", "0:1,", "50%", "a:1", "nan", "inf", "1:2:3"])
def test_anything_else_is_refused_by_its_keys_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate: .* is no schedule"):
        Schedule.parse(text, "optimizer.learning_rate")


@pytest.mark.parametrize(
    ("text", "smallest", "is_zero"), [("0", 0, True), ("0 -> 0.0", 0, True), ("3 -> -1", -1, False)]
)
def test_knows_its_smallest_value_and_whether_it_is_off(text: str, smallest: float, is_zero: bool) -> None:
    schedule = Schedule.parse(text)
    assert (schedule.smallest, schedule.is_zero) == (smallest, is_zero)
