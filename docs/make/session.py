"""Write docs/first-session.md: a terminal session, by running its commands.

    python -m docs.make.session [FILE]

Every line of the session is what the commands print. Times, speeds and memory are those of the machine that ran them.
tests/test_first_session.py runs the quick commands again, and fails where the file differs.
"""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "first-session.md"
HEAD = """# A first session

`python -m docs.make.session` wrote this session by running its commands on a CPU, with the mini models.
Lines after `$` are typed.
"""


@dataclass(frozen=True)
class Typed:
    """A line that is typed, with what a reader is told before it; `quick` lines make no image."""

    told: str
    line: str
    quick: bool = False


SESSION = (
    Typed("What is there?", "vqclip --help", quick=True),
    Typed("A first image, by a preset that takes seconds.",
          'vqclip generate "a red apple" --preset draft --seed 7 -o apple.png'),
    Typed("A mistake is one line, which says what to type.",
          'vqclip generate "a red apple" --preset drfat', quick=True),
    Typed("An image that exists is not replaced.",
          'vqclip generate "a green apple" --preset draft -o apple.png', quick=True),
    Typed("What does a preset set?", "vqclip presets show draft", quick=True),
    Typed("Ctrl-C stops an image; here `timeout` sends it. The last line says how to go on.",
          'timeout --signal INT 12 vqclip generate "a sailing boat" --preset draft --steps 150 -o boat.png'),
    Typed("", "vqclip resume runs/*-a-sailing-boat-*"),
    Typed("Many images are a file of prompts. The same command again would make what is left.",
          "printf 'an owl -- --seed 1\\na yellow flower -- --seed 2\\n' > prompts.txt", quick=True),
    Typed("", "vqclip batch prompts.txt --preset draft --workers 1"),
    Typed("What lies on the disk?", "vqclip runs"),
)  # fmt: skip


def session() -> str:
    """Run all lines in a new folder, and return the whole text."""
    with tempfile.TemporaryDirectory() as folder:
        return HEAD + "".join(block(typed, Path(folder)) for typed in SESSION)


def block(typed: Typed, folder: Path) -> str:
    """Run a line, and return its part of the text."""
    told = f"\n{typed.told}\n" if typed.told else ""
    return f"{told}\n```\n$ {typed.line}\n{run(typed.line, folder)}```\n"


def run(line: str, folder: Path) -> str:
    """Return what a line prints on both streams, as a terminal of 80 columns shows it."""
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    program = programs / "vqclip"
    call = "import sys; sys.argv[0] = 'vqclip'; from vqclip.cli.app import main; main()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{call}" "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(folder / ".home"),
        "COLUMNS": "80", "LC_ALL": "C.UTF-8", "TERM": "dumb",
    }  # fmt: skip
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = done.stdout.replace(f"{folder}{os.sep}", "")  # the folder's name is another one each time
    return "".join(f"{shown.rstrip()}\n" for shown in printed.splitlines())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs would ignore Ctrl-C
    Path(sys.argv[1] if len(sys.argv) > 1 else FILE).write_text(session(), encoding="utf-8")
