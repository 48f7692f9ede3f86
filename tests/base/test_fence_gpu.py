"""Every start, film, restyle and batch paints on a GPU: on one that isn't there, see fake_gpu.py."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import Done, Tiny, Vqclip
from fake_gpu import FakeGpu, FakeGraphs, backward, fake_gpu, watched
from fence_paths import FILMS, STARTS, WAYS, with_files
from torch import Tensor

from vqclip.base.device import allow_tf32, arithmetic, dtype_for
from vqclip.base.errors import UsageError
from vqclip.config import registry
from vqclip.config import resolve as configs
from vqclip.pipeline.pipeline import Pipeline


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    with fake_gpu(monkeypatch) as gpu:
        yield gpu


@pytest.fixture
def tiny_yaml(tiny: Tiny, tmp_path: Path) -> Path:
    """A config file on the tiny models, in the arithmetic that suits the device."""
    stages = [{"scale": 1, "share": 1}]
    values = configs.to_dict(tiny(precision="auto", steps=2, film={"steps": 2}, latent={"stages": stages}))
    del values["prompts"], values["seed"]
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


Paint = Callable[..., Done]


@pytest.fixture
def paint(gpu: FakeGpu, vqclip: Vqclip, tiny_yaml: Path, tiny_vqgan: Path, tmp_path: Path) -> Paint:
    """A command on the GPU that has to end well, with files in the place of their names, and with a captured step."""

    def run(command: str, *words: str) -> Done:
        given = with_files(list(words), tmp_path, tiny_vqgan)
        done = vqclip("--debug", command, *given, "-c", tiny_yaml, "--device", "cuda")
        assert done.code == 0, done.err
        assert "cuda" in done.err
        assert gpu.captures or ("--steps", "0") in pairwise(words)
        return done

    return run


class Doubles:
    """In place of spandrel's loader: an upscaler that repeats pixels."""

    input_channels, output_channels, scale = 3, 3, 2

    def __init__(self, device: torch.device):
        assert device.type == "cuda"

    def load_from_state_dict(self, tensors: dict[str, Tensor]) -> "Doubles":
        return self

    def eval(self) -> None:
        pass

    def __call__(self, image: Tensor) -> Tensor:
        assert image.is_cuda
        return F.interpolate(image, scale_factor=2)


@pytest.fixture(autouse=True)
def upscalers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", SimpleNamespace(ModelLoader=Doubles))


@pytest.mark.parametrize("words", [*STARTS.values(), *WAYS.values()], ids=[*STARTS, *WAYS])
def test_generate(words: list[str], paint: Paint) -> None:
    paint("generate", "a red apple", *words)


def test_steps_without_a_graph_send_their_draw_alone_too(
    gpu: FakeGpu, vqclip: Vqclip, tiny_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake graphs' rehearsal takes no step, so that only this test watches one without a graph."""
    monkeypatch.setenv("VQCLIP_GRAPH", "0")
    words = [*WAYS["every chance of crops"], *WAYS["losses"]]
    done = vqclip("--debug", "generate", "a", *words, "-c", tiny_yaml, "--device", "cuda")
    assert done.code == 0, done.err
    assert not gpu.captures


@pytest.mark.parametrize("words", FILMS.values(), ids=FILMS)
def test_films(words: list[str], paint: Paint) -> None:
    paint(*words)


SKETCH = ["--set", "start=sketch", "--set", "texts.image_prior=mini-image-prior-2"]


def test_the_models_that_ship_and_a_sketch(gpu: FakeGpu, vqclip: Vqclip) -> None:
    words = ["--preset", "draft", "--steps", "1", "--size", "64x64", *SKETCH]
    done = vqclip("--debug", "generate", "two red apples on a table | fog", *words, "--device", "cuda")
    assert done.code == 0, done.err


REGISTRIES = [registry.STARTS, registry.LOSSES, registry.FILTERS, registry.DRAWERS]


@pytest.mark.parametrize("listed", REGISTRIES, ids=lambda listed: listed.kind)
def test_nothing_that_a_config_names_is_left_out(listed: registry.Registry) -> None:
    """The drawer `vqgan` is that of all others."""
    ways = [*STARTS.values(), *WAYS.values(), *FILMS.values(), SKETCH]
    named = set(re.findall(r"\w+", " ".join(word for words in ways for word in words)))
    assert set(listed.shipped()) - named <= {"vqgan"}


@pytest.mark.parametrize("name", ["adam", "nadam", "adagrad", "rmsprop", "sgd"])
def test_moments_of_all_kinds_go_on_with_the_next_frame(name: str, paint: Paint) -> None:
    """Moved with the picture, and resampled where the latent grows."""
    paint("zoom", "a", "--frames", "2", "--zoom", "1.1", "--set", f"optimizer.name={name}")


def test_what_was_stopped_goes_on(paint: Paint, vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a film's second frame, from its snapshot."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "vqclip.cli.display.report.PlainReport.step",
            lambda _, event: event.step.frame == 1 and signal.raise_signal(signal.SIGINT),
        )
        with pytest.raises(AssertionError, match="stopped at step"):
            paint("zoom", "a", "--frames", "2", "--frame-steps", "3")
    (run,) = Path("runs").iterdir()
    done = vqclip("--debug", "resume", run, "--device", "cuda")
    assert done.code == 0, done.err
    done = vqclip("--debug", "film", run, "--interpolate", "2", "--device", "cuda")
    assert done.code == 0, done.err


def test_a_picture_is_painted_again_and_a_video_made(paint: Paint, vqclip: Vqclip) -> None:
    paint("generate", "a", "-o", "a.png", "--video")
    done = vqclip("--debug", "reproduce", "a.png", "--device", "cuda")
    assert done.code == 0, done.err


def test_a_batch(gpu: FakeGpu, vqclip: Vqclip, tiny_yaml: Path) -> None:
    Path("jobs.txt").write_text("a\nb -- --size 20x16\n")
    done = vqclip("batch", "jobs.txt", "-c", tiny_yaml, "--devices", "cuda:0", "--workers", "1")
    assert done.code == 0, done.err


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_bf16_where_the_hardware_multiplies_it(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqclip.base.device.present", lambda: ["cuda:0", "cpu"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert dtype_for("auto", torch.device("cuda")) is dtype
    assert dtype_for("auto", torch.device("mps")) is torch.float32


@pytest.fixture
def tf32_switches() -> Iterator[list[Any]]:
    """Those of products and of convolutions; put back in the end."""
    switches: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [switch.allow_tf32 for switch in switches]
    yield switches
    for switch, was in zip(switches, before, strict=True):
        switch.allow_tf32 = was


def test_tf32_is_allowed_where_it_is_asked_for(gpu: FakeGpu, tf32_switches: list[Any]) -> None:
    for precision in ("tf32", "float32", "auto"):
        allow_tf32(precision, torch.device("cuda"))
        assert [switch.allow_tf32 for switch in tf32_switches] == 2 * [precision == "tf32"]
    assert arithmetic("tf32", torch.device("cuda")) == "tf32"
    assert arithmetic("tf32", torch.device("cpu")) == "float32"


@pytest.mark.parametrize(("precision", "scale"), [("float16", 2.0**10), ("bfloat16", 1.0), ("float32", 1.0)])
@pytest.mark.parametrize("drawer", [{}, {"drawer": "fft"}])
def test_losses_are_scaled_wherever_a_network_computes_in_fp16(
    gpu: FakeGpu, tiny: Tiny, drawer: dict[str, str], precision: str, scale: float
) -> None:
    pipeline = Pipeline(tiny(precision=precision, **drawer), torch.device("cuda"))
    assert pipeline.objective(pipeline.film.frame(0)).gradient_scale == scale


def test_fp16_is_refused_by_a_cpu_in_one_line() -> None:
    with pytest.raises(UsageError, match="float16 needs a GPU"):
        dtype_for("float16", torch.device("cpu"))


class TestTheFence:
    """What would go wrong on a GPU does so here."""

    def test_tensors_of_two_devices(self, gpu: FakeGpu) -> None:
        with pytest.raises(RuntimeError, match="same device"):
            torch.ones(2, device="cuda") + torch.ones(2)

    def test_numbers_that_a_step_reads(self, gpu: FakeGpu) -> None:
        there = torch.ones(2, device="cuda")
        assert float(there.sum()) == 1
        with gpu.stepping():
            for read in (lambda: float(there.sum()), there.cpu, there.tolist, lambda: bool(there.any())):
                with pytest.raises(AssertionError, match="a step waits"):
                    read()

    def test_copies_that_a_step_makes(self, gpu: FakeGpu) -> None:
        with gpu.stepping():
            torch.ones(2).to("cuda").add_(1)
        assert gpu.copies == 1

    def test_copies_in_a_capture(self, gpu: FakeGpu) -> None:
        graphs = FakeGraphs(gpu, torch.device("cuda"))
        with gpu.stepping(), pytest.raises(pytest.fail.Exception, match="copies from the CPU"):
            graphs.capture(lambda: torch.ones(2).to("cuda"))

    def test_copies_in_every_step_of_a_stage(self, gpu: FakeGpu) -> None:
        state = SimpleNamespace(latent=SimpleNamespace(z=torch.ones(2)))
        take = watched(gpu, lambda *_: [torch.ones(2).to("cuda") for _ in range(2)])
        stage = object(), object(), [state]
        take(*stage)
        with pytest.raises(AssertionError):
            take(*stage)

    def test_gradients_are_those_of_torch(self) -> None:
        x = torch.randn(2, 3, requires_grad=True)
        y = (x[:, None] - torch.randn(4, 3)).square().sum(-1).softmax(1)
        first, second = y.split(1)
        losses = [first.mean(), (second * x.sum()).max()]
        expected = torch.autograd.grad(losses, x, retain_graph=True)[0]
        backward(losses, [torch.ones(()), torch.ones(())])
        torch.testing.assert_close(x.grad, expected)
