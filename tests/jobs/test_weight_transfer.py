"""Weights reach machines that haven't got them, and lie there under names that Painters find."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Tiny, play
from PIL import Image

from vqclip.jobs.weight_transfer import pack, unpack
from vqclip.jobs.worker import Worker
from vqclip.requirements import install
from vqclip.runs.folder_layout import IMAGE
from vqclip.runs.job import Job
from vqclip.runs.run import read_provenance


def test_a_machine_without_the_weights_paints_the_same(
    tiny: Tiny, tiny_vqgan: Path, tiny_clip: Path, tmp_path: Path
) -> None:
    """Also from a folder, and each file is fetched once."""
    here = (
        shutil.copytree(tiny_vqgan.parent, tmp_path / "vqgan"),
        shutil.copytree(tiny_clip, tmp_path / "clip"),
    )
    config = tiny(vqgan=str(here[0] / tiny_vqgan.name), perceptors=[{"model": str(here[1])}], steps=2)
    play(Worker("cpu").go_on(Job(config, tmp_path / "here")))
    sent: dict[int, bytes] = {}

    def put(content: bytes) -> int:
        sent[len(sent)] = content
        return len(sent) - 1

    bundles = pack([config, config], put)
    assert unpack(bundles, sent.__getitem__) == {}, "a machine that sees the files takes them as they are"
    for folder in here:
        shutil.rmtree(folder)
    fetched: list[Any] = []

    def fetch(where: int) -> bytes:
        fetched.append(where)
        return sent[where]

    places = unpack(bundles, fetch)
    assert unpack(bundles, fetch) == places
    assert sorted(fetched) == sorted(sent)
    play(Worker("cpu", locations=places).go_on(Job(config, tmp_path / "there")))
    assert pixels(tmp_path / "there") == pixels(tmp_path / "here")


def test_an_imported_model_travels_and_is_named_by_the_picture(
    tiny: Tiny, tiny_vqgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.import_file(tiny_vqgan, "mine")
    config = tiny(vqgan="mine", steps=2)
    play(Worker("cpu").go_on(Job(config, tmp_path / "here")))
    bundles = pack([config], lambda content: content)
    assert unpack(bundles, bytes) == {}
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path / "another machine"))
    play(Worker("cpu", locations=unpack(bundles, bytes)).go_on(Job(config, tmp_path / "there")))
    assert pixels(tmp_path / "there") == pixels(tmp_path / "here")
    assert read_provenance(tmp_path / "there")["weights"] == read_provenance(tmp_path / "here")["weights"]


def test_another_model_of_the_same_name_is_not_taken(
    tiny: Tiny, tiny_vqgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.import_file(tiny_vqgan, "mine")
    bundles = pack([tiny(vqgan="mine")], lambda content: content)
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path / "another machine"))
    install.import_file(tiny_vqgan, "mine", half=True)
    assert unpack(bundles, bytes).keys() == {"mine"}


def test_the_file_behind_an_architecture_travels(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"weights")
    (tmp_path / "other.pt").write_bytes(b"something else that stays")
    config = tiny(perceptors=[{"model": f"RN50@{tmp_path}/weights.pt"}])
    bundles = pack([config], lambda content: content)
    (tmp_path / "weights.pt").unlink()
    (place,) = (unpack(bundles, bytes)[perceptor.model] for perceptor in config.perceptors)
    architecture, _, file = place.partition("@")
    assert (architecture, Path(file).name, Path(file).read_bytes()) == ("RN50", "weights.pt", b"weights")
    assert len(list(Path(file).parent.iterdir())) == 1


def pixels(folder: Path) -> bytes:
    with Image.open(folder / IMAGE) as image:
        return image.tobytes()


def test_models_of_the_catalogue_stay_at_home(tiny: Tiny) -> None:
    config = tiny(vqgan="mini-vqgan", perceptors=[{"model": "mini-clip-2"}])
    assert pack([config], lambda _: pytest.fail("nothing is to be sent")) == {}
