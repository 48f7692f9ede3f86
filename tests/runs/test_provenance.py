"""What a picture says of its weights is what lies on the disk, read aside and once."""

import hashlib
import threading
from pathlib import Path

import pytest
import torch
from conftest import Tiny

from vqclip.runs.provenance import digests, provenance
from vqclip.weights import catalog, store

CPU = torch.device("cpu")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_digests_are_those_of_the_files(
    tiny: Tiny, tiny_vqgan: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PART", 1000)  # so that the files have several parts, the last of them short
    weights = max(tiny_clip.iterdir(), key=lambda path: path.stat().st_size)
    expected = {str(tiny_vqgan): sha256(tiny_vqgan), str(tiny_clip): sha256(weights)}
    assert provenance(tiny(start="codes"), CPU)["weights"] == expected


def test_the_clip_that_reads_for_a_sketch_is_named(tiny: Tiny) -> None:
    weights = provenance(tiny(start="sketch"), CPU)["weights"]
    shipped = catalog.shipped()
    assert {name: weights[name] for name in list(weights)[2:]} == {
        name: shipped[name].sha256 for name in ("mini-sketch", "mini-clip-2")
    }


def test_a_sketchbook_that_is_not_used_is_not_named(tiny: Tiny) -> None:
    for unused in ({"source": {"video": "a.mp4"}}, {"init": "a.png"}):
        assert "mini-sketch" not in digests(tiny(start="sketch", **unused)).result()


def test_what_is_not_here_has_no_digest(tiny: Tiny, tiny_clip: Path) -> None:
    found = digests(tiny(vqgan="gone.safetensors")).result()
    assert found["gone.safetensors"] is None
    assert found[str(tiny_clip)]


def test_a_file_is_read_aside_and_once(
    tiny: Tiny, tiny_vqgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, reads, may_end = tmp_path / "new.safetensors", [], threading.Event()
    copy.write_bytes(tiny_vqgan.read_bytes())

    def digest(path: Path) -> str:
        may_end.wait(10)
        reads.append(path)
        return sha256(path)

    monkeypatch.setattr(store, "digest", digest)
    config = tiny(vqgan=str(copy))
    early = digests(config)
    assert not early.done()  # and yet we are here
    late = digests(config)
    may_end.set()
    assert early.result() == late.result()
    assert reads.count(copy) == 1
    for thread in threading.enumerate():
        if thread.name.startswith("digests"):
            thread.join(10)
            assert not thread.is_alive()  # a process that forks later has none to miss


def test_a_file_that_changed_is_read_again(tiny: Tiny, tiny_vqgan: Path, tmp_path: Path) -> None:
    copy = tmp_path / "new.safetensors"
    copy.write_bytes(tiny_vqgan.read_bytes())
    before = digests(tiny(vqgan=str(copy))).result()[str(copy)]
    copy.write_bytes(b"other")
    assert digests(tiny(vqgan=str(copy))).result()[str(copy)] == sha256(copy) != before
