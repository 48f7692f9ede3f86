"""Build and read the data set: cut-outs as RGBA, wallpapers as RGB, an index of words.

data/sprites.npy      n 144 144 4   uint8, straight alpha
data/sprites.jsonl    a line each: source, style, name, words, licence, split, added
data/wallpapers.npy   m 288 432 3   uint8
data/wallpapers.jsonl a line each: source, file, split
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from training.images.opening import centre_crop, open_sprite, remove_background
from training.images.sources import ADDED_WALLS, wall_name
from training.images.sprite import WHOLE_PHOTO, Sprite

SIDE = 144
MARGIN = 4  # of transparent pixels, so that turning and blurring have room
WALLPAPER = (432, 288)
LARGEST_RATIO = 1.25  # of a whole photograph: what it shows seldom reaches far to both sides


@dataclass(frozen=True)
class Dataset:
    """The caches of `build_dataset`, memory-mapped."""

    sprites: np.ndarray  # n 144 144 4
    index: list[dict[str, Any]]
    wallpapers: np.ndarray  # m 288 432 3
    wallpaper_index: list[dict[str, Any]]

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        if not (folder / "sprites.jsonl").is_file():
            raise SystemExit(f"no data set in {folder}: run scripts/build_dataset --out {folder} first")
        return cls(
            np.load(folder / "sprites.npy", mmap_mode="r"),
            _read_lines(folder / "sprites.jsonl"),
            np.load(folder / "wallpapers.npy", mmap_mode="r"),
            _read_lines(folder / "wallpapers.jsonl"),
        )

    def rows(self, split: str, added: bool = False) -> np.ndarray:
        """Which cut-outs belong to a split; those of sources that were added later only where they are asked for."""
        return _of_split(self.index, split, added)

    def wallpaper_rows(self, split: str, added: bool = False) -> np.ndarray:
        return _of_split(self.wallpaper_index, split, added)


def _of_split(index: list[dict[str, Any]], split: str, added: bool) -> np.ndarray:
    kept = [i for i, row in enumerate(index) if row["split"] == split and (added or not row.get("added"))]
    return np.array(kept, dtype=np.int64)


def render(sprite: Sprite) -> np.ndarray | None:
    """One cut-out, cropped to what is drawn and fitted into the square: 144 144 4, or None if it can't be drawn."""
    try:
        picture = open_sprite(sprite.picture)
        if sprite.style == WHOLE_PHOTO:
            picture = centre_crop(picture, LARGEST_RATIO)
        elif sprite.picture.endswith(".jpg"):  # a JPEG has no alpha: its drawing is on white
            picture = remove_background(picture)
        box = picture.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox()
        if box is None or min(box[2] - box[0], box[3] - box[1]) < 4:
            return None
        return _fit(picture.crop(box))
    except (Exception, Image.DecompressionBombError) as error:
        print(f"left out {sprite.source} {sprite.name}: {type(error).__name__}", file=sys.stderr)
    except BaseException as error:  # the renderer's own panic is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        print(f"left out {sprite.source} {sprite.name}: renderer gave up", file=sys.stderr)
    return None


def read_wallpaper(item: tuple[str, Path]) -> np.ndarray | None:
    """One wallpaper, the middle of it at 288 432 3."""
    try:
        with Image.open(item[1]) as opened:
            opened.draft("RGB", (WALLPAPER[0] * 2, WALLPAPER[1] * 2))
            picture = opened.convert("RGB")
        scale = max(WALLPAPER[0] / picture.width, WALLPAPER[1] / picture.height)
        size = (
            max(WALLPAPER[0], round(picture.width * scale)),
            max(WALLPAPER[1], round(picture.height * scale)),
        )
        left, top = (size[0] - WALLPAPER[0]) // 2, (size[1] - WALLPAPER[1]) // 2
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
        pixels = np.asarray(picture.crop((left, top, left + WALLPAPER[0], top + WALLPAPER[1])))
        return pixels if pixels.std() > 8 else None  # some are plain: nothing to learn there
    except OSError as error:
        print(f"left out {item[1].name}: {error}", file=sys.stderr)
        return None


def build(out: Path, sprites: list[Sprite], walls: list[tuple[str, Path]], processes: int = 2) -> None:
    """Render everything and write the caches; the indices come last, so a half-built set has none."""
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    with context.Pool(processes) as pool:
        kept = _write(
            out / "sprites.npy", (SIDE, SIDE, 4), pool.imap(render, sprites, chunksize=16), len(sprites)
        )
        walls_kept = _write(
            out / "wallpapers.npy",
            (WALLPAPER[1], WALLPAPER[0], 3),
            pool.imap(read_wallpaper, walls),
            len(walls),
        )
    _write_lines(out / "sprites.jsonl", [_row(sprites[i]) for i in kept])
    _write_lines(out / "wallpapers.jsonl", [_wall_row(*walls[i], k) for k, i in enumerate(walls_kept)])


def build_smoke(out: Path, count: int = 24) -> None:
    """A stand-in without packages or network: plain shapes in plain colours, ramps for photographs."""
    out.mkdir(parents=True, exist_ok=True)
    forms: dict[str, Callable[[ImageDraw.ImageDraw, str], None]] = {
        "circle": lambda pen, colour: pen.ellipse((10, 10, 118, 118), fill=colour),
        "box": lambda pen, colour: pen.rectangle((10, 30, 118, 98), fill=colour),
        "triangle": lambda pen, colour: pen.polygon(((64, 10), (118, 118), (10, 118)), fill=colour),
        "ring": lambda pen, colour: pen.ellipse((10, 10, 118, 118), outline=colour, width=16),
    }
    sprites = []
    for form, draw in forms.items():
        for colour in ("red", "green", "blue", "yellow", "purple", "orange"):
            picture = Image.new("RGBA", (128, 128))
            draw(ImageDraw.Draw(picture), colour)
            picture.save(out / f"{colour}-{form}.png")
            sprites.append(
                Sprite(
                    "shapes",
                    "shape",
                    f"{colour} {form}",
                    (),
                    "public domain",
                    str(out / f"{colour}-{form}.png"),
                )
            )
    build(out, (sprites * (1 + count // len(sprites)))[:count], smoke_walls(out), processes=1)


def _fit(picture: Image.Image) -> np.ndarray:
    """Fit into the square with premultiplied alpha, so that no hidden colour bleeds into the edges."""
    inner = SIDE - 2 * MARGIN
    scale = inner / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS, reducing_gap=3).convert("RGBA")
    square = Image.new("RGBA", (SIDE, SIDE))
    square.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(square)


def _write(path: Path, shape: tuple[int, ...], arrays: Iterable[np.ndarray | None], total: int) -> list[int]:
    """Stream arrays to one .npy file; which of them could be made is returned."""
    temporary = path.with_suffix(".part.npy")
    store = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(total, *shape))
    kept: list[int] = []
    for i, array in enumerate(arrays):
        if array is not None:
            store[len(kept)] = array
            kept.append(i)
    np.save(path, store[: len(kept)])
    temporary.unlink()
    return kept


def _row(sprite: Sprite) -> dict[str, Any]:
    return {
        "source": sprite.source,
        "style": sprite.style,
        "name": sprite.name,
        "words": list(sprite.words),
        "licence": sprite.licence,
        "split": sprite.split,
        "added": sprite.added,
    }


def _wall_row(source: str, path: Path, number: int) -> dict[str, Any]:
    added = source == ADDED_WALLS
    split = "photos" if number % 12 == 5 and not added else "train"
    return {"source": source, "file": wall_name(path), "split": split, "added": added}


def smoke_walls(out: Path) -> list[tuple[str, Path]]:
    """A few ramps in place of photographs."""
    out.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None] * np.ones((64, 1, 3), dtype=np.uint8)
    walls = []
    for k in range(12):
        Image.fromarray(np.roll(ramp, 8 * k, axis=1)).save(out / f"wall{k}.png")
        walls.append(("shapes", out / f"wall{k}.png"))
    return walls


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.replace(temporary, path)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
