"""The comparison of starts: each column has every prompt once, is ranked by groups, and a stopped one goes on."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from evaluation import starts
from evaluation.ranking import read_prompts
from vqclip.base import device
from vqclip.config.schema import Config
from vqclip.media.image import save_png
from vqclip.runs.provenance import provenance
from vqclip.runs.run import image_metadata

LEVELS = 100


class RedJudge:
    """A judge for which the prompts' numbers are shades of red."""

    def read(self, texts: Sequence[str]) -> Tensor:
        return torch.eye(LEVELS)[: len(texts)]

    def see(self, image: Tensor) -> Tensor:
        return torch.eye(LEVELS)[[round(float(image[0, 0].mean()) * 255)]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs that were painted: the forty in their shade, the sixty in that of the first one."""
    forty, painted = read_prompts(starts.FORTY), []

    def paint(config: Config, path: Path, cache: object) -> float:
        painted.append(config)
        prompt = config.prompts[0]
        shade = forty.index(prompt) if prompt in forty else 0
        image, used = Image.new("RGB", (8, 8), (shade, 0, 0)), provenance(config, device.pick("cpu"))
        save_png(image, path, image_metadata(config, used))
        return 0.0

    monkeypatch.setattr(starts, "paint", paint)
    monkeypatch.setattr(starts.Judge, "open", lambda file: RedJudge())
    return painted


def test_prompts_are_a_hundred_different_ones() -> None:
    prompts = [
        prompt for file in (starts.FORTY, starts.OTHERS, starts.HELD_OUT) for prompt in read_prompts(file)
    ]
    assert len(set(prompts)) == len(prompts) == 100


def test_columns_are_ranked_by_groups_and_kept(
    made: list[Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--out", str(tmp_path), "--columns", "sketch", "noise-loop", "--steps", "3", "--size", "64x64"]
    assert starts.main([*command, "--threads", str(torch.get_num_threads())]) == 0
    assert [config.steps for config in made] == [0] * 100 + [3] * 100
    assert {(config.start.name, config.size) for config in made[100:]} == {("noise", "64x64")}
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[0] == "| sketch | 100% | 100% | 2% | 100% | 0% | 100% |"  # all but one prompt are alike
    assert (tmp_path / "sketch.png").is_file()
    next((tmp_path / "sketch").iterdir()).unlink()
    starts.main([*command, "--threads", str(torch.get_num_threads())])
    assert len(made) == 201
    assert capsys.readouterr().out.splitlines()[2:] == rows
