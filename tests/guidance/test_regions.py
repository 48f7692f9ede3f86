"""A prompt of a region weighs the crops that show it, and its gradient stays within it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEVICE, Tiny, paint
from PIL import Image
from safetensors.torch import save_file

from vqclip.base.errors import PromptError
from vqclip.config import prompt as prompts
from vqclip.config.prompt import Kind, Prompt
from vqclip.guidance.gradient import perceptor_loss
from vqclip.guidance.records import sent
from vqclip.guidance.regions import mask_of, shares_of
from vqclip.pipeline.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("device")


def gradient(config: Any, seed: int = 1) -> torch.Tensor:
    """The size of the prompts' gradient at each pixel (h w)."""
    pipeline = Pipeline(config, DEVICE)
    objective = pipeline.objective(pipeline.film.frame(0))
    term = objective.perceptor_losses[0]
    generator = torch.Generator().manual_seed(seed)
    leaf = torch.rand(1, 3, config.height, config.width, generator=generator).to(DEVICE).requires_grad_()
    draw = objective.cutouts.draw(config.height, config.width, term.perceptor.size, seed, term.crops)
    weights = torch.ones(len(term.penalties))
    perceptor_loss(leaf, term, objective, [sent(draw, DEVICE)], weights)
    assert leaf.grad is not None
    return leaf.grad.abs().sum((0, 1)).cpu()


def left_share(grad: torch.Tensor) -> float:
    return float(grad[:, : grad.shape[1] // 2].sum() / grad.sum())


WIDE = {"size": "32x32", "cutouts": {"count": 8, "anchors": 2}}


def test_a_left_prompts_gradient_lies_on_the_left(tiny: Tiny) -> None:
    share = {
        place: left_share(gradient(tiny(prompts=[f"a red apple{place}"], **WIDE)))
        for place in ("", " @ left", " @ not left", " @ right")
    }
    assert 0.3 < share[""] < 0.7
    assert share[" @ left"] > 0.9
    assert share[" @ right"] < 0.1
    assert share[" @ not left"] == share[" @ right"]


def test_a_mask_file_is_a_region(tiny: Tiny) -> None:
    levels = np.zeros((32, 32), np.uint8)
    levels[:, :16] = 255
    Image.fromarray(levels).save("mask.png")
    by_file, by_name = (
        gradient(tiny(prompts=[f"a red apple @ {place}"], **WIDE)) for place in ("[mask.png]", "left")
    )
    assert torch.equal(by_file, by_name)


def test_others_keep_their_gradient(tiny: Tiny) -> None:
    """The gradients of a prompt with a region and of one without add up."""
    left, fog, both = (
        gradient(tiny(prompts=[line], **WIDE)) for line in ("an owl @ left", "fog", "fog | an owl @ left")
    )
    assert torch.allclose(both[:, 20:], fog[:, 20:], rtol=1e-4)
    assert not torch.allclose(both[:, :12], fog[:, :12], rtol=1e-2)
    assert left[:, 20:].sum() == 0


def test_a_region_of_everything_changes_nothing(tiny: Tiny) -> None:
    plain, whole = (gradient(tiny(prompts=[line], **WIDE)) for line in ("an owl", "an owl @ 0,0,1,1"))
    assert torch.allclose(plain, whole, rtol=1e-3, atol=1e-7)


def test_chunks_of_crops_give_the_same_gradient(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(prompts=["an owl @ left | fog | a bee @ top"], **WIDE)
    whole = gradient(config)
    monkeypatch.setattr("vqclip.guidance.memory.MemoryBudget.chunk_size", lambda *_: 3)
    assert torch.allclose(gradient(config), whole, rtol=1e-3, atol=1e-7)


def test_a_story_of_regions_is_painted(tiny: Tiny) -> None:
    made = paint(tiny(prompts=["an owl @ left | fog @ not left:0.5"]))
    assert [name.partition(": ")[2] for name in made.losses] == ["an owl @ left", "fog @ not left"]


def test_crops_weigh_by_what_they_show() -> None:
    masks = torch.tensor([1.0, 0.5, 0.0, 0.5]).view(1, 4, 1, 1, 1).expand(1, 4, 1, 3, 3)
    assert shares_of(masks).tolist() == [[2.0, 1.0, 0.0, 1.0]]
    assert shares_of(masks * 0).tolist() == [[0.0] * 4]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("left", [[1, 1, 0, 0]] * 4),
        ("bottom", [[0] * 4] * 2 + [[1] * 4] * 2),
        ("centre", [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]),
        ("edges", [[1] * 4, [1, 0, 0, 1], [1, 0, 0, 1], [1] * 4]),
        ("not edges", [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]),
        ("0.5,0,0.25,1", [[0, 0, 1, 0]] * 4),
        ("0,0,.125,1", [[0.5, 0, 0, 0]] * 4),
    ],
)
def test_regions_are_drawn(text: str, rows: list[list[float]]) -> None:
    assert mask_of(text, Path(), (4, 4))[0, 0].tolist() == rows


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("an owl @ left", Prompt(Kind.TEXT, "an owl", region="left")),
        ("an owl @ not centre:2:0.5", Prompt(Kind.TEXT, "an owl", 2, 0.5, region="not centre")),
        ("an owl @ 0,0,.5,1:2", Prompt(Kind.TEXT, "an owl", 2, region="0,0,.5,1")),
        ("an owl @ [m.png]:-1", Prompt(Kind.TEXT, "an owl", -1, region="[m.png]")),
        ('"a: b" @ top', Prompt(Kind.TEXT, "a: b", region="top")),
        ("[a.png] @ right:.5", Prompt(Kind.IMAGE, "a.png", 0.5, region="right")),
        ("meet @ noon", Prompt(Kind.TEXT, "meet @ noon")),
        ("owl@left", Prompt(Kind.TEXT, "owl@left")),
        ('"an owl @ left"', Prompt(Kind.TEXT, "an owl @ left")),
        ("an owl @ left:{0 -> 1}", Prompt(Kind.TEXT, "an owl", course="0 -> 1", region="left")),
    ],
)
def test_regions_are_read_and_written(line: str, expected: Prompt) -> None:
    assert prompts.parse(line) == [expected]
    assert prompts.parse(prompts.format(expected)) == [expected]


def test_a_box_outside_the_image_is_refused() -> None:
    with pytest.raises(PromptError, match=r"@ 0.5,0,0.7,1: this box lies outside the image"):
        prompts.parse("an owl @ 0.5,0,0.7,1")


def test_a_loss_of_crops_is_not_confined_to_the_region_of_the_only_prompt(tiny: Tiny) -> None:
    save_file({"weight": torch.randn(1, 16)}, "head.safetensors")
    head = {"head": {"file": "head.safetensors", "weight": 1}}
    alone, beside = (gradient(tiny(prompts=["an owl @ left"], losses=x, **WIDE)) for x in ({}, head))
    assert alone[:, 20:].sum() == 0
    assert (beside[:, 20:] > 0).any()
