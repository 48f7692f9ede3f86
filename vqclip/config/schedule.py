"""Parse schedules: numbers as functions of the step.

0.3                     constant
0.3 -> 0.05             a straight ramp from the first step to the last
0:0.3, 75%:0.3, 80:0.1  keyframes at steps or shares of all steps, straight lines in between;
                        two at one place make a jump
"""

import re
from dataclasses import dataclass

from vqclip.base.errors import ConfigError

LARGEST = 1e18  # of all numbers: optimisers square what they weigh, and float32 ends at 3.4e38
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_UNIT = r"(%|p|\s*(?:i|it|iterations?|steps?))"  # the peers' units too: 75p is 75%, and 20i is step 20
_KEYFRAME = re.compile(rf"\s*(\d+\.?\d*){_UNIT}?\s*:\s*({_NUMBER})\s*", re.IGNORECASE)
_RAMP = re.compile(rf"\s*({_NUMBER})\s*->\s*({_NUMBER})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Moment:
    """A step, or a share of all steps in [0, 1]: `75%` (or `75p`), `20i` (or `20 iterations`, `20 steps`)."""

    at: float
    is_share: bool

    @classmethod
    def parse(cls, text: str, name: str) -> "Moment":
        """Parse a number with its unit; raises ConfigError, which names the key."""
        match = re.fullmatch(rf"\s*(\d+\.?\d*)\s*{_UNIT}\s*", text, re.IGNORECASE)
        if not match or not float(match[1]) <= LARGEST:
            raise ConfigError(
                f"{name}: {text[:40]!r} is no moment; write a share as in 75%, or a step as in 20i"
            )
        return cls.of(match[1], match[2])

    @classmethod
    def of(cls, number: str, unit: str | None) -> "Moment":
        is_share = (unit or "").lower() in ("%", "p")
        return cls(float(number) / (100 if is_share else 1), is_share)

    def step(self, steps: int) -> float:
        return self.at * (steps - 1) if self.is_share else self.at


@dataclass(frozen=True)
class Keyframe:
    at: float  # a step, or a share of all steps in [0, 1]
    is_share: bool
    value: float

    def step(self, steps: int) -> float:
        return self.at * (steps - 1) if self.is_share else self.at


@dataclass(frozen=True)
class Schedule:
    """Keyframes in the order in which they are reached."""

    keyframes: tuple[Keyframe, ...]

    @classmethod
    def parse(cls, text: str, name: str = "schedule") -> "Schedule":
        """Parse one of the three forms. Raises ConfigError, which names the key."""
        schedule = cls._parse(text, name)
        numbers = [number for keyframe in schedule.keyframes for number in (keyframe.at, keyframe.value)]
        if not all(abs(number) <= LARGEST for number in numbers):
            raise ConfigError(f"{name}: {text[:40]!r} is out of range; no number may exceed {LARGEST:g}")
        return schedule

    @classmethod
    def _parse(cls, text: str, name: str) -> "Schedule":
        if ramp := _RAMP.fullmatch(text):
            return cls((Keyframe(0, True, float(ramp[1])), Keyframe(1, True, float(ramp[2]))))
        if number := re.fullmatch(rf"\s*({_NUMBER})\s*", text, re.IGNORECASE):
            return cls((Keyframe(0, True, float(number[1])),))
        matches = [_KEYFRAME.fullmatch(part) for part in text.split(",")]
        if not all(matches):
            raise ConfigError(
                f"{name}: {text!r} is no schedule; write 0.3, or 0.3 -> 0.05, or 0:0.3, 75%:0.1"
            )
        moments = [(Moment.of(m[1], m[2]), float(m[3])) for m in matches if m]
        return cls(tuple(Keyframe(moment.at, moment.is_share, value) for moment, value in moments))

    @property
    def smallest(self) -> float:
        return min(keyframe.value for keyframe in self.keyframes)

    @property
    def is_zero(self) -> bool:
        return all(keyframe.value == 0 for keyframe in self.keyframes)

    def at(self, step: int, steps: int) -> float:
        """Return the value at `step` of `steps`. It is constant before the first and after the last keyframe."""
        before = self.keyframes[0]
        for after in self.keyframes:
            start, end = before.step(steps), after.step(steps)
            if end > step:
                share = (step - start) / (end - start) if end > start and step > start else 0.0
                return before.value + share * (after.value - before.value)
            before = after
        return before.value
