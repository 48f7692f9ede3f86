"""One answer to what a Config needs: what is loaded is what is named, wherever it is asked."""

import json
import subprocess
import sys
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Tiny
from PIL import Image
from tiny_transformers import random_transformer, write_transformer

from vqclip.base.errors import WeightsError
from vqclip.config.registry import STARTS
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry
from vqclip.jobs.worker import Worker
from vqclip.media.video_writer import VideoWriter
from vqclip.models.transformer.loading import load_transformer
from vqclip.models.upscaler import load_named
from vqclip.models.vqgan_loading import load_vqgan_onto
from vqclip.pipeline.events import result
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.requirements import install
from vqclip.requirements import status as statuses
from vqclip.requirements.needs import distinct, requirements
from vqclip.requirements.status import check, digest, missing, status
from vqclip.runs.folder_layout import IMAGE
from vqclip.runs.job import Job
from vqclip.start.sketchbook import load_sketchbook
from vqclip.weights import catalog, store
from vqclip.weights.requirement import Requirement

CPU = torch.device("cpu")


class Listing(ModelCache):
    """Writes down what it is asked for, and takes it from a cache that several tests share."""

    def __init__(self, cache: ModelCache):
        super().__init__(CPU)
        self.cache, self.loaded = cache, set[tuple[str, str]]()

    def load(self, name: str, load: Callable[..., Any], *how: Hashable) -> Any:
        kinds = {
            load_vqgan_onto: "vqgan", load_transformer: "transformer",
            load_sketchbook: "sketchbook", load_named: "upscaler",
        }  # fmt: skip
        self.loaded.add((kinds[load], name))
        return self.cache.load(name, load, *how)

    def perceptor(self, entry: PerceptorEntry, dtype: torch.dtype) -> Perceptor:
        self.loaded |= {(need.kind, need.name) for need in entry.requirements()}
        return self.cache.perceptor(entry, dtype)


@pytest.fixture(scope="module")
def shelf() -> ModelCache:
    return ModelCache(CPU)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "init": {"init": "picture.png"},
    "source": {"source": {"video": "clip.mp4"}},
    "init and source": {"init": "picture.png", "source": {"video": "clip.mp4"}},
    "image prompt": {"prompts": ["[picture.png]", "[noise:3]"]},
    "story": {"prompts": ["a seed ^ a tree"], "film": {"frames": 3}},
    "zoom": {"film": {"frames": 3}, "motion": {"zoom": "1.1", "border": "paint"}},
    "the reader paints": {"perceptors": [{"model": "mini-clip-2"}]},
    "several": {"perceptors": ["tiny", "other", "mini-clip-2"]},
    "one twice": {"perceptors": ["tiny", "tiny"]},
}


@pytest.mark.parametrize("start", STARTS.names())
@pytest.mark.parametrize("case", CASES)
def test_a_pipeline_loads_what_is_named(
    start: str, case: str, tiny: Tiny, tiny_vqgan: Path, tiny_clip: Path, other_clip: Path, shelf: ModelCache
) -> None:
    Image.new("RGB", (16, 16), "teal").save("picture.png")
    with VideoWriter(Path("clip.mp4"), 16, 16, 10, {}, "") as video:
        video.write(Image.new("RGB", (16, 16), "teal"))
    clips = {
        "tiny": {"model": str(tiny_clip)},
        "other": {"model": str(other_clip)},
        "mini-clip-2": {"model": "mini-clip-2"},
    }
    given = dict(CASES[case])
    if case in ("several", "one twice"):
        given["perceptors"] = [clips[name] for name in given["perceptors"]]
    network = random_transformer("embedding", vqgan=str(tiny_vqgan), clip=str(tiny_clip))
    model = {"model": str(write_transformer(Path("network.safetensors"), network))}
    config = tiny(start={"name": start, **(model if start == "transformer" else {})}, **given)
    listing = Listing(shelf)
    Pipeline(config, CPU, cache=listing)
    assert listing.loaded == {(need.kind, need.name) for need in requirements(config)}


def test_every_use_has_its_role(tiny: Tiny, tiny_vqgan: Path, tiny_clip: Path, other_clip: Path) -> None:
    eyes = [{"model": str(clip)} for clip in (tiny_clip, other_clip, tiny_clip)]
    named = requirements(tiny(start="sketch", perceptors=eyes), judge=str(other_clip))
    assert [(need.role, need.name) for need in named] == [
        ("vqgan", str(tiny_vqgan)),
        ("perceptor 1", str(tiny_clip)),
        ("perceptor 2", str(other_clip)),
        ("perceptor 3", str(tiny_clip)),
        ("sketchbook", "mini-sketch"),
        ("sketch reader", "mini-clip-2"),
        ("judge", str(other_clip)),
    ]
    assert [need.role for need in distinct(named)] == [
        "vqgan", "perceptor 1", "perceptor 2", "sketchbook", "sketch reader",
    ]  # fmt: skip


def test_asking_takes_no_torch() -> None:
    code = """
import sys
from vqclip.config import resolve as config
from vqclip.requirements.needs import requirements
assert len(requirements(config.resolve(preset="pairs/rich"), judge="mini-clip-2")) == 4
print([name for name in ("torch", "numpy", "PIL", "open_clip") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestStatus:
    @pytest.mark.parametrize("name", ["mini-vqgan", "mini-clip-2", "mini-sketch"])
    def test_what_ships_is_here_and_its_digest_is_the_files(self, name: str) -> None:
        card = catalog.card(name)
        found = status(Requirement("any", name, card.family))
        assert (found.path, found.ships, found.fetchable) == (card.path, True, False)
        assert digest(found.need) == store.digest(card.path)

    def test_the_users_own_files_are_here_and_no_one_can_fetch_them(
        self, tiny_vqgan: Path, tiny_clip: Path
    ) -> None:
        for kind, name in (("vqgan", tiny_vqgan), ("clip", tiny_clip)):
            found = status(Requirement("any", str(name), kind))
            assert (found.ships, found.fetchable, found.reason) == (False, False, "")
            assert found.path is not None
            assert digest(found.need) == store.digest(found.path)

    @pytest.mark.parametrize(
        ("kind", "name", "size"),
        [
            ("vqgan", "vqgan-imagenet-f16-16384", "980 MB"),
            ("clip", "ViT-B-32/openai", "354 MB"),
            ("clip", "RN50/yfcc15m", "size unknown"),  # which only open_clip knows
            ("clip", "hf-hub:some/repository", "size unknown"),
        ],
    )
    def test_what_can_be_fetched_is_missing_until_then(self, kind: str, name: str, size: str) -> None:
        found = status(Requirement("any", name, kind))
        assert (found.path, found.fetchable, found.size) == (None, True, size)
        assert digest(found.need) is None
        with pytest.raises(
            WeightsError, match=f"add --pull, or type: vqclip models pull {name}; to download: "
        ):
            check([found], pull=False)
        check([found], pull=True)

    @pytest.mark.parametrize(
        ("kind", "name", "fragment"),
        [
            ("vqgan", "gone.ckpt", "no VQGAN 'gone.ckpt'"),
            ("vqgan", "ViT-B-32/openai", "no VQGAN 'ViT-B-32/openai'"),  # a CLIP
            ("clip", "mini-vqgan", "no CLIP 'mini-vqgan'"),
            ("clip", "ViT-B-32@gone.pt", "there is no file gone.pt"),
            ("sketchbook", "mini-sketsh", "did you mean mini-sketch"),
        ],
    )
    def test_what_can_not_be_had_is_said_with_or_without_pull(
        self, kind: str, name: str, fragment: str
    ) -> None:
        for pull in (False, True):
            with pytest.raises(WeightsError, match=fragment):
                check(missing([Requirement("any", name, kind)]), pull)

    def test_a_shipped_file_is_read_once_unless_it_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "mini-sketch" / "model.safetensors"
        copy.parent.mkdir()
        copy.write_bytes(catalog.card("mini-sketch").path.read_bytes())
        monkeypatch.setattr(catalog, "CHECKPOINTS", tmp_path)
        need, reads = Requirement("any", "mini-sketch", "sketchbook"), []
        real = store.digest
        monkeypatch.setattr(store, "digest", lambda path: reads.append(path) or real(path))
        assert [status(need).path for _ in range(3)] == [copy] * 3
        assert len(reads) == 1
        copy.write_bytes(copy.read_bytes()[:-1] + b"\xff")
        assert "damaged" in status(need).reason


def test_a_painter_fetches_what_is_missing_only_if_it_may(
    tiny: Tiny, tiny_vqgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A VQGAN as well; once."""
    card = catalog.make("theirs", {"family": "vqgan", "urls": ["https://127.0.0.1/a.ckpt"]}, "a test")
    monkeypatch.setattr(catalog, "cards", lambda: catalog.shipped() | {"theirs": card})
    pulled: list[str] = []

    def pull(name: str) -> None:
        pulled.append(name)
        install.import_file(tiny_vqgan, name)

    monkeypatch.setattr(install, "pull", pull)
    jobs = [Job(tiny(vqgan="theirs", steps=2, seed=seed), tmp_path / str(seed)) for seed in (1, 2)]
    with pytest.raises(WeightsError, match="vqclip models pull theirs"):
        result(Worker("cpu").go_on(jobs[0]))
    worker = Worker("cpu", pull=True)
    for job in jobs:
        result(worker.go_on(job))
        assert (job.folder / IMAGE).is_file()
    assert pulled == ["theirs"]
    written = json.loads((jobs[0].folder / "provenance.json").read_text())
    assert written["weights"]["theirs"] == statuses.digest(Requirement("vqgan", "theirs", "vqgan"))
