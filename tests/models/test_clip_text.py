"""The text tower without torch agrees with open_clip, and declines what it can't read."""

import copy
import json
import random
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from conftest import TINY_CLIP
from safetensors.torch import load_file, save_file

from vqclip.base.paths import CHECKPOINTS
from vqclip.models.byte_pairs import ClipTokenizer
from vqclip.models.clip import load_clip
from vqclip.models.clip_text import eight_bit_numbers, text_tower

TEXTS = [
    "a red apple",
    "",
    "long " * 100,
    "it's 123 &amp;amp; Ünïcode 猫\n\tJUNE",
    "an <end_of_text> inside",
    "ﬁne “quotes”…",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz  ABCéßžЯ猫🙂'’&<>;12\t\n.,!?-_İ"


def theirs(folder: Path) -> np.ndarray:
    model, tokenizer = load_clip(str(folder))
    return torch.nn.functional.normalize(model.encode_text(tokenizer(TEXTS)), dim=-1).float().numpy()


def test_eight_bits_mean_what_they_mean_to_torch() -> None:
    theirs = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    np.testing.assert_array_equal(eight_bit_numbers(), theirs)


def test_agrees_with_open_clip_on_mini_clip() -> None:
    folder = CHECKPOINTS / "mini-clip-2"
    tower = text_tower(folder)
    assert tower is not None
    assert np.abs(tower.embed(TEXTS) - theirs(folder)).max() < 1e-5


@pytest.mark.parametrize("quick", [True, False])
def test_agrees_with_open_clip_on_random_weights(quick: bool, tmp_path: Path) -> None:
    """With weights larger than at initialisation, and both activations."""
    torch.manual_seed(3)
    model = open_clip.CLIP(**copy.deepcopy(TINY_CLIP), quick_gelu=quick)
    state = {key: value + 0.1 * torch.randn_like(value) for key, value in model.state_dict().items()}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    about = {
        "model_cfg": TINY_CLIP | {"quick_gelu": quick},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(about))
    tower = text_tower(tmp_path)
    assert tower is not None
    assert np.abs(tower.embed(TEXTS) - theirs(tmp_path)).max() < 1e-5


def test_tokens_are_those_of_open_clip() -> None:
    ours, open_clips, chance = ClipTokenizer(), open_clip.get_tokenizer("ViT-B-32"), random.Random(1)
    for _ in range(500):
        text = "".join(chance.choices(LETTERS, k=chance.randrange(60)))
        tokens = ours.tokens(text, 20)
        assert tokens + [0] * (20 - len(tokens)) == open_clips([text], 20)[0].tolist(), text


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHECKPOINTS / "mini-clip-2", tmp_path / "clip"))


@pytest.mark.parametrize("key", ["embed_cls", "hf_model_name", "no_causal_mask", "pool_type"])
def test_declines_a_tower_of_another_kind(key: str, copied: Path) -> None:
    config = json.loads((copied / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"][key] = "first"
    (copied / "open_clip_config.json").write_text(json.dumps(config))
    assert text_tower(copied) is None


def test_declines_a_file_that_lacks_a_tensor_or_is_damaged(copied: Path) -> None:
    file = copied / "open_clip_model.safetensors"
    tensors = load_file(file)
    save_file({key: value for key, value in tensors.items() if key != "text_projection"}, file)
    assert text_tower(copied) is None
    file.write_bytes(file.read_bytes()[:1000])
    assert text_tower(copied) is None


def test_declines_a_folder_with_two_files_of_weights(copied: Path) -> None:
    (copied / "open_clip_pytorch_model.bin").write_bytes(b"")
    assert text_tower(copied) is None
