"""Pack what a training needs into one file: python -m training.pack [--for clip] --out FILE

For the prior: cut-outs, mini-vqgan, and mini-clip-2's text tower with no more words than the cut-outs' sentences have.
For mini-clip-2's image tower: cut-outs, those held out, and the untouched tower; the rest is in
checkpoints/mini-clip-2.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from training.argument_types import whole
from training.images.dataset import Dataset, build_smoke
from training.packed import clip, file
from training.packed.reader import Vocabulary, reduced, tokens
from training.scenes.captions import NUMBERS, PLAIN_TEMPLATES, STYLE_TEMPLATES, plural
from training.scenes.draws import SENTENCES, WORDS
from training.scenes.places import PHOTOGRAPHS, PLACES
from training.towers.lite import pretrained_tower
from training.towers.retrieval import PROMPTS
from vqclip.models.vqgan_configs import NOTE, to_note
from vqclip.models.vqgan_loading import read_vqgan
from vqclip.start.phrases import COLOURS

SIDE, WALL = 104, (432, 288)
FINE = 80  # quality of the WebPs that figures are taken of
COARSE = 45  # and of those that mini-clip-2's tower learns from
CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="folder of the data set (default: data)"
    )
    parser.add_argument("--side", type=whole(), default=SIDE, help=f"pixels of a cut-out (default: {SIDE})")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights of a prior to begin with")
    parser.add_argument("--smoke", action="store_true", help="plain shapes; no network, no data set")
    parser.add_argument(
        "--for", dest="kind", choices=("prior", "clip"), default="prior", help="the training (default: prior)"
    )
    given = parser.parse_args(arguments)
    if given.smoke and not (given.data / "sprites.jsonl").is_file():
        build_smoke(given.data, 48)
    data = Dataset.open(given.data)
    if given.kind == "clip":
        size, count = pack_clip(data, given.out, given.side, stand_in=given.smoke)
    else:
        size, count = pack(data, given.out, given.side, given.start)
    print(f"{given.out}: {count} cut-outs, {size / 1e6:.1f} MB")
    return 0


def pack(data: Dataset, out: Path, side: int, start: Path | None = None) -> tuple[int, int]:
    """Write the file; return its size in bytes and the number of its cut-outs."""
    rows = np.concatenate([data.rows("train"), data.rows(file.HELD_OUT)])
    walls = data.wallpaper_rows("train")
    index = [_row(data, int(row)) for row in rows]
    architecture, vqgan = read_vqgan(CHECKPOINTS / "mini-vqgan" / "model.safetensors")
    tensors = {
        **file.webps("sprites", (_shrunk(data.sprites[row], side) for row in rows)),
        **file.webps("walls", (Image.fromarray(data.wallpapers[row]).resize(WALL) for row in walls)),
        "index": file.as_lines(index),
        "wall_index": file.as_lines([data.wallpaper_index[row] for row in walls]),
        **{f"vqgan.{key}": value.half().contiguous() for key, value in vqgan.items()},
        **_reader([*_sentences(), *_said(index)]),
    }
    if start is not None:
        tensors |= {f"start.{key}": value for key, value in load_file(start).items()}
    return file.save(out, tensors, {file.KIND: file.PRIOR, NOTE: to_note(architecture)}), len(rows)


def pack_clip(data: Dataset, out: Path, side: int, stand_in: bool = False) -> tuple[int, int]:
    """Write the file of mini-clip-2's image tower; return its size in bytes and the number of its cut-outs.

    With `stand_in` the untouched tower has random weights.
    """
    import open_clip  # noqa: PLC0415  # the training itself does without

    rows = data.rows("train", added=True)
    tried = np.concatenate([data.rows(split, added=True) for split in (*clip.SPLITS, *clip.ADDED_SPLITS)])
    tried = tried if len(tried) else rows
    walls = data.wallpaper_rows("train", added=True)
    index, tried_index = ([_row(data, int(row)) for row in some] for some in (rows, tried))
    texts = [*_sentences(), *PROMPTS, *_said([*index, *tried_index])]
    words = tokens([*texts, *(plural(text) for text in texts)], open_clip.SimpleTokenizer().encode)
    tower = pretrained_tower(stand_in=stand_in).state_dict()
    return file.save(
        out,
        {
            **file.webps("sprites", (_shrunk(data.sprites[row], side) for row in rows), COARSE, effort=6),
            **file.webps("tried", (Image.fromarray(data.sprites[row]) for row in tried), FINE),
            **file.webps("walls", (Image.fromarray(data.wallpapers[row]).resize(WALL) for row in walls)),
            "index": file.as_lines(index),
            "tried_index": file.as_lines(tried_index),
            "wall_index": file.as_lines([data.wallpaper_index[row] for row in walls]),
            "words": file.as_bytes(json.dumps(words).encode()),
            **{f"untouched.{key}": _half(value) for key, value in tower.items() if "classifier" not in key},
        },
        {file.KIND: clip.KIND},
    ), len(rows)


def _half(value: Tensor) -> Tensor:
    return value.half().contiguous() if value.is_floating_point() else value.contiguous()


def _row(data: Dataset, row: int) -> dict[str, Any]:
    kept = data.index[row]
    return {key: kept[key] for key in ("style", "name", "split")} | {"words": kept["words"][:WORDS]}


def _said(index: list[dict[str, Any]]) -> Iterator[str]:
    for row in index:
        yield from (row["name"], *row["words"])


def _shrunk(sprite: np.ndarray, side: int) -> Image.Image:
    picture = Image.fromarray(sprite).convert("RGBa")
    return picture.resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")


def _sentences() -> Iterator[str]:
    """Every word that sentences have beside names: templates, colours, numbers, places, photographs."""
    yield from PLAIN_TEMPLATES
    yield from SENTENCES
    yield from (text for group in STYLE_TEMPLATES.values() for text in group)
    yield from COLOURS
    yield from NUMBERS.values()
    yield from (text for _, words in PLACES.values() for text in words)
    yield from (text for group in PHOTOGRAPHS.values() for text in group)


def _reader(texts: list[str]) -> dict[str, Tensor]:
    """mini-clip-2's text tower, for what texts and their plurals say."""
    import open_clip  # noqa: PLC0415  # the training itself does without

    folder = CHECKPOINTS / "mini-clip-2"
    heads = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]["heads"]
    tensors = load_file(folder / "open_clip_model.safetensors")
    tower = {k: v for k, v in tensors.items() if not k.startswith("visual.") and k != "logit_scale"}
    said = [*texts, *(plural(text) for text in texts)]
    vocabulary, tower = reduced(said, open_clip.SimpleTokenizer().encode, tower)
    return {"words": _words(vocabulary, heads), **{f"reader.{key}": value for key, value in tower.items()}}


def _words(vocabulary: Vocabulary, heads: int) -> Tensor:
    return file.as_bytes(json.dumps({**vars(vocabulary), "heads": heads}).encode())


if __name__ == "__main__":
    raise SystemExit(main())
