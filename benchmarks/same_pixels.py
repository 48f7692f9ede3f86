"""Compare the pixels of two checkouts: six drafts, a film, a batch, and a run that one begins and the other resumes.

    python -m benchmarks.same_pixels OLD_CHECKOUT

The old checkout is another version of this repository, as `git worktree add ../old REVISION` makes one. Both run with
this interpreter and its packages, one after the other, on the same machine. Exits with 1 if any pixel differs.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

NEW = Path(__file__).resolve().parents[1]
ENTER = "from vqclip.cli.app import main; main()"  # every version has it
PROMPTS = [
    "a red apple",
    "an owl",
    "a lighthouse in a storm",
    "a black cat at night",
    "a castle | fog:0.5",
    "a ship:2",
]
DRAFT = ["--preset", "draft", "--quiet"]
FILM = [
    "zoom",
    "a mountain lake",
    "--frames",
    "3",
    "--seed",
    "5",
    "--size",
    "64x64",
    "--steps",
    "8",
    "--frame-steps",
    "4",
]
STOPPED = ["generate", "a sailing boat", "--seed", "4", "--preset", "draft", "--runs"]


def command(checkout: Path, *words: object) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that run `vqclip WORDS` with a checkout's code."""
    return [sys.executable, "-c", ENTER, *map(str, words)], os.environ | {"PYTHONPATH": str(checkout)}


def run(checkout: Path, folder: Path, *words: object) -> None:
    line, environment = command(checkout, *words)
    subprocess.run(line, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def paint(checkout: Path, folder: Path) -> None:
    """Six drafts, a film and a batch of three, in a folder."""
    folder.mkdir()
    for seed, prompt in enumerate(PROMPTS):
        run(checkout, folder, "generate", prompt, *DRAFT, "--seed", seed, "-o", f"draft-{seed}.png")
    run(checkout, folder, *FILM, "--runs", "film", "--quiet")
    (folder / "jobs.txt").write_text("a red flower\na blue bird -- --size 48x32\na green tree -- --steps 5\n")
    small = ["--set", "steps=6", "--set", "size=64x64"]
    run(checkout, folder, "batch", "jobs.txt", *small, "--workers", 1, "--quiet")


def stop_in_the_middle(checkout: Path, folder: Path) -> Path:
    """Begin a draft, interrupt it at about its half, and return its run folder."""
    folder.mkdir()
    line, environment = command(checkout, *STOPPED, "runs")
    process = subprocess.Popen(line, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for said in process.stderr:  # a line every tenth of the steps
        if said.startswith("step") and "20/40" in said:
            process.send_signal(signal.SIGINT)
            break
    process.stderr.read()
    if process.wait() != 128 + signal.SIGINT:
        raise SystemExit(f"the old checkout was to be interrupted, and left with {process.returncode}")
    (begun,) = (folder / "runs").iterdir()
    return begun


def compare(old: Path, new: Path) -> Iterator[tuple[str, bool]]:
    """Each image that lies in both folders, by its name, and whether its pixels are the same in both."""
    drafts, batch = sorted(old.glob("draft-*.png")), sorted((old / "runs/jobs").glob("0*.png"))
    pairs = {path.stem: (path, new / path.relative_to(old)) for path in [*drafts, *batch]}
    frames = [sorted(folder.glob("film/*/frames/*.png")) for folder in (old, new)]
    pairs |= {f"frame {i}": pair for i, pair in enumerate(zip(*frames, strict=True))}
    for name, (one, other) in pairs.items():
        yield name, same(one, other)


def same(one: Path, other: Path) -> bool:
    return np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    old = parser.parse_args().old.resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        paint(old, work / "old")
        paint(NEW, work / "new")
        rows = list(compare(work / "old", work / "new"))
        begun = stop_in_the_middle(old, work / "stopped")
        run(NEW, work / "stopped", "resume", begun, "--quiet")
        run(old, work / "old", *STOPPED, "whole", "--quiet")
        (whole,) = (work / "old/whole").iterdir()
        rows.append(("resumed", same(whole / "image.png", begun / "image.png")))
    for title, is_same in rows:
        print(f"{title:<36} {'the same pixels' if is_same else 'OTHER pixels'}")
    sys.exit(not all(is_same for _, is_same in rows))


if __name__ == "__main__":
    main()
