"""A package beside vqclip adds entries of every kind by its entry points (tests/plugins)."""

import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from conftest import Tiny, paint
from PIL import Image

from vqclip.base.errors import ConfigError
from vqclip.config import known_keys
from vqclip.config.registry import DRAWERS, FILTERS, LOSSES, PERCEPTORS, STARTS
from vqclip.config.timeline import Film
from vqclip.guidance.memory import MemoryBudget
from vqclip.guidance.memory_estimate import estimate
from vqclip.pipeline.events import Ranked
from vqclip.pipeline.pipeline import Pipeline
from vqclip.requirements.needs import requirements
from vqclip.runs.run import Run, read_config
from vqclip.session import Session

PLUGINS = Path(__file__).parents[1] / "plugins"
CPU = torch.device("cpu")


def install(folder: Path, points: dict[str, dict[str, str]]) -> None:
    """What an installer writes about a package."""
    info = folder / "vqclip_example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vqclip-example\nVersion: 1.0\n")
    lines = (
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in points.items()
    )
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    copytree(PLUGINS / "vqclip_example", folder / "vqclip_example")
    install(folder, tomllib.loads((PLUGINS / "pyproject.toml").read_text())["project"]["entry-points"])
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.usefixtures("plugins")
def test_their_names_and_keys_are_known() -> None:
    assert "brightness" in LOSSES.names()
    assert "stripes" in STARTS.names()
    assert "invert" in FILTERS.names()
    assert "blocks" in DRAWERS.names()
    assert "colours" in PERCEPTORS.names()
    assert {"losses.brightness.level", "start.width", "drawer.side", "perceptors[0].contrast"} <= set(
        known_keys.keys()
    )


@pytest.mark.usefixtures("plugins")
def test_a_start_and_a_loss_are_what_is_painted(tiny: Tiny) -> None:
    stripes = {"name": "stripes", "width": 2}
    still = tiny("losses.brightness=0", start=stripes, drawer={"name": "blocks", "side": 1})
    pipeline = Pipeline(still, CPU)
    frame = pipeline.film.frame(0)
    objective = pipeline.objective(frame)
    assert [penalty.name for penalty in objective.penalties] == []
    image = pipeline.first_image(frame, torch.Generator())
    assert image[0, 0, 0, :6].tolist() == [0, 0, 1, 1, 0, 0]
    dark = tiny("losses.brightness.level=0", "losses.brightness.weight=500", drawer="blocks", steps=30)
    bright = tiny("losses.brightness.level=1", "losses.brightness.weight=500", drawer="blocks", steps=30)
    means = [np.asarray(paint(config).image).mean() for config in (dark, bright)]
    assert means[0] < means[1] - 50
    assert dark.digest != bright.digest


@pytest.mark.usefixtures("plugins")
def test_a_filter_changes_what_is_seen_and_saved(tiny: Tiny, tmp_path: Path) -> None:
    stripes = {"start": {"name": "stripes", "width": 2}, "drawer": {"name": "blocks", "side": 1}}
    still = {"optimizer": {"learning_rate": "0"}, "latent": {"stages": [{"scale": 1, "share": 1}]}} | stripes
    plain, inverted = (np.asarray(paint(tiny(filters=given, **still)).image) for given in ([], "invert:1.0"))
    assert np.array_equal(inverted, 255 - plain)
    config = tiny(filters=["invert"])
    assert read_config(Run.create(tmp_path, config, {}).folder) == config


@pytest.mark.usefixtures("plugins")
def test_a_drawer_zooms_in_a_run_folder_that_is_read_again(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(drawer="blocks", film={"frames": 3, "steps": 2}, motion={"zoom": "1.2"})
    run = Run.create(tmp_path, config, {})
    assert paint(config, run).frames == 3
    assert read_config(run.folder) == config


@pytest.fixture
def blue(tmp_path: Path) -> str:
    """An image prompt."""
    Image.new("RGB", (16, 16), (20, 40, 230)).save(tmp_path / "blue.png")
    return f"[{tmp_path}/blue.png]"


@pytest.mark.usefixtures("plugins")
def test_a_perceptor_without_texts_is_what_looks(tiny: Tiny, blue: str, tmp_path: Path) -> None:
    colours = {"kind": "colours", "contrast": 4, "crops": 3}
    config = tiny(prompts=[blue], perceptors=[colours], drawer="blocks", steps=40)
    run = Run.create(tmp_path, config, {})
    red, _, high = np.asarray(paint(config, run).image).mean((0, 1))
    assert high > red + 80
    assert read_config(run.folder) == config
    assert [need.role for need in requirements(config, judge="colours")] == []
    assert config.digest != tiny(prompts=[blue], drawer="blocks", steps=40).digest
    assert estimate(config, Film(config).frame(0), torch.float32, MemoryBudget()).total > 0


@pytest.mark.usefixtures("plugins")
def test_a_perceptor_without_texts_looks_beside_a_clip_and_ranks(tiny: Tiny, blue: str) -> None:
    both = [{"kind": "colours"}, {"model": tiny().perceptors[0].model}]
    config = tiny(prompts=[blue, "[noise:3]"], perceptors=both)
    losses = Pipeline(config, CPU).objective(Film(config).frame(0)).perceptor_losses
    assert [loss.name for loss in losses] == ["colours", both[1]["model"]]
    assert [loss.targets[1].embeddings.shape[-1] for loss in losses] == [13, 16]
    ranked = [event for event in Session("cpu").best_of(config, 1) if isinstance(event, Ranked)]
    assert len(ranked) == 1


@pytest.mark.usefixtures("plugins")
def test_a_loss_asks_for_one_perceptors_embeddings_beside_others(tiny: Tiny) -> None:
    """Two prompts of noise say nothing of colours, and the head on the embeddings does."""
    both = [{"kind": "colours"}, {"model": tiny().perceptors[0].model}]
    made = {}
    for weight in (20, -20):
        config = tiny(
            f"losses.blueness={weight}", prompts=["[noise:3]"], perceptors=both, drawer="blocks", steps=30
        )
        red, _, blue = np.asarray(paint(config).image).mean((0, 1))
        made[weight] = blue - red
    assert made[20] > made[-20] + 80


@pytest.mark.usefixtures("plugins")
def test_a_text_for_a_perceptor_that_reads_none_is_refused(tiny: Tiny) -> None:
    with pytest.raises(
        ConfigError, match="the perceptor colours reads no texts, and 'a red apple' is"
    ) as error:
        tiny(perceptors=[{"kind": "colours"}])
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"kind": "colors"}, "there is no perceptor 'colors'; the names are open_clip, colours"),
        ({"kind": None}, "there is no perceptor 'None'"),
        ({"kind": "colours", "model": "mini-clip-2"}, r"no key 'perceptors\[0\]\.model'"),
        ({"kind": "colours", "contrast": 0}, r"perceptors\[0\]\.contrast: 0.0 is out of range"),
        ({"weight": 1}, r"perceptors\[0\] lacks model"),
    ],
)
def test_a_wrong_item_of_perceptors_is_refused(tiny: Tiny, item: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(perceptors=[item])


def test_open_clip_is_the_kind_that_is_meant_without_one(tiny: Tiny) -> None:
    model = tiny().perceptors[0].model
    named = tiny(perceptors=[{"kind": "open_clip", "model": model}])
    assert named == tiny()
    assert named.digest == tiny().digest


def test_a_config_that_names_what_is_not_installed_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="losses: there is no loss 'brightness'; the names are contrast"):
        tiny("losses.brightness=1")
    with pytest.raises(ConfigError, match="drawer: there is no drawer 'blocks'; the names are vqgan, fft"):
        tiny(drawer="blocks")


def test_what_cannot_be_imported_is_named_only_where_it_is_asked_for(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, {"vqclip.losses": {"broken": "no_such_module:Broken"}})
    monkeypatch.syspath_prepend(tmp_path)
    assert tiny().losses["tv"].weight == "0"
    with pytest.raises(
        ConfigError, match=r"the loss 'broken' can't be imported from no_such_module:Broken: No"
    ):
        tiny("losses.broken=1")


def test_a_plugin_is_read_without_torch(plugins: Path) -> None:
    code = """
import sys
from vqclip.config import known_keys, resolve
config = resolve.resolve({"seed": 1, "losses": {"brightness": 1}, "drawer": "blocks", "start": "stripes",
    "perceptors": [{"kind": "colours"}]})
known_keys.keys()
print(config.drawer.side, "torch" in sys.modules)
"""
    path = [str(plugins), *sys.path]
    program = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]
