"""What is checked on a GPU goes through on a CPU, and no part stops another."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu_check import main, parts
from benchmarks.on_device import prompts, speed
from benchmarks.on_device.start_up import answer
from benchmarks.on_device.steps import Measured, synchronize
from benchmarks.on_device.table import Check, Part, Row
from benchmarks.plain.crops import Crops
from evaluation.ranking import Verdict
from vqclip.base import device as devices

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # kornia's
CPU = torch.device("cpu")


def checked(folder: Path, seconds: float = 600, smoke: bool = False) -> Check:
    return Check(CPU, smoke, folder, folder, time.monotonic() + seconds)


def test_it_goes_through_on_a_cpu(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--smoke", "--out", str(tmp_path)]) == 0
    rows = {row["name"]: row for row in json.loads((tmp_path / "gpu_check.json").read_text())}
    for name in ("same pixels twice", "killed and resumed", "two CLIPs", "reproduce", "a film of 2"):
        assert [row["verdict"] for key, row in rows.items() if key.startswith(name)] == ["pass"]
    assert {
        "smoke step",
        "smoke step, plain loop",
        "smoke step by precision",
        "prompts painted",
        "R@1",
    } <= rows.keys()
    assert {
        "start-up, a step's capture included",
        "seconds an image of --count N as one batch",
    } <= rows.keys()
    assert len(list(tmp_path.glob("*.png"))) == 3, "two pictures and their sheet"


def test_a_part_that_fails_stops_no_other(tmp_path: Path) -> None:
    def broken() -> Iterator[Row]:
        yield Row("first", "", "1", "pass")
        raise RuntimeError("an odd driver\nand a trace")

    check = checked(tmp_path)
    check.run(Part("broken", broken))
    check.run(Part("whole", lambda: iter([Row("last", "", "1", "pass")])))
    assert [(row.name, row.verdict) for row in check.rows] == [
        ("first", "pass"), ("broken", "fail"), ("last", "pass")
    ]  # fmt: skip
    assert check.rows[1].value == "RuntimeError: an odd driver"


def test_parts_that_the_time_no_longer_suffices_for_say_so(tmp_path: Path) -> None:
    check = checked(tmp_path, seconds=-1)
    check.run(Part("late", lambda: iter([Row("late", "", "1", "pass")])))
    assert [row.verdict for row in check.rows] == ["not run"]


def test_what_has_a_target_comes_first_and_begins_at_any_time_and_triton_comes_last(tmp_path: Path) -> None:
    listed = parts(checked(tmp_path))
    needs = [part.seconds for part in listed]
    required = [part.name for part in listed if not part.seconds]
    assert required == [part.name for part in listed[: len(required)]]
    assert required[0] == "same pixels twice"
    assert {"real-256", "killed and resumed", "prompts"} <= set(required)
    assert listed[-1].name == "VQCLIP_TRITON=1"
    assert sum(needs) <= 8 * 60, "what is left over takes no longer than the whole check"


def test_a_part_begins_only_while_the_seconds_that_it_needs_are_left(tmp_path: Path) -> None:
    check = checked(tmp_path, seconds=30)
    for seconds in (0.0, 20.0, 40.0):
        check.run(Part(f"of {seconds:g}", lambda: iter([Row("done", "", "1", "pass")]), seconds))
    assert [(row.name, row.verdict) for row in check.rows[1:]] == [("done", "pass"), ("of 40", "not run")]


def test_a_process_that_ends_badly_fails_its_own_part(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    check = checked(tmp_path)

    def broken() -> Iterator[Row]:
        answer(check, "no such task")
        yield Row("never", "", "1", "pass")

    check.run(Part("apart", broken))
    check.run(Part("whole", lambda: iter([Row("last", "", "1", "pass")])))
    assert [(row.name, row.verdict) for row in check.rows] == [("apart", "fail"), ("last", "pass")]
    assert "KeyError: 'no such task'" in capfd.readouterr().err


def test_tritons_kernels_are_tried_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, asked = checked(tmp_path, smoke=True), []

    def answered(_: Check, *words: str, given: Any, **environment: str) -> dict[str, Any]:
        asked.append((words, environment))
        return {"seconds": 0.003}

    monkeypatch.setattr(Check, "has_graphs", True)
    monkeypatch.setattr(speed, "answer", answered)
    check.measured["smoke"] = Measured(0.004, None)
    (row,) = speed.with_triton(check)
    assert (row.value, row.verdict) == ("3.00 ms, × 0.75", "–")
    assert asked == [(("triton", "cpu"), {"VQCLIP_TRITON": "1"})]
    assert "VQCLIP_TRITON" not in os.environ


def test_what_auto_takes_must_be_as_fast_as_any_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"float32": 0.010}
    monkeypatch.setattr(Check, "counts", True)
    monkeypatch.setattr(devices, "_cpu_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(speed, "measure_vqclip", lambda *_, precision: Measured(times[precision], None))
    for bfloat16, verdict in ((0.0105, "pass"), (0.012, "fail")):
        times["bfloat16"] = bfloat16
        (row,) = speed.precisions(checked(tmp_path, smoke=True))
        assert row.verdict == verdict
        assert row.value.endswith("auto takes bfloat16")


def test_prompts_that_the_time_cuts_off_have_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Check, "counts", True)
    rows = list(prompts.prompts(checked(tmp_path, seconds=-1)))
    assert [row.verdict for row in rows] == ["not run", "not run"]
    assert rows[0].value.startswith("0 of 40")


@pytest.mark.parametrize(("firsts", "verdict"), [(26, "pass"), (25, "fail")])
def test_pictures_must_be_found_as_often_as_a_cpus(
    firsts: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 % of forty are 25.6."""
    ranks = [1] * firsts + [2] * (40 - firsts)
    monkeypatch.setattr(Check, "counts", True)
    monkeypatch.setattr("evaluation.judge.Judge.open", lambda *_: None)
    monkeypatch.setattr(
        "evaluation.ranking.rank", lambda *_: [Verdict(tmp_path, "", rank, "", 0.0) for rank in ranks]
    )
    assert prompts.ranked(checked(tmp_path), []).verdict == verdict


def test_a_timing_waits_for_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Any] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for device in (torch.device("cuda:1"), CPU):
        synchronize(device)
    assert waited == [torch.device("cuda:1")]


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
