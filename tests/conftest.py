"""Tiny random models, and a fence around the user's home and environment.

The tests need no network and no trained weights; only test_mini.py paints with the models in checkpoints/.
"""

import json
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml
from safetensors.torch import save_file

from vqclip.base import device as devices
from vqclip.base.errors import UsageError
from vqclip.base.paths import CONFIGS
from vqclip.base.stop import StopToken
from vqclip.cli.app import main
from vqclip.config import resolve as configs
from vqclip.config.conversion import merge
from vqclip.config.schema import Config
from vqclip.guidance.optimize import Step
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.pipeline.events import Events, Finished, Result, Stepped, Stopped
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.run import Run

# A shell that starts the tests in the background lets them ignore Ctrl-C, and nohup a closed terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Of tiny models a second thread costs more than it brings, most of all beside other work. Children inherit it.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

DEVICE = torch.device("cpu")  # of --device
TINY = Architecture(
    ch=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(), resolution=32,
    z_channels=6, embed_dim=5, n_embed=16, norm_groups=4,
)  # fmt: skip
TINY_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "patch_size": 8, "head_width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", default="cpu", help="where the tests that paint do so: cpu, cuda, cuda:1, mps"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say where tests paint before their modules are imported."""
    global DEVICE  # noqa: PLW0603
    DEVICE = torch.device(config.getoption("--device"))


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where tests paint; those that ask for it are skipped if this machine hasn't got it."""
    try:
        return devices.pick(str(DEVICE))
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def fence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[None]:
    """Each test gets a home and a working folder of its own, and no network by the hub's own switch.

    `auto` is the device of the tests' own --device, so that commands paint there too, or the CPU. What a command
    set on the library's logger is taken back: pytest would log twice where a logger stopped propagating before.
    """
    for name, value in (("handlers", []), ("propagate", True)):
        monkeypatch.setattr(logging.getLogger("vqclip"), name, value)
    given, there = pytestconfig.getoption("--device"), devices.present()
    fastest = [name for name in there if name != "cpu" and name.startswith(given)]
    monkeypatch.setattr("vqclip.base.device.present", lambda: [*fastest, "cpu"])
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("VQCLIP_HOME", "VQCLIP_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.setenv(name, "")
    work = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(work)
    yield
    os.chdir(before)


def describe(architecture: Architecture, target: str = "taming.models.vqgan.VQModel") -> dict[str, Any]:
    """A taming yaml's content."""
    a = architecture
    net = {
        "double_z": False, "z_channels": a.z_channels, "resolution": a.resolution, "in_channels": 3, "out_ch": 3,
        "ch": a.ch, "ch_mult": list(a.ch_mult), "num_res_blocks": a.num_res_blocks,
        "attn_resolutions": list(a.attn_resolutions), "dropout": 0.0, "norm_groups": a.norm_groups,
    }  # fmt: skip
    return {
        "model": {
            "target": target,
            "params": {"embed_dim": a.embed_dim, "n_embed": a.n_embed, "ddconfig": net},
        }
    }


def random_vqgan(architecture: Architecture = TINY, seed: int = 0) -> VQGAN:
    """A VQGAN with random weights whose codes differ as much as trained ones do."""
    torch.manual_seed(seed)
    model = VQGAN(architecture).eval().requires_grad_(False)
    model.codebook.normal_()
    return model


@pytest.fixture(scope="session")
def tiny_vqgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights with its yaml beside it."""
    folder = tmp_path_factory.mktemp("tiny-vqgan")
    save_file(random_vqgan().state_dict(), folder / "model.safetensors")
    (folder / "model.yaml").write_text(yaml.safe_dump(describe(TINY)))
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def shared_merges() -> Iterator[None]:
    """Let tokenizers share open_clip's own merges, which each reads anew: that takes a quarter of a tiny painting."""
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415  # takes seconds

    begin, known = SimpleTokenizer.__init__, dict[str, dict[str, Any]]()

    def begin_shared(self: Any, *given: Any, **named: Any) -> None:
        key = repr((given, named))
        if given or "bpe_path" in named:  # merges of a file, which may change
            begin(self, *given, **named)
        elif key in known:
            vars(self).update(known[key])
        else:
            begin(self, **named)
            known[key] = dict(vars(self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimpleTokenizer, "__init__", begin_shared)
        yield


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory, shared_merges: None) -> Path:
    """A folder that open_clip loads as `local-dir:`."""
    return write_clip(tmp_path_factory.mktemp("tiny-clip"), seed=0)


@pytest.fixture(scope="session")
def other_clip(tmp_path_factory: pytest.TempPathFactory, shared_merges: None) -> Path:
    return write_clip(tmp_path_factory.mktemp("other-clip"), seed=1, image_size=24)


def write_clip(folder: Path, seed: int, image_size: int = 16, **vision: Any) -> Path:
    import open_clip  # noqa: PLC0415  # takes seconds

    settings = json.loads(json.dumps(TINY_CLIP))
    settings["vision_cfg"] |= {"image_size": image_size, **vision}
    torch.manual_seed(seed)
    save_file(open_clip.CLIP(**settings).state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": settings, "preprocess_cfg": preprocess})
    )
    return folder


Act = Callable[[Step], object]


def paint(config: Config, run: Run | None = None, *acts: Act, stop: StopToken | None = None) -> Result:
    """Paint a Config on the tests' device, and call each of `acts` with every step."""
    return play(render(config, Pipeline(config, DEVICE), run, stop), *acts)


def play(events: Events, *acts: Act) -> Result:
    """Iterate to the end, call `acts` with every step, and give the last result."""
    made = None
    for event in events:
        if isinstance(event, Stepped):
            for act in acts:
                act(event.step)
        if isinstance(event, Finished | Stopped):
            made = event.result
    assert made
    return made


def at(index: int, act: Callable[[], object]) -> Act:
    """What calls `act` at one step."""
    return lambda step: act() if step.index == index else None


Tiny = Callable[..., Config]
# In place of the tiny VQGAN's recipe; the fixture says the rest itself.
DEFAULTS = {
    name: value
    for name, value in configs.read_yaml(CONFIGS / "default.yaml").items()
    if name not in ("seed", "drawer", "losses")
}


@pytest.fixture
def tiny(tiny_vqgan: Path, tiny_clip: Path) -> Tiny:
    """A Config of a few steps on the tiny models, with no recipe; keyword arguments are keys of it."""

    def make(*settings: str, **given: Any) -> Config:
        small = {
            "prompts": ["a red apple"], "seed": 1, "size": "16x16", "steps": 6, "vqgan": str(tiny_vqgan),
            "perceptors": [{"model": str(tiny_clip)}], "precision": "float32", "start": "noise",
            "cutouts": {"count": 4, "anchors": 1}, "losses": {"tv": "0", "near_start": "0"},
            "optimizer": {"learning_rate": "0.4 -> 0.1"},
            "latent": {"stages": [{"scale": 0.5, "share": 0.3}, {"scale": 1.0, "share": 0.7}]},
        }  # fmt: skip
        if "drawer" in given:
            del small["vqgan"]
        return configs.resolve(merge(DEFAULTS, small | given), settings=settings)

    return make


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(scope="session")
def forks() -> Any:
    """A context of multiprocessing that forks new processes from one that has imported torch and open_clip."""
    multiprocessing.set_forkserver_preload(["open_clip", "torch"])
    return multiprocessing.get_context("forkserver")


Vqclip = Callable[..., Done]
parser = cache(typer.main.get_command)


@pytest.fixture
def vqclip(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Vqclip:
    """The console script, in this process; all tests share one parser, as building it takes long."""
    monkeypatch.setattr("typer.main.get_command", parser)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["vqclip", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return Done(int(left.value.code or 0), out, err)

    return run
