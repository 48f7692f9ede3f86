#!/usr/bin/env python3
"""Feed mutated batch files, configs and prompts to the command line: each is read, or refused in one line.

    PYTHONPATH=. .venv/bin/python tests/stress/inputs.py [COUNT] [SEED]      # 10000 inputs by default

A traceback, the word "unexpected", an error of several lines, a control character on the terminal, a job without a line
in the plan, or a config that doesn't survive its own YAML ends the run, with the input kept and named.
"""

import contextlib
import io
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vqclip.base.errors import VqclipError
from vqclip.cli.app import main
from vqclip.config import prompt
from vqclip.config import resolve as configs

CASES = Path(__file__).parents[1] / "cases"
PLAIN = r"""
prompt prompts seed steps size preset set defaults jobs matrix cutouts cutouts.count perceptors model latent stages film
source.video init draft draft+fine --seed --size --set --image-prompt steps=3 seed= = 64x64 9999999999x1 : , ; | ^ " ""
' [ ] { } # &a *a !!int !!python/name:os.system --- yes no on null ~ true 010 0x1F 0o17 1e3 1e999 -1 1.5 12:30
2024-01-01 .nan .inf NaN Infinity {s} {seed} [noise:7] [a.png] :2 :-1:0.5 :{0->1} ${seed} \ud800 \u0000 .. / 苹果 é
"""
WORDS = [
    *PLAIN.split(),
    "a red apple", " -- ", ": ", "\t", "- ", "\n", "\n\n", "\r\n", "\r", "<<: *a", "%YAML 1.1", "0 -> 1", "0:1, 50%:2",
    "\0", "\x1b[31m", "\x07", "\x9b2J", "\u2028", "\x85", "\x0b", "\x0c", "\u202e", "\ufeff", "\U0001f34e", "sep=;\n",
    "9" * 30, "9" * 5000, "[noise:" + "9" * 200 + "]", ":" + "9" * 50, "x" * 5000,
    "[" * 1200, "{a: " * 150, '{"a":' * 1200,
]  # fmt: skip
SEEDS = {
    ".txt": "a red apple\na clock: study in blue:2 -- --seed 7 --set cutouts.count=3 --preset draft\n# no\nb | c:-1\n",
    ".csv": 'prompt,seed,cutouts.count\na red apple,1,3\n"a ""b"", c",2,\nan owl,,\n',
    ".tsv": "Prompt\tSeed\na red apple\t1\nan owl\t2\n",
    ".jsonl": '{"prompt": "a red apple", "seed": 1}\n{"prompts": ["a", "b"], "cutouts": {"count": 3}}\n"an owl"\n',
    ".json": '[{"prompt": "a red apple"}, "an owl", {"prompt": 5, "preset": "draft", "set": ["steps=3"]}]',
    ".yaml": "defaults: &d {preset: draft, steps: 9}\njobs:\n- a red apple\n- {prompt: an owl, steps: 60}\n- <<: *d\n"
    '  prompt: yes\nmatrix: {prompt: "{s} in {t}", s: [a fox, 012], t: [no, 1.50], seed: [1, 2]}\n',
}
CONFIG = (
    "prompts: a red apple\nseed: 010\nsteps: 3\ncutouts: {count: 3, flip: 1e-1}\nperceptors:\n- {model: mini-clip-2}\n"
    "optimizer: {rate: 0.3 -> 0.1}\nlatent: {stages: [{scale: 0.5, share: 1}, {scale: 1, share: 1}]}\ntile: yes\n"
)
PROMPTS = [
    "a red apple:2:.5",
    '"quoted: \\"text\\"":-1',
    "[a.png]:0.3 | [noise:7]",
    "a ^ b:{0 -> 1} | c",
    "16:9 10:30",
]


class Broken(Exception):  # noqa: N818  # it names what is broken
    """What must never happen."""


def mutate(text: str, chance: random.Random) -> bytes:
    """Some changes of a text, and now and then of its bytes."""
    for _ in range(chance.randint(0, 4)):
        at, length = chance.randint(0, len(text)), chance.choice([0, 0, 1, 3, 20])
        piece = chance.choice(WORDS)
        if chance.random() < 0.2:
            start = chance.randint(0, len(text))
            piece = text[start : start + chance.randint(1, 40)]
        text = text[:at] + piece + text[at + length :]
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data and chance.random() < 0.1:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.05 else data)


def run_command(*words: str, lines: int | None = 1) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the console script, in this process; a failure says so many lines, if given."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["vqclip", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
    said = err.getvalue()
    if re.search(r"unexpected \w+: |please report|Traceback", said):
        raise Broken(said[-500:])
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800-\udfff]", said):
        raise Broken(f"a control character in {said!r}")
    if code and lines not in (None, len([x for x in said.split("\n") if x and not x.startswith("note ")])):
        raise Broken(f"no single line: {said!r}")
    return code, out.getvalue(), said


def try_batch(chance: random.Random) -> str:
    """Plan a mutated batch file: every job has its line, or the file is refused."""
    suffix = chance.choice(list(SEEDS))
    cases = [path.read_text(encoding="utf-8") for path in CASES.glob(f"*{suffix}")]
    data = mutate(chance.choice([SEEDS[suffix], *cases]), chance)
    path = Path(f"jobs{suffix if chance.random() < 0.9 else chance.choice(list(SEEDS))}")
    path.write_bytes(data)
    code, out, _ = run_command("batch", str(path), "--plan", "--json")
    if code:
        return "batch refused"
    lines = [json.loads(line) for line in out.split("\n") if line]
    if [line["index"] for line in lines] != list(range(1, len(lines) + 1)):
        raise Broken(f"jobs are lost: {lines}")
    if path.suffix == ".txt":
        said = (
            data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        )
        jobs = [
            line for line in said if line.partition(" -- ")[0].strip() and not line.lstrip().startswith("#")
        ]
        if len(jobs) != len(lines):
            raise Broken(f"{len(jobs)} lines, {len(lines)} jobs")
    faults = [line["error"] for line in lines if line["status"] == "failed"]
    if any(not error or "\n" in error for error in faults):
        raise Broken(f"no single line: {faults}")
    return "batch with faults" if faults else "batch read"


def try_config(chance: random.Random) -> str:
    """Read a mutated config, which survives its own YAML if it is one."""
    text = chance.choice([CONFIG, *(path.read_text() for path in CASES.glob("cfg_*"))])
    Path("my.yaml").write_bytes(mutate(text, chance))
    code, out, _ = run_command("config", "show", "-c", "my.yaml")
    if code:
        return "config refused"
    Path("again.yaml").write_text(out, encoding="utf-8")
    whole = configs.resolve({"seed": 1}, file=Path("my.yaml"))
    if configs.resolve({"seed": 1}, file=Path("again.yaml")) != whole:
        raise Broken("the config that is shown is another one")
    return "config read"


def try_prompt(chance: random.Random) -> str:
    """Read a mutated prompt as an argument of the command line is, and write it back."""
    line = os.fsdecode(mutate(chance.choice(PROMPTS), chance))
    try:
        config = configs.resolve({"prompts": [line]})
    except VqclipError as error:
        if "\n" in str(error).strip() and "\n" not in line:
            raise Broken(f"no single line: {error}") from None
        return "prompt refused"
    if any(prompt.parse(prompt.format(wish)) != [wish] for wish in config.parsed_prompts):
        raise Broken("the prompt that is written back is another one")
    configs.dump(config).encode()
    return "prompt read"


KINDS: list[Callable[[random.Random], str]] = [try_batch, try_batch, try_config, try_prompt]


def run(count: int, seed: int) -> Counter[str]:
    """Outcomes of so many inputs; raises Broken, which says the number of the input."""
    outcomes: Counter[str] = Counter()
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        kind = chance.choice(KINDS)
        try:
            outcomes[kind(chance)] += 1
        except Exception as error:
            raise Broken(
                f"input {number} of seed {seed}, {kind.__name__}: {type(error).__name__}: {error}"
            ) from error
    return outcomes


if __name__ == "__main__":
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    began, folder = time.monotonic(), tempfile.mkdtemp(prefix="vqclip-inputs-")
    os.chdir(folder)
    print(f"inputs are written to {folder}")
    for outcome, times in sorted(run(inputs, int(sys.argv[2]) if len(sys.argv) > 2 else 1).items()):
        print(f"{outcome:<20} {times}")
    print(f"{inputs} inputs in {time.monotonic() - began:.0f} s: each was read, or refused in one line")
