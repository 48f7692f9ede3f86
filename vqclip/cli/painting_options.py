"""Declare the options of every command that generates images, and carry the command out."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqclip.base.errors import UsageError, shorten
from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library, obey, say
from vqclip.cli.inits import one_init
from vqclip.config import prompt as prompts
from vqclip.config.sizes import upright_size

if TYPE_CHECKING:
    from vqclip.cli.outputs import OutputSpec
    from vqclip.config.schema import Config


@dataclass(frozen=True)
class PaintingOptions:
    """The options that all commands share which make images."""

    size: options.Size = None
    seed: options.Seed = None
    aspect: options.Aspect = None
    init: options.Init = None
    start: options.Start = None
    mask: options.Mask = None
    extend: options.Extend = None
    image_prompts: options.ImagePrompts = None
    preset: options.Preset = None
    file: options.File = None
    settings: options.Settings = None
    steps: options.Steps = None
    style: options.Style = None
    drawer: options.Drawer = None
    pixels: options.Pixels = None
    losses: options.Losses = None
    palette: options.Palette = None
    filters: options.Filters = None
    save_every: options.SaveEvery = None
    upscale: options.Upscale = None
    pull: options.Pull = False
    offline: options.Offline = False
    force: options.Force = False
    runs: options.Runs = Path("runs")
    as_json: options.Json = False
    device: options.Device = "auto"
    plan: options.Plan = False
    quiet: options.Quiet = False
    verbose: options.Verbose = False
    notes: list[tuple[str, str]] = field(init=False, default_factory=list)  # said when the work begins

    def config(
        self, prompt: str | None, preset: str | None = None, **sections: Mapping[str, Any]
    ) -> "Config":
        """The Config of a prompt: a command's own preset below the one that was asked for, its sections on top.

        What is None in a section was not given. Without a prompt, those of the config's file hold.
        """
        from vqclip.config import resolve as configs  # noqa: PLC0415

        layers = "+".join(filter(None, [preset, self.preset])) or None
        implied = None if self.pixels is None else "pixel"
        drawer = implied if self.drawer is None else self.drawer
        kinds = {"drawer": drawer, "start": self.start}
        named_first = [
            f"{key}={name}" for key, name in kinds.items() if name is not None
        ]  # so that --set can give their keys
        losses = [f"losses.{name}={weight or 1}" for name, _, weight in _parted(self.losses)]
        grid = [f"drawer.pixels={self.pixels}"] if self.pixels is not None else []
        base = configs.base(layers, self.file, [*named_first, *losses, *(self.settings or []), *grid])
        from vqclip.config.overrides import overrides  # noqa: PLC0415

        self.notes.extend(("config", line) for line in overrides(self.preset, self.file))
        named: dict[str, Any] = {"size": self.size, "steps": self.steps, "seed": self.seed}
        named |= {"init": one_init(self.init, self.pull)}
        named |= {"palette": self.palette, "filters": self.filters or None, "save_every": self.save_every}
        named |= {"aspect": self.aspect, "extend": self.extend, "style": self.style}
        if self.mask or self.extend:
            named["size"] = self.size or "init"  # so that what is kept isn't scaled
        if self.mask:
            sections = {**sections, "mask": {"file": self.mask}}
        given = {"prompts": self._prompts(prompt, base.above.get("prompts"))} | _given(named)
        if self.upscale is not None:
            given["upscale"] = {"factor": self.upscale}
        given |= {name: _given(section) for name, section in sections.items()}
        config = base.resolve(given)
        if self.size and config.is_masked and (line := _scaled(config)):
            self.notes.append(("note", line))
        return config

    def _prompts(self, prompt: str | None, below: Any) -> list[Any]:
        """The prompts of the command line, or else the config's, with the image prompts; raises UsageError."""
        images = [prompts.format(prompts.image(given)) for given in self.image_prompts or []]
        below = below if isinstance(below, list) else [below] if below else []
        if prompt is not None and below:
            origin = self._origin_of_prompts()
            self.notes.append(("prompt", f"PROMPT wins over the prompts of {origin}: {shorten(below[0])}"))
        lines = below if prompt is None else [prompt]
        if not lines and not images:
            raise UsageError(
                "Missing argument 'PROMPT'; write one, as in \"a red apple\", or prompts in a config (-c FILE)"
            )
        return [*lines, *images]

    def _origin_of_prompts(self) -> str:
        if any(setting.partition("=")[0].strip() == "prompts" for setting in self.settings or []):
            return "--set"
        return f"-c {self.file}" if self.file else "the preset"

    def _judge(self, config: "Config", judge: str | None) -> str:
        """The name of what ranks; a line says so where it guides the images as well."""
        from vqclip.guidance.perceptors.chosen import usual_judge  # noqa: PLC0415

        name = judge or usual_judge(config)
        if any(perceptor.label == name for perceptor in config.perceptors):
            line = f"{name}, which guides the images too, and so ranks them too high; see --judge judge"
            self.notes.append(("judge", line))
        return name

    @property
    def draws_seed(self) -> bool:
        """Whether no seed was given, so that each call draws another one."""
        from vqclip.config import resolve as configs  # noqa: PLC0415

        given = configs.base(self.preset, self.file, self.settings or []).above.get("seed")
        return self.seed is None and given is None

    def run(
        self,
        outputs: Sequence["OutputSpec"],
        keep: int | None = None,
        judge: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Say what was understood, and plan it or make it, so many `batch_size` or as many as is best.

        With `keep`, the best so many by a judge are results.
        """
        ranks = self._judge(outputs[0].config, judge) if keep else None
        for topic, text in () if self.quiet else self.notes:
            say(topic, text)
        if self.plan:
            from vqclip.cli.plan import explain  # noqa: PLC0415

            if not self.quiet:
                say_prompts(outputs[0].config)
            return explain(
                outputs, self.device, self.runs, batch_size, ranks, self.as_json, draws_seed=self.draws_seed
            )

        from vqclip.cli.session_calls import BestOf, paint  # noqa: PLC0415

        best_of = BestOf(keep, ranks) if keep and ranks else None
        return paint(
            outputs, self.device, self.runs, best_of, batch_size=batch_size,
            as_json=self.as_json, quiet=self.quiet, verbose=self.verbose, pull=self.pull,
        )  # fmt: skip


def read_prompt(given: str) -> str:
    """Return a prompt as it was given, or read it from stdin for `-`; raises UsageError where that is empty."""
    if given.strip() != "-":
        return given
    # What isn't UTF-8 is refused later, like that of an argument.
    data = sys.stdin.buffer.read() if sys.stdin else b""
    text = " ".join(data.decode("utf-8-sig", errors="surrogateescape").split())
    if not text:
        raise UsageError(
            'there is no prompt on stdin; write one, as in: echo "a red apple" | vqclip generate -'
        )
    return text


def painting(command: Callable[..., None]) -> Callable[..., None]:
    """A command of its own options and those of PaintingOptions, which it gets as its argument `common`."""
    parameters = inspect.signature(command).parameters.values()
    own = [p for p in parameters if p.name != "common"]
    shared = inspect.signature(PaintingOptions).parameters
    ordered = [*own, *shared.values()]

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        common = PaintingOptions(**{name: given.pop(name) for name in shared})
        if given.get("prompt") is not None:
            given["prompt"] = read_prompt(given["prompt"])
        obey(common.offline)
        listen_to_library(common.quiet)
        command(**given, common=common)

    # The command line is read off the signature.
    whole.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in ordered}
    return whole


def say_prompts(config: "Config") -> None:
    """Print each prompt as it was understood."""
    for prompt in config.parsed_prompts:
        say("prompt", describe(prompt))


def describe(prompt: prompts.Prompt) -> str:
    """Describe a parsed prompt in one line."""
    weight = f"{prompt.weight:g}" if prompt.course is None else f"{{{prompt.course}}}"
    away = " (away from it)" if prompt.weight < 0 else ""
    stop = "" if prompt.stop == float("-inf") else f", stop {prompt.stop:g}"
    return f"{prompt.label} · {prompt.kind.value}, weight {weight}{away}{stop}"


def _scaled(config: "Config") -> str:
    """Describe how the size scales the init image, of which a part is kept; "" if it doesn't."""
    margins = config.margins
    room = config.width - margins.left - margins.right, config.height - margins.top - margins.bottom
    given = upright_size(Path(config.init or ""))
    if room == given:
        return ""
    shown = "x".join(map(str, room))
    return (
        f"--size {config.size} scales the init image from {given[0]}x{given[1]} to {shown}; leave --size out, and "
        "what is kept stays as it is"
    )


def _parted(losses: Sequence[str] | None) -> list[tuple[str, str, str]]:
    """Part each NAME:WEIGHT at its first colon, as a weight may be keyframes."""
    return [loss.partition(":") for loss in losses or []]


def _given(named: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a user gave, as plain data."""
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in named.items()}
    return {key: value for key, value in plain.items() if value is not None}
