"""What the tests of trainings from one packed file share: a clock, a small pack, and a process of few packages."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MISSING = (  # that a training on a GPU must do without
    "einops", "ftfy", "omegaconf", "open_clip", "pandas", "regex", "rich", "scipy", "tokenizers", "transformers",
    "typer",
)  # fmt: skip
WITHOUT_THEM = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in MISSING)


class Clock:
    """Time that passes by being looked at: how much is trained hangs on no machine's speed."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """A quarter of a second later at each look."""
        self.now += 0.25
        return self.now

    def time(self) -> float:
        return self.now


def small_pack(folder: Path, *options: str) -> Path:
    """Pack a small data set of made-up images; `options` are those of training.pack."""
    file = folder / "packed.safetensors"
    command = [sys.executable, "-m", "training.pack", "--smoke", "--data", folder / "data", "--out", file]
    subprocess.run([*map(str, command), *options], cwd=ROOT, check=True)
    return file
