"""What vqclip wrote before configs had a version (fixtures/v0, by fixtures/make_v0.py) is read, finished and repeated.

Pixels are expected to be exactly the old ones where this machine rounds as the one that made them did, and has the
same libraries; elsewhere they are near.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Vqclip
from PIL import Image
from rounding import fingerprint

from vqclip.config import resolve as configs
from vqclip.config.renames import RENAMES
from vqclip.jobs.batch_folder import MANIFEST
from vqclip.media.image import read_metadata, save_png
from vqclip.runs.folder_layout import PREVIOUS, SNAPSHOT
from vqclip.runs.provenance import provenance
from vqclip.runs.run import read_config

V0 = Path(__file__).parents[1] / "fixtures" / "v0"

STILLS = ("apple.png", "pear-5.png", "pear-6.png", "owl.png", "fox.png", "tree.png")
RUNS = [path.name for path in sorted((V0 / "runs").iterdir())]
SHIPPED = json.loads((V0 / "configs" / "digests.json").read_text())
BATCH = ("batch", "jobs.yaml", "-c", "tiny.yaml", "--devices", "cpu", "--workers", "1", "--threads", "1")
LATER = ("penalties.tv", "penalties.saturation")  # names that v0 didn't know yet
NEAR = 0.02  # mean difference of values in [0, 1]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store and the folder of models."""
    folder = tmp_path_factory.mktemp("v0")
    with tarfile.open(V0 / "models.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def v0(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The working folder that v0 was painted in."""
    copytree(V0, ".", dirs_exist_ok=True)
    Path("models").symlink_to(models / "models")
    monkeypatch.setenv("VQCLIP_HOME", str(models / "home"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def exact() -> bool:
    """Whether old pixels can be expected to the last bit."""
    then = read_metadata(V0 / "tree.png")["versions"]
    now = provenance(configs.resolve(), torch.device("cpu"))["versions"]
    libraries = ("torch", "open_clip_torch", "timm", "pillow")
    alike = all(then[name] == now[name] for name in libraries)
    return alike and fingerprint() == (V0 / "fingerprint.txt").read_text().strip()


def check_pixels(one: Path, other: Path, exact: bool) -> None:
    a, b = (np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255 for path in (one, other))
    assert a.shape == b.shape
    assert float(np.abs(a - b).mean()) <= (0 if exact else NEAR), (one, other)


@pytest.mark.parametrize(
    "name", [*STILLS, "zoom.webp", "film-whole/film.mp4", "film-whole/frames/000001.png"]
)
def test_is_shown_as_a_config_of_today(vqclip: Vqclip, name: str) -> None:
    shown = vqclip("show", name)
    assert (shown.code, "vqclip 0.1.0" in shown.err) == (0, True)
    values = yaml.safe_load(shown.out)
    assert configs.to_dict(configs.from_dict(values)) == values
    Path("shown.yaml").write_text(shown.out)
    again = vqclip("config", "show", "-c", "shown.yaml")
    assert (again.code, again.err, again.out) == (0, "", shown.out)


def test_is_compared_by_todays_keys(vqclip: Vqclip) -> None:
    """A picture of today's code differs in no key from the old picture that it repeats."""
    assert vqclip("reproduce", "apple.png", "-o", "now.png", "-q").lines == ["now.png"]
    rows = json.loads(vqclip("diff", "apple.png", "now.png", "--json").out)
    assert {key.partition(".")[0] for key in rows} <= {
        "versions",
        "device",
        "precision",
        "threads",
        "weights",
    }
    rows = json.loads(vqclip("diff", "apple.png", "tree.png", "--json").out)
    assert rows == {"prompts": [["a red apple"], ["a tree"]], "seed": [1, 7]}


def test_a_file_of_settings_is_read_and_its_old_names_are_told(vqclip: Vqclip) -> None:
    told = [
        f"tiny.yaml: {rename.old} is now called {rename.new}; the old name still works"
        for rename in RENAMES
        if rename.old not in LATER
    ]
    done = vqclip("config", "show", "-c", "tiny.yaml", "--set", "seed=3")
    assert sorted(line.removeprefix("note").strip() for line in done.err.splitlines()) == sorted(told)
    values = yaml.safe_load(done.out)
    assert (values["latent"]["ema_decay"], values["losses"]["saturation"]["weight"]) == (0.8, "0.1")


def test_what_a_newer_vqclip_wrote_is_still_shown(vqclip: Vqclip) -> None:
    metadata = read_metadata(Path("apple.png"))
    metadata["config"] |= {"version": 99, "invented": 5}
    save_png(Image.new("RGB", (2, 2)), Path("new.png"), metadata)
    shown = vqclip("show", "new.png")
    assert (shown.code, yaml.safe_load(shown.out)) == (0, metadata["config"])
    assert "new.png: version: 99 is that of a newer vqclip" in shown.err
    refused = vqclip("reproduce", "new.png")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "newer vqclip" in refused.err


@pytest.mark.parametrize("name", SHIPPED)
def test_configs_of_shipped_models_keep_their_digests(name: str) -> None:
    read = configs.from_dict(configs.read_yaml(V0 / "configs" / f"{name}.yaml"))
    assert read.digest == SHIPPED[name]


@pytest.mark.parametrize("name", RUNS)
def test_a_finished_run_is_known_to_be_finished(vqclip: Vqclip, name: str) -> None:
    folder = Path("runs") / name
    assert name.endswith(read_config(folder).digest)
    before = (folder / "image.png").stat().st_mtime_ns
    done = vqclip("resume", str(folder))
    assert "made      already" in done.err
    assert (done.code, (folder / "image.png").stat().st_mtime_ns) == (0, before)


def test_a_stopped_still_is_finished_to_the_same_picture(vqclip: Vqclip, exact: bool) -> None:
    done = vqclip("resume", "stopped-still")
    assert (done.code, done.lines) == (0, ["stopped-still/image.png"])
    assert "is now called" not in done.err
    steps = [json.loads(line)["step"] for line in Path("stopped-still/steps.jsonl").read_text().splitlines()]
    assert min(steps) > 3, "it went on, and didn't begin again"
    check_pixels(Path("stopped-still/image.png"), Path("tree.png"), exact)


def test_a_stopped_film_is_finished_to_the_same_frames(vqclip: Vqclip, exact: bool) -> None:
    before = Path("stopped-film/frames/000000.png").stat().st_mtime_ns
    assert vqclip("resume", "stopped-film", "-q").lines == ["stopped-film/film.mp4"]
    assert Path("stopped-film/frames/000000.png").stat().st_mtime_ns == before
    frames = sorted(Path("stopped-film/frames").iterdir())
    assert len(frames) == 4
    for frame in frames:
        check_pixels(frame, Path("film-whole/frames") / frame.name, exact)
    assert not Path("stopped-film", SNAPSHOT).exists()
    assert not Path("stopped-film", PREVIOUS).exists()


def test_the_video_of_an_old_run_is_made_again(vqclip: Vqclip) -> None:
    assert vqclip("film", "film-whole", "-o", "again.webp", "-q").lines == ["again.webp"]
    with Image.open("again.webp") as video:
        assert video.n_frames == 4


def test_a_stopped_batch_is_finished_and_nothing_is_painted_twice(vqclip: Vqclip, exact: bool) -> None:
    """Seeds that follow from digests, and folders that are named after them, are the old ones."""
    folder = Path("batch-stopped/jobs")
    status = [json.loads(line)["status"] for line in (folder / MANIFEST).read_text().splitlines()]
    assert status == ["done", "done", "open", "open", "open", "open"]
    planned = vqclip(*BATCH, "--runs", "batch-stopped", "--plan", "--json").lines
    assert [json.loads(line)["status"] for line in planned] == [
        "done",
        "done",
        "begun",
        "open",
        "open",
        "open",
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("jobs/*/image.png")}
    done = vqclip(*BATCH, "--runs", "batch-stopped")
    assert done.code == 0
    assert "batch     6 of 6 done" in done.err
    finished = [path for path in before if path.stat().st_mtime_ns == before[path]]
    assert len(finished) == 2
    expected = sorted(Path("batch-whole/jobs").glob("0*.png"))
    assert [Path(line).name for line in done.lines] == [path.name for path in expected]
    for path in expected:
        check_pixels(folder / path.name, path, exact)


@pytest.mark.parametrize("name", STILLS)
def test_an_old_picture_is_reproduced(vqclip: Vqclip, exact: bool, name: str) -> None:
    """With an image prompt, from an init, one of several that were painted together."""
    done = vqclip("reproduce", name, "-o", "again.png", "--json", "-q")
    record: dict[str, Any] = json.loads(done.out)
    assert done.code == 0
    assert record["same"] or not exact
    check_pixels(Path("again.png"), Path(name), exact)


def test_an_old_film_is_reproduced(vqclip: Vqclip, exact: bool) -> None:
    done = vqclip("reproduce", "film-whole/frames/000002.png", "--json", "-q")
    assert done.code == 0
    assert json.loads(done.out)["same"] or not exact
