"""A model of an earlier vqclip is used where its folder is still there; elsewhere its name means its successor."""

import shutil
from pathlib import Path

import pytest

from vqclip.base.paths import CHECKPOINTS
from vqclip.cli.provide import say_models
from vqclip.config import resolve as configs
from vqclip.models.clip import find_clip
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import digest, replaced, status
from vqclip.weights import catalog, store
from vqclip.weights.requirement import Requirement

OLD, NEW = "mini-clip", "mini-clip-2"
NEED = Requirement("perceptor", OLD, "clip")
OF_OLD = {"prompts": ["a red apple"], "perceptors": [{"model": OLD}]}


def test_a_name_means_the_successor_where_its_folder_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    assert catalog.current(OLD) == catalog.current(NEW) == NEW
    assert catalog.current("of my own") == "of my own"
    assert status(NEED).path == catalog.card(NEW).path
    assert digest(NEED) == catalog.card(NEW).sha256
    assert find_clip(OLD) == find_clip(NEW)
    say_models(requirements(configs.resolve(OF_OLD)))
    assert f"{OLD} of an earlier vqclip isn't in {CHECKPOINTS}: {NEW} is used" in capsys.readouterr().err


def test_lists_have_each_model_once() -> None:
    assert OLD not in store.listed()
    assert NEW in store.listed()
    assert catalog.names("clip").count(NEW) == 1
    assert OLD not in catalog.names("clip")


def test_the_old_model_is_used_where_its_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is checked against the old card's, so that no other file is taken for it."""
    monkeypatch.setattr(catalog, "CHECKPOINTS", tmp_path)
    for name in (OLD, NEW):
        shutil.copytree(CHECKPOINTS / NEW, tmp_path / name)
    old = catalog.shipped()[OLD]
    assert catalog.current(OLD) == OLD
    assert catalog.card(OLD) == old
    assert OLD in store.listed()
    assert replaced([NEED]) == {}
    assert digest(NEED) == old.sha256
    assert f"{old.path} is damaged or not the file" in status(NEED).reason


def test_a_config_that_has_no_sketch_reader_means_the_old_one() -> None:
    """Written configs are whole; what a user writes today begins with the present defaults."""
    today = configs.to_dict(configs.resolve({"prompts": ["a red apple"]}))
    assert today["start"].pop("reader") == NEW
    written = configs.from_dict(today)
    needs = [need.name for need in requirements(written) if need.role == "sketch reader"]
    assert needs == [OLD]
