"""What is checked on a GPU goes through on a CPU, and no part stops another."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.device_table import Check, Part, Row
from benchmarks.gpu_check import main
from benchmarks.plain.crops import Crops

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # kornia's
CPU = torch.device("cpu")


def test_it_goes_through_on_a_cpu(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--smoke", "--out", str(tmp_path)]) == 0
    rows = {row["name"]: row for row in json.loads((tmp_path / "gpu_check.json").read_text())}
    for name in ("same pixels twice", "killed and resumed: same pixels"):
        assert rows[name]["verdict"] == "pass"
    assert {"smoke step", "smoke step, plain loop", "prompts painted", "R@1"} <= rows.keys()
    assert len(list(tmp_path.glob("*.png"))) == 3, "two pictures and their sheet"


def test_a_part_that_fails_stops_no_other(tmp_path: Path) -> None:
    def broken() -> Iterator[Row]:
        yield Row("first", "", "1", "pass")
        raise RuntimeError("an odd driver\nand a trace")

    check = Check(CPU, True, tmp_path, tmp_path, time.monotonic() + 600)
    check.run(Part("broken", broken))
    check.run(Part("whole", lambda: iter([Row("last", "", "1", "pass")])))
    assert [(row.name, row.verdict) for row in check.rows] == [
        ("first", "pass"), ("broken", "fail"), ("last", "pass")
    ]  # fmt: skip
    assert check.rows[1].value == "RuntimeError: an odd driver"


def test_parts_that_the_time_no_longer_suffices_for_say_so(tmp_path: Path) -> None:
    check = Check(CPU, True, tmp_path, tmp_path, time.monotonic() - 1)
    check.run(Part("late", lambda: iter([Row("late", "", "1", "pass")])))
    assert [row.verdict for row in check.rows] == ["not run"]


def test_the_plain_loops_crops_need_no_kornia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    torch.manual_seed(0)
    image = torch.rand(1, 3, 24, 32, requires_grad=True)
    views = Crops(16, 8)(image)
    assert views.shape == (8, 3, 16, 16)
    assert (views - views[:1]).abs().amax((1, 2, 3))[1:].min() > 0, "no two are alike"
    views.sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
