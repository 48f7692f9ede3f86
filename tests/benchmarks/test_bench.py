"""The bench compares like with like: the plain loop does the same mathematics, and every figure is there."""

import dataclasses
import io
import itertools
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import TINY, Tiny, describe, random_vqgan
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from benchmarks import bench_device

ROOT = Path(__file__).parents[2]


from benchmarks.cases import Case  # noqa: E402
from benchmarks.quality import Marks, Point, complete, paint, seconds_to  # noqa: E402
from benchmarks.rounds import Bench  # noqa: E402
from benchmarks.show import plot  # noqa: E402
from vqclip.config.timeline import Film  # noqa: E402
from vqclip.guidance.optimize import take_step  # noqa: E402
from vqclip.guidance.state import State  # noqa: E402
from vqclip.pipeline.model_cache import ModelCache  # noqa: E402
from vqclip.pipeline.pipeline import Pipeline  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # kornia's
SIZE = (16, 24)


@pytest.fixture
def vqgan(tmp_path: Path) -> Path:
    """Attention in its middle and at its lower resolution."""
    architecture = dataclasses.replace(TINY, attn_resolutions=(16,))
    save_file(random_vqgan(architecture).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(describe(architecture)))
    return tmp_path / "model.safetensors"


def test_the_plain_loop_does_the_same_mathematics(
    tiny: Tiny, vqgan: Path, tiny_clip: Path, other_clip: Path
) -> None:
    """Same weights, latent and crops: the same losses, and the same gradient of the latent."""
    from benchmarks.plain.crops import Crops as PlainCrops  # noqa: PLC0415
    from benchmarks.plain.loop import Loop  # noqa: PLC0415

    clips = [str(tiny_clip), str(other_clip)]
    loop = Loop(str(vqgan), clips, "a red apple", SIZE)
    loop.looks = [PlainCrops(eye.size, 4, augmented=False) for eye in loop.eyes]
    losses = loop.losses()
    torch.stack(losses).sum().backward()

    config = tiny(
        vqgan=str(vqgan), perceptors=[{"model": clip} for clip in clips], start="codes", size="16x24"
    )
    pipeline, frame = Pipeline(config, torch.device("cpu")), Film(config).frame(0)
    objective = dataclasses.replace(pipeline.objective(frame), cutouts=SeenPlainly())
    gradients: list[Tensor] = []
    state = State.begin(loop.z, pipeline.make_optimizer, 1)
    state.optimizer.register_step_pre_hook(lambda *_: gradients.append(state.latent.z.grad.clone()))
    (step,) = take_step(frame, objective, [state])
    torch.testing.assert_close(list(step.losses.values()), [loss.detach() for loss in losses])
    torch.testing.assert_close(gradients, [loop.z.grad], rtol=1e-4, atol=1e-7)


class SeenPlainly:
    """Cutouts that look as the plain loop does."""

    def draw(self, height: int, width: int, size: int, seed: int, count: int, fixed: bool) -> int:
        return count

    def cut(self, image: Tensor, count: int, size: int) -> Tensor:
        from benchmarks.plain.crops import Crops as PlainCrops  # noqa: PLC0415

        return PlainCrops(size, count, augmented=False)(image)


def test_the_plain_loop_comes_nearer_to_what_is_wished(tiny_vqgan: Path, tiny_clip: Path) -> None:
    from benchmarks.plain.loop import Loop  # noqa: PLC0415

    loop = Loop(str(tiny_vqgan), [str(tiny_clip)], "a red apple", SIZE, crops=8)
    losses = [sum(told) for told in itertools.islice(loop.steps(), 40)]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert bool(((loop.z >= loop.low) & (loop.z <= loop.high)).all())
    assert loop.image().size == SIZE


def test_every_figure_is_there() -> None:
    """For both loops, and how they compare."""
    command = [sys.executable, "-m", "benchmarks.bench", "--smoke", "--json"]
    printed = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    told = printed["cases"]["smoke"]
    assert {"seconds", "pictures", "memory", "flop", "share"} <= told["plain"].keys()
    assert told["vqclip"].keys() >= told["plain"].keys() | {"planned", "help", "first", "floor", "start"}
    assert {"seconds", "pictures", "memory", "flop"} == told["ratio"].keys()
    assert all(figure > 0 for loop in told.values() for figure in loop.values())
    assert told["vqclip"]["flop"] > 1e8
    peak = max(printed["peaks"].values())
    for loop in ("vqclip", "plain"):
        assert told[loop]["share"] == pytest.approx(told[loop]["flop"] / told[loop]["seconds"] / peak)


def test_a_devices_figures_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--smoke", "--device", "cpu", "--json"])
    runpy.run_path(str(ROOT / "benchmarks/bench.py"), run_name="__main__")
    loops = json.loads(capsys.readouterr().out)["cases"]["smoke"]
    assert {"vqclip", "plain"} == loops.keys()
    assert all(loop["seconds"] > 0 for loop in loops.values())


def test_a_devices_table_compares_what_both_loops_tell() -> None:
    whole = {"seconds": 0.01, "memory": 2**30, "launches": 2.0, "kernels": 900.0, "busy": 0.9}
    told = {
        "a": {"vqclip": whole, "plain": {"seconds": 0.05, "memory": 2**31}},
        "b": {"vqclip": whole, "plain": {"over": True}},
    }
    console = Console(width=120, file=io.StringIO())
    console.print(bench_device.table(told))
    printed = console.file.getvalue()
    for text in ("× 0.20", "× 0.50", "10.00", "2.0", "900", "90%", "over"):
        assert text in printed


def test_memory_is_plotted_by_size_and_by_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each loop, which ends where memory did: here the plain loop's at its first crop."""

    def child(bench: Bench, task: str, case: Case, *_: str) -> dict[str, Any]:
        if task == "prepare":
            return {"case": dataclasses.asdict(case), "files": [], "planned": 2**30}
        return {"over": 2**30} if (task, case.name) == ("plain", "crops 2") else {"memory": case.side * 2**30}

    monkeypatch.setattr(Bench, "_child", child)
    monkeypatch.setattr(sys, "argv", ["bench", "--smoke", "--plots", str(tmp_path)])
    runpy.run_path(str(ROOT / "benchmarks/bench.py"), run_name="__main__")
    drawn = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert drawn.keys() == {"memory-size.svg", "memory-crops.svg"}
    points = {
        name: [len(p.split()) for p in re.findall(r'points="(.*?)"', text)] for name, text in drawn.items()
    }
    assert points == {"memory-size.svg": [2, 2], "memory-crops.svg": [2, 1]}


def test_a_plots_lines_end_at_their_largest_points() -> None:
    drawn = plot("memory", {"one": [(1, 1.0), (2, 4.0)], "two": [(1, 2.0)]})
    assert drawn.count("<polyline") == 2
    assert "one 4.0" in drawn
    assert "two 2.0" in drawn


def test_the_time_to_a_quality_is_read_between_the_points_that_enclose_it() -> None:
    curve = [Point("vqclip", 10, 2.0, 0.1, 0, 0), Point("vqclip", 20, 4.0, 0.3, 0, 0)]
    assert seconds_to(0.2, curve) == pytest.approx(3.0)
    assert seconds_to(0.1, curve) == pytest.approx(2.0)
    assert seconds_to(0.05, curve) == pytest.approx(2.0), "no painting was shorter, so none is claimed"
    assert seconds_to(0.4, curve) is None


def test_a_stopped_measurement_of_quality_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was painted is kept, each with its seconds."""
    marks: Marks = {"plain": (1, 2), "draft": (1,)}
    prompts, cache = [(0, "a red apple"), (1, "an owl")], ModelCache(torch.device("cpu"))
    painting = paint(prompts, marks, 32, tmp_path, cache)
    next(painting)
    painting.close()
    assert complete(marks, prompts, tmp_path) == []
    assert len(list(paint(prompts, marks, 32, tmp_path, cache))) == 3
    assert complete(marks, prompts, tmp_path) == [0, 1]
    assert len(list(tmp_path.rglob("*.png"))) == 6
    assert list(paint(prompts, marks, 32, tmp_path, cache)) == []
