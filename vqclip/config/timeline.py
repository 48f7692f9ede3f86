"""Divide a Config into frames. A Film is the sequence of them; a still is a film of one Frame.

Story (prompts over time), motion (a frame starts from the last one, moved) and source (a frame follows one of a
video's) are independent fields of the Config. Frames are rendered one after the other. An output frame is decoded from
the rendered frames' latents, averaged as `blend` says. This smooths the film, and closes a loop.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vqclip.base.errors import ConfigError
from vqclip.config.prompt import Prompt
from vqclip.config.schedule import Schedule
from vqclip.config.schema import Config, MotionConfig


@dataclass(frozen=True)
class Stage:
    """A stretch of steps on a latent of one scale: steps `begin` to `end` (exclusive)."""

    scale: float
    begin: int
    end: int


@dataclass(frozen=True)
class FramePrompt:
    """A frame's prompt, and between two scenes also the one that it fades from.

    The embedding's direction lies on the arc from `leaving` to `prompt`, at `share` of the way.
    """

    prompt: Prompt
    leaving: Prompt | None = None
    share: float = 1.0


@dataclass(frozen=True)
class Move:
    """How the last frame is moved before the next one is rendered: first about its middle, then to the side."""

    zoom: float = 1.0  # above 1 comes nearer
    turn: float = 0.0  # degrees, clockwise
    right: float = 0.0  # pixels
    down: float = 0.0  # pixels


STANDSTILL = Move()


@dataclass(frozen=True)
class Frame:
    """Describe one frame to render."""

    index: int
    prompts: tuple[FramePrompt, ...]
    width: int
    height: int
    steps: int
    stages: tuple[Stage, ...]
    scene: int = 0
    fresh: float = 0.0  # the share of its scene's own beginning that is mixed into the last image
    move: Move = STANDSTILL


class Film:
    """The frames of a Config, and the output frames made of them. Raises ConfigError if they can't be a film.

    `source_frames` is the number of the source video's frames, where there is one. A loop's `overlap` is
    rendered twice: at the beginning, where it isn't shown, and at the end, where it fades into the beginning.
    """

    def __init__(self, config: Config, source_frames: int | None = None):
        self.config = config
        story_frames = config.scenes * config.story.frames if config.scenes > 1 and config.is_film else 1
        requested = config.film.frames or source_frames or story_frames
        self.output_frames = min(requested, source_frames) if source_frames else requested
        self.preroll = config.film.overlap if config.film.loop else 0
        self.rendered_frames = self.output_frames + self.preroll
        if self.preroll and source_frames:
            raise ConfigError("film.loop: a video's film ends where the video ends; loop a story or a zoom")
        if self.preroll >= self.output_frames:
            raise ConfigError(
                f"film.overlap: {self.preroll} frames of {self.output_frames} can't fade into the beginning; set fewer"
            )

    def __iter__(self) -> Iterator[Frame]:
        return map(self.frame, range(self.rendered_frames))

    def frame(self, index: int) -> Frame:
        config = self.config
        steps = config.film.steps if index else config.steps
        _, scene, share = self._scene(index)
        return Frame(
            index=index,
            prompts=tuple(self.prompts(index)),
            width=config.width,
            height=config.height,
            steps=steps,
            stages=(Stage(1.0, 0, steps),) if index else tuple(stages(config)),
            scene=scene,
            fresh=config.story.fresh if share < 1 else 0.0,
            move=move(config.motion, index, self.rendered_frames) if index else STANDSTILL,
        )

    def prompts(self, index: int) -> Iterator[FramePrompt]:
        """Yield a frame's prompts: those of every line's present scene, fading from the one before."""
        leaving, entering, share = self._scene(index)
        for line in self.config.lines:
            scenes = [[self._weighed(prompt, index) for prompt in scene] for scene in line]
            if len(scenes) == 1:
                yield from map(FramePrompt, scenes[0])
            else:
                yield from fade(scenes[leaving], scenes[entering], share)

    def _weighed(self, prompt: Prompt, index: int) -> Prompt:
        """A prompt with its weight in a frame; that of a still may change over its steps, and stays a schedule."""
        return prompt.at(index, self.rendered_frames) if self.config.is_film else prompt

    def _scene(self, index: int) -> tuple[int, int, float]:
        """The scene before, the scene that a frame lies in, and the share of the fade between them."""
        story = self.config.story
        if story.at is not None:
            before = int(story.at)
            share = story.at - before
            return (before, before + 1, share) if share else (before, before, 1.0)
        if self.preroll and index >= self.output_frames:  # back to where the loop begins
            before, now = self._scene_at((self.output_frames - 1) // story.frames), 0
            within, length = index - self.output_frames, self.preroll
        else:
            number, within = divmod(index, story.frames)
            before, now, length = self._scene_at(max(0, number - 1)), self._scene_at(number), story.frames
        if before == now:
            return now, now, 1.0
        fading = min(round(story.fade * story.frames), length)
        return before, now, min(1.0, (within + 1) / (fading + 1))

    def _scene_at(self, number: int) -> int:
        """The index of the `number`th scene: after all of them the last one stays, or they begin again."""
        scenes = self.config.scenes
        return min(number, scenes - 1) if self.config.story.after == "stay" else number % scenes

    def blend(self, output_frame: int) -> dict[int, float]:
        """The rendered frames that an output frame is made of, with their shares of its latent. Shares add up to 1."""
        index = output_frame + self.preroll
        shares = self._smoothed(index)
        if self.preroll and index >= self.output_frames:
            tail = index - self.output_frames
            melted = (tail + 1) / (self.preroll + 1)
            shares = {i: (1 - melted) * share for i, share in shares.items()}
            for i, share in self._smoothed(tail).items():
                shares[i] = shares.get(i, 0.0) + melted * share
        return shares

    def _smoothed(self, index: int) -> dict[int, float]:
        """The shares of the frames around one, which fall with the distance."""
        reach, falloff = self.config.film.window // 2, self.config.film.falloff
        near = range(max(0, index - reach), min(self.rendered_frames, index + reach + 1))
        weights = {i: (1 - falloff) ** abs(i - index) for i in near}
        total = sum(weights.values())
        return {i: weight / total for i, weight in weights.items() if weight}

    def ready(self, frame: int) -> Iterator[int]:
        """The output frames that can be made once a frame is rendered, and not before."""
        reach = self.config.film.window // 2
        near = range(max(0, frame - reach - self.preroll), min(self.output_frames, frame - self.preroll + 1))
        return (output_frame for output_frame in near if max(self.blend(output_frame)) == frame)

    def steps_before(self, index: int) -> int:
        """The number of optimisation steps of all frames before one."""
        return self.config.steps + (index - 1) * self.config.film.steps if index else 0

    @property
    def steps(self) -> int:
        """The number of optimisation steps of the whole film."""
        return self.steps_before(self.rendered_frames)


def fade(before: list[Prompt], now: list[Prompt], share: float) -> Iterator[FramePrompt]:
    """Yield the prompts between two scenes: pairs turn into each other, and a prompt without a partner fades."""
    if share == 1:
        yield from map(FramePrompt, now)
        return
    for old, new in itertools.zip_longest(before, now):
        if new is None:
            yield FramePrompt(replace(old, weight=old.weight * (1 - share)))
        elif old is None:
            yield FramePrompt(replace(new, weight=new.weight * share))
        else:
            yield FramePrompt(replace(new, weight=old.weight + share * (new.weight - old.weight)), old, share)


def move(motion: MotionConfig, frame: int, frames: int) -> Move:
    """Return a frame's motion, from the schedules over all frames."""
    names = ("zoom", "turn", "right", "down")
    return Move(**{name: Schedule.parse(getattr(motion, name)).at(frame, frames) for name in names})


def latent_shape(width: int, height: int, factor: int, scale: float = 1.0) -> tuple[int, int]:
    """Return rows and columns of the latent that covers the size at this scale, with cells `factor` pixels wide."""
    return math.ceil(height * scale / factor), math.ceil(width * scale / factor)


def stages(config: Config) -> Iterator[Stage]:
    """Yield the stages with their steps. A stage without steps is left out, but the last one."""
    total, done, begin = sum(stage.share for stage in config.latent.stages), 0.0, 0
    for stage in config.latent.stages:
        done += stage.share
        is_last = stage is config.latent.stages[-1]
        end = config.steps if is_last else min(round(config.steps * done / total), max(0, config.steps - 1))
        if end > begin or is_last:
            yield Stage(stage.scale, begin, end)
        begin = end
