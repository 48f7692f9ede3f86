"""Labels, stored embeddings, long texts, weights over steps, and arithmetic by weights."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEVICE, Tiny, paint

from vqclip.base.errors import ConfigError, PromptError
from vqclip.config import prompt as prompts
from vqclip.config.prompt import Kind, Prompt
from vqclip.guidance.ops import unit
from vqclip.guidance.texts import chunks, read_vectors
from vqclip.pipeline.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("device")


def embedded(config: Any) -> list[torch.Tensor]:
    """The embeddings (m d) of a config's prompts, and the perceptor that made them."""
    objective = Pipeline(config, DEVICE).objective(Pipeline(config, DEVICE).film.frame(0))
    return [target.embeddings.cpu() for target in objective.perceptor_losses[0].targets]


def test_a_label_is_the_mean_of_its_templates(tiny: Tiny) -> None:
    texts = {"templates": ["a photo of a {}", "a drawing of a {}"]}
    label, photo, drawing = embedded(
        tiny(prompts=["label:cat | a photo of a cat | a drawing of a cat"], texts=texts)
    )
    assert torch.allclose(label, unit((photo + drawing) / 2), atol=1e-5)


def test_a_template_without_a_place_for_the_label_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"texts.templates: 'a photo' has no {}"):
        tiny(texts={"templates": ["a photo"]})


LONG = "a red apple, a blue bird, a green tree, a white cloud, a black dog, a grey cat"


def test_a_long_text_is_averaged_over_its_clauses(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (whole,) = embedded(tiny(prompts=[LONG], texts={"split": True}))
        assert not caplog.records
        (cut,) = embedded(tiny(prompts=[LONG]))
        assert "texts.split=true" in caplog.text
    assert not torch.allclose(whole, cut, atol=1e-3)


def test_a_short_text_is_the_same_with_and_without_splitting(tiny: Tiny) -> None:
    a, b = (embedded(tiny(prompts=["an owl"], texts={"split": split})) for split in (True, False))
    assert torch.equal(a[0], b[0])


def test_pieces_fit_and_hold_all_words() -> None:
    count = lambda text: len(text.split()) + 2  # noqa: E731
    pieces = chunks(LONG, count, 8)
    assert pieces == ["a red apple, a blue bird,", "a green tree, a white cloud,", "a black dog, a grey cat"]
    assert " ".join(chunks("one two three four five six", count, 4)) == "one two three four five six"
    assert all(count(piece) <= 4 for piece in chunks("one two three four five six", count, 4))


def write_npz(model: str, vectors: np.ndarray) -> None:
    np.savez(
        "owl.npz", embeddings=vectors.astype(np.float32), names=np.array(["owl"] * len(vectors)), model=model
    )


def test_stored_embeddings_are_a_prompt(tiny: Tiny, tiny_clip: Path) -> None:
    """The same as the text that they were made of."""
    (text,) = embedded(tiny(prompts=["an owl"]))
    name = Pipeline(tiny(), DEVICE)._embeddings[0].perceptor.name
    write_npz(name, text.numpy() * 3)
    (stored,) = embedded(tiny(prompts=["[owl.npz]"]))
    assert torch.allclose(stored, text, atol=1e-5)
    Path("owl.json").write_text(json.dumps(text[0].tolist()))
    (listed,) = embedded(tiny(prompts=["[owl.json]:2"]))
    assert torch.allclose(listed, text, atol=1e-5)
    by_vector, by_text = (paint(tiny(prompts=[line])).image for line in ("[owl.npz]", "an owl"))
    assert by_vector.tobytes() == by_text.tobytes()


def test_json_by_the_names_of_clips() -> None:
    Path("v.json").write_text(json.dumps({"ViT-B/32": [1.0, 0.0], "RN50": [[0.0, 1.0]]}))
    assert read_vectors(Path("v.json"), "ViT-B-32/openai").tolist() == [[1.0, 0.0]]
    assert read_vectors(Path("v.json"), "RN50/openai").tolist() == [[0.0, 1.0]]
    with pytest.raises(
        ConfigError, match=r"v.json has embeddings of ViT-B/32, RN50, and none of mini-clip-2"
    ):
        read_vectors(Path("v.json"), "mini-clip-2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.npz", "gone.npz can't be read"),
        ("bad.npz", "bad.npz holds no embeddings that vqclip can read"),
        ("empty.npz", "empty.npz holds no embeddings that vqclip can read: it is no npz"),
        ("cut.npz", "cut.npz holds no embeddings that vqclip can read"),
        ("spoilt.npz", "spoilt.npz holds no embeddings that vqclip can read"),
        ("bad.json", "bad.json holds no embeddings that vqclip can read"),
        ("other.npz", "other.npz holds embeddings of another, and the perceptor is"),
        ("short.json", "short.json holds embeddings of 2 numbers, and .* makes 16"),
    ],
)
def test_files_without_embeddings_are_refused_in_one_line(name: str, message: str, tiny: Tiny) -> None:
    Path("bad.npz").write_bytes(b"nothing")
    Path("empty.npz").touch()
    np.savez_compressed("spoilt.npz", embeddings=np.random.default_rng(0).normal(size=(9, 16)))
    whole = Path("spoilt.npz").read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("spoilt.npz").write_bytes(whole[:200] + bytes(100) + whole[300:])
    Path("bad.json").write_text("{")
    Path("short.json").write_text("[1, 0]")
    np.savez("other.npz", embeddings=np.ones((1, 16)), model="another")
    with pytest.raises(ConfigError, match=message):
        Pipeline(tiny(prompts=[f"[{name}]"]), DEVICE)


def test_a_weight_changes_over_a_stills_steps(tiny: Tiny) -> None:
    """A prompt that fades in is silent at first, and one of a constant schedule is the plain one."""
    seen: list[float] = []
    name = "fog"

    def note(step: Any) -> None:
        seen.append(next(float(loss) for key, loss in step.losses.items() if key.endswith(name)))

    paint(tiny(prompts=["an owl | fog:{0 -> 1}"]), None, note)
    assert seen[0] == 0
    assert seen[-1] > 0
    constant, plain = (paint(tiny(prompts=[f"an owl | fog:{weight}"])).image for weight in ("{0.5}", "0.5"))
    assert constant.tobytes() == plain.tobytes()


def test_a_scheduled_weight_may_turn_negative(tiny: Tiny) -> None:
    constant, plain = (
        paint(tiny(prompts=[f"an owl | fog:{weight}:-3"])).losses for weight in ("{-0.5}", "-0.5")
    )
    assert constant == pytest.approx(plain, abs=1e-5)


def test_weights_are_arithmetic_on_gradients(tiny: Tiny) -> None:
    """A prompt and its negative cancel, so that the third alone is left."""
    alone, cancelled = (
        paint(tiny(prompts=[line])).losses for line in ("an owl", "an owl | fog:0.5 | fog:-0.5")
    )
    (owl,) = alone.values()
    assert next(loss for name, loss in cancelled.items() if name.endswith("an owl")) == pytest.approx(
        owl, abs=0.05
    )
    assert next(loss for name, loss in cancelled.items() if name.endswith("fog")) == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("label:tabby cat", Prompt(Kind.LABEL, "tabby cat")),
        ("label: tabby cat:2", Prompt(Kind.LABEL, "tabby cat", 2)),
        ("[label:room 10]:2", Prompt(Kind.LABEL, "room 10", 2)),
        ('"label:cat"', Prompt(Kind.TEXT, "label:cat")),
        ("[a b.npz]:0.5", Prompt(Kind.VECTOR, "a b.npz", 0.5)),
        ("[textoff.json]", Prompt(Kind.VECTOR, "textoff.json")),
        ("label:", Prompt(Kind.TEXT, "label:")),
    ],
)
def test_they_are_read_and_written(line: str, expected: Prompt) -> None:
    assert prompts.parse(line) == [expected]
    assert prompts.parse(prompts.format(expected)) == [expected]


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(PromptError, match="is empty"):
        prompts.parse("an owl | ")
