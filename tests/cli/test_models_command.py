"""`vqclip models`, `vqclip doctor` and what `generate` says of models that aren't here."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Vqclip, random_vqgan

from vqclip.base import paths
from vqclip.config import resolve as configs
from vqclip.models.vqgan import Architecture
from vqclip.requirements.pairs import suggestion
from vqclip.weights import catalog, store

WIDE = Architecture(
    ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(), z_channels=6, embed_dim=5, n_embed=16
)


SHIPPED = [name for name, card in catalog.shipped().items() if card.ships]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({"state_dict": random_vqgan(WIDE).state_dict()}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


class TestModels:
    def test_list_tells_what_is_here(self, vqclip: Vqclip) -> None:
        models = [json.loads(line) for line in vqclip("models", "list", "--all", "--json").lines]
        assert [model["name"] for model in models if model["here"]] == SHIPPED
        assert len(vqclip("models", "list", "--all").lines) == len(models) + 1 > 60
        refused = [model["name"] for model in models if model["state"] == "refused"]
        assert refused == [name for name, card in catalog.shipped().items() if card.refused]

    def test_list_fits_a_terminal_and_knows_the_sizes_of_what_presets_name(self, vqclip: Vqclip) -> None:
        done = vqclip("models", "list")
        assert done.lines[0].split() == ["STATE", "SIZE", "FAMILY", "NAME", "ABOUT"]
        assert all(len(line) <= 80 for line in done.lines)
        models = [json.loads(line) for line in vqclip("models", "list", "--json").lines]
        assert len(models) == len(done.lines) - 1
        assert {*SHIPPED, "vqgan-imagenet-f16-16384"} < {model["name"] for model in models}
        assert all(model["size"] != "unknown" for model in models)

    def test_show_tells_all_that_is_known_before_anything_is_fetched(self, vqclip: Vqclip) -> None:
        done = vqclip("models", "show", "vqgan-imagenet-f16-16384")
        for fact in ("980 MB", "845a68805098cb66", "stated by the mirrors", "weights unstated", "heibox"):
            assert fact in done.out
        assert json.loads(vqclip("models", "show", "mini-clip-2", "--json").out)["here"] is True

    def test_import_verify_remove(self, vqclip: Vqclip, checkpoint: Path) -> None:
        done = vqclip("models", "import", checkpoint, "--name", "mine")
        assert done.lines == ["mine"]
        assert "became" in done.err
        assert "whole" in vqclip("models", "verify", "mine").out
        assert len(vqclip("models", "verify").lines) == len(SHIPPED) + 1
        path = store.verify("mine")
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
        damaged = vqclip("models", "verify")
        assert (damaged.code, len(damaged.lines)) == (3, len(SHIPPED))
        assert "mine" in damaged.err
        assert vqclip("models", "remove", "mine").code == 0
        assert vqclip("models", "verify", "mine").code == 3

    def test_where_is_one_path(self, vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch) -> None:
        assert vqclip("models", "where").lines == [str(paths.home())]
        monkeypatch.setenv("VQCLIP_HOME", "/elsewhere")
        assert vqclip("models", "where").lines == ["/elsewhere"]

    def test_pull_offline_is_refused(self, vqclip: Vqclip) -> None:
        done = vqclip("models", "pull", "movqgan-67m", "--offline")
        assert done.code == 3
        assert "licence" in done.err
        assert done.err.count("vqclip:") == 1

    def test_pulling_what_is_here_does_nothing(self, vqclip: Vqclip) -> None:
        assert vqclip("models", "pull", "mini-vqgan", "mini-clip-2").lines == ["mini-vqgan", "mini-clip-2"]

    @pytest.mark.parametrize(
        ("words", "code", "fragment"),
        [
            (["show", "mini-vqgna"], 2, "did you mean mini-vqgan"),
            (["pull", "nothing-like-it"], 2, "models list` prints the names"),
            (["import", "a.ckpt", "b.ckpt", "--name", "x"], 2, "--name is for one file"),
            (["import", "nowhere.ckpt"], 3, "there is no file nowhere.ckpt"),
            (["remove", "mini-clip-2"], 2, "ships with vqclip"),
            (["remove", "x"], 2, "isn't in the store"),
        ],
    )
    def test_what_can_not_be_is_one_line(
        self, vqclip: Vqclip, words: list[str], code: int, fragment: str
    ) -> None:
        done = vqclip("models", *words)
        assert done.code == code
        assert fragment in done.err
        assert len(done.err.strip().splitlines()) == 1


PAIRS = [name for name in configs.presets() if name.startswith("pairs/")]


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_that_is_not_here_names_the_line_to_type(vqclip: Vqclip, name: str) -> None:
    """Both models at once, in words that work; nothing is swapped, and no run folder is begun."""
    done = vqclip("generate", "a", "--preset", f"draft+{name}")
    pair = configs.resolve(preset=name)
    names = " ".join([pair.drawer.model, *(perceptor.model for perceptor in pair.perceptors)])
    assert done.code == 3
    assert f"type: vqclip models pull {names}" in done.err
    assert not Path("runs").exists()


def test_pull_and_offline_contradict_each_other_in_one_line(vqclip: Vqclip) -> None:
    done = vqclip("generate", "a", "--preset", "pairs/classic", "--pull", "--offline", "-q")
    assert done.code == 3
    assert "--offline forbids the download" in done.err


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are fetched, which doesn't happen."""
    names: list[str] = []
    monkeypatch.setattr("vqclip.requirements.install.pull", lambda name, *_: names.append(name))
    return names


class TestPullingWhatAConfigNeeds:
    @pytest.mark.parametrize("name", PAIRS)
    def test_a_preset_in_one_line(self, vqclip: Vqclip, pulled: list[str], name: str) -> None:
        done = vqclip("models", "pull", "--preset", name, "-q")
        pair = configs.resolve(preset=name)
        assert pulled == [pair.drawer.model, *(perceptor.model for perceptor in pair.perceptors)]
        assert done.lines == pulled

    def test_the_sketchbook_as_well(self, vqclip: Vqclip, pulled: list[str]) -> None:
        card = {"family": "sketchbook", "urls": ["https://127.0.0.1/book.safetensors"]}
        write_catalog(theirs=card)
        assert vqclip("models", "pull", "--set", "sketchbook=theirs", "-q").code == 0
        assert pulled == ["theirs"]
        done = vqclip("generate", "a", "--set", "sketchbook=theirs")
        assert "theirs isn't on this machine; add --pull, or type: vqclip models pull theirs" in done.err
        assert (
            vqclip("generate", "a", "--set", "sketchbook=theirs", "--set", "start=noise", "--plan").code == 0
        )

    @pytest.mark.parametrize(
        ("free", "kind", "said"),
        [
            (30e9, "cpu", "--preset pairs/light fits; to download: 641 MB"),
            (30e9, "cuda", "--preset pairs/rich fits; to download: 1.23 GB"),
            (8e9, "cuda", "--preset pairs/classic fits; to download: 1.33 GB"),
            (2e9, "cuda", "too little for larger models"),
        ],
    )
    def test_what_fits_this_machine_is_said_in_a_line(
        self, vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch, free: float, kind: str, said: str
    ) -> None:
        """One line says it, and the next one what was asked for, and what its download weighs."""
        monkeypatch.setattr("vqclip.base.device.free_memory", lambda _: free)
        monkeypatch.setattr("vqclip.base.device.describe", lambda _: kind)
        assert said in suggestion(torch.device(kind))
        if kind == "cpu":
            done = vqclip("generate", "a", "--preset", "pairs/classic")
            suggested, refused = done.err.splitlines()[-2:]
            assert said in suggested
            assert "aren't on this machine" in refused
            assert "to download: 1.33 GB" in refused
            assert "fits" not in vqclip("generate", "a", "--preset", "pairs/classic", "-q").err

    def test_what_nobody_can_fetch_is_said_before_anything_is_fetched(
        self, vqclip: Vqclip, pulled: list[str]
    ) -> None:
        for words in (["models", "pull"], ["generate", "a", "--pull"]):
            done = vqclip(*words, "--preset", "pairs/classic", "--set", "perceptors=[{model: ./gone}]")
            assert (done.code, pulled) == (3, [])
            assert "there is no CLIP './gone'" in done.err

    def test_nothing_named_is_one_line(self, vqclip: Vqclip) -> None:
        done = vqclip("models", "pull")
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert "--preset pairs/classic" in done.err


def test_a_judge_that_is_missing_is_said_with_the_other_models(vqclip: Vqclip) -> None:
    words = ["--preset", "pairs/classic", "--count", "2", "--best", "1", "--judge", "RN50/openai"]
    done = vqclip("generate", "a", *words)
    assert done.code == 3
    assert "models pull vqgan-imagenet-f16-16384 ViT-B-32/openai RN50/openai" in done.err


def write_catalog(**cards: dict[str, Any]) -> None:
    paths.home().mkdir(parents=True, exist_ok=True)
    (paths.home() / "catalog.yaml").write_text(yaml.safe_dump(cards))


class TestDoctor:
    def test_says_which_presets_need_more(self, vqclip: Vqclip) -> None:
        line = "preset pairs/classic needs vqgan-imagenet-f16-16384 (980 MB) and ViT-B-32/openai (354 MB)"
        assert f"{line} -> vqclip models pull --preset pairs/classic" in vqclip("doctor").out

    def test_looks_at_everything_and_finds_nothing_that_hinders(self, vqclip: Vqclip) -> None:
        done = vqclip("doctor", "--json")
        findings = [json.loads(line) for line in done.lines]
        assert done.code == 0
        topics = {"vqclip", "package", "device", "memory", "ffmpeg", "model", "store", "runs", "network"}
        assert topics == {finding["topic"] for finding in findings}
        assert {"mini-vqgan is whole", "mini-clip-2 is whole"} <= {finding["text"] for finding in findings}

    def test_says_what_to_do(self, vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "nowhere")
        Path("file").touch()
        done = vqclip("doctor", "--runs", "file")
        assert done.code == 1
        assert "nowhere: no such file or directory; unset IMAGEIO_FFMPEG_EXE" in done.out
        assert "bad   runs     file can't be written to -> name another folder with --runs" in done.out
