"""Pictures of sources that came later: how files become names, and that what was held out stays held out."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from training.images import education, games, icons
from training.images.dataset import Dataset, build, smoke_walls
from training.images.opening import centre_crop, remove_background, svg_text
from training.images.qt_resources import read_resources
from training.images.sprite import WHOLE_PHOTO, Sprite, held_out

NAMES = [f"thing {number}" for number in range(400)]


def sprite(name: str, source: str = "pysiogame", style: str = "cartoon", added: bool = True) -> Sprite:
    return Sprite(source, style, name, (), "", "", added)


def test_names_that_were_held_out_are_learned_from_no_added_source() -> None:
    for name in NAMES:
        if sprite(name, "@iconify-json/noto", "noto", added=False).split == "names":
            assert sprite(name).split == "added names"
            assert sprite(name, style=WHOLE_PHOTO).split in ("added names", "added photos")
        if sprite(name, style="photo", added=False).split == "photos":
            assert sprite(name, style=WHOLE_PHOTO).split == "added photos"


def test_added_sources_put_nothing_into_the_first_splits() -> None:
    styles = (WHOLE_PHOTO, "cartoon", "game-icons")
    splits = {sprite(name, "@iconify-json/game-icons", style).split for name in NAMES for style in styles}
    assert splits == {"train", "added names", "added photos"}
    assert 10 < sum(held_out(name, 20) for name in NAMES) < 30


def test_a_data_set_tells_added_pictures_from_the_first(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    names = [name for name in NAMES[:60] if sprite(name).split == "train"]
    found = [
        Sprite("shapes", "flat", name, (), "", str(tmp_path / "red.png"), i % 3 == 0)
        for i, name in enumerate(names)
    ]
    build(tmp_path, found, smoke_walls(tmp_path), processes=1)
    data = Dataset.open(tmp_path)
    assert len(data.rows("train", added=True)) == len(names)
    first = data.rows("train")
    assert len(first) == len(names) - len(names[::3])
    assert not any(data.index[row]["added"] for row in first)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("measuringTape4", "measuring tape"),
        ("polar_bear", "polar bear"),
        ("chamaeleon", "chameleon"),
        ("bentPyramid", "pyramid"),
        ("question", None),
        ("tuxplane", None),
    ],
)
def test_files_of_educational_programs_become_nouns(stem: str, name: str | None) -> None:
    assert education.name_of(stem) == name


NOUNS = {"archer", "bear", "giant", "rat", "axe", "potion", "sword", "rock", "dwarf", "guard"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("elves-wood/archer+female.png", "elf archer"),
        ("elves-wood/archer-attack.png", None),
        ("elves-wood/shyde.png", "elf"),
        ("dwarves/guard.png", "dwarf guard"),
        ("monsters/bear/bear.png", "bear"),
        ("monsters/bear/bear-bite-3.png", None),
        ("monsters/giant-rat.png", "giant rat"),
        ("monsters/xyzzy.png", None),
        ("human-loyalists/royalguard.png", "guard"),
        ("random-dice.png", None),
    ],
)
def test_one_frame_of_a_unit_is_named(path: str, name: str | None) -> None:
    assert games.unit_name(Path(path), NOUNS) == name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("axe-2", "axe"),
        ("potion-blue", "blue potion"),
        ("gold-coins-small", "gold coins"),
        ("castle-ruins3", "castle ruin"),
        ("dummy", None),
        ("xyzzy", None),
    ],
)
def test_items_are_named_by_the_thing(stem: str, name: str | None) -> None:
    assert games.item_name(stem, NOUNS) == name


@pytest.mark.parametrize(
    ("key", "name"),
    [("shopping-basket-3", "shopping basket"), ("camera-duo", "camera"), ("camera-settings", None)],
)
def test_a_key_is_a_name_where_the_whole_is_a_thing(key: str, name: str | None) -> None:
    assert icons.thing_of(key, {"shopping basket", "camera"}) == name


def test_the_background_of_a_drawing_becomes_transparent_and_white_within_it_stays() -> None:
    picture = Image.new("RGB", (60, 40), "white")
    ImageDraw.Draw(picture).ellipse((15, 5, 45, 35), outline="red", width=4)
    found = np.asarray(remove_background(picture))
    assert found.shape == (40, 60, 4)
    assert found[2, 2, 3] == 0
    assert found[20, 58, 3] == 0
    assert found[20, 30].tolist() == [255, 255, 255, 255]


def test_a_drawing_that_reaches_the_edge_is_cut_out_all_the_same() -> None:
    picture = Image.new("RGB", (60, 40), "white")
    ImageDraw.Draw(picture).rectangle((0, 15, 59, 25), fill="blue")
    alpha = np.asarray(remove_background(picture))[..., 3]
    assert alpha[5, 30] == alpha[35, 30] == 0
    assert alpha[20, 30] == 255


@pytest.mark.parametrize(
    ("size", "kept"), [((200, 100), (125, 100)), ((100, 300), (100, 125)), ((90, 80), (90, 80))]
)
def test_a_long_photograph_keeps_its_middle(size: tuple[int, int], kept: tuple[int, int]) -> None:
    assert centre_crop(Image.new("RGB", size), 1.25).size == kept


def test_compressed_svgs_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_bytes(gzip.compress(b"<svg><path/></svg>"))
    assert svg_text(str(tmp_path / "a.svg")).endswith("<path/></svg>")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_of_a_qt_resource_are_read_with_their_folders(tmp_path: Path, version: int) -> None:
    path = tmp_path / "a.rcc"
    path.write_bytes(resource(version, b"plain", b"packed " * 20))
    assert list(read_resources(path)) == [("images/a.txt", b"plain"), ("images/bä.txt", b"packed " * 20)]


def test_another_file_is_no_qt_resource(tmp_path: Path) -> None:
    (tmp_path / "a.rcc").write_bytes(b"something else")
    with pytest.raises(ValueError, match="no Qt resource file"):
        list(read_resources(tmp_path / "a.rcc"))


def test_contents_that_cannot_be_read_are_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.rcc").write_bytes(resource(3, b"plain", b"packed", flags=4))
    with pytest.raises(ValueError, match=r"images/bä.txt in .* is compressed by zstd"):
        list(read_resources(tmp_path / "a.rcc"))


def resource(version: int, plain: bytes, packed: bytes, flags: int = 1) -> bytes:
    """A resource file with a folder of two files, of which the second is compressed."""
    names, places = b"", []
    for name in ("images", "a.txt", "bä.txt"):
        places.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    squeezed = struct.pack(">I", len(packed)) + zlib.compress(packed)
    contents = [struct.pack(">I", len(one)) + one for one in (plain, squeezed)]
    tree = entries(version, places, len(contents[0]), flags)
    header = 24 if version >= 3 else 20
    begin = header, header + len(tree), header + len(tree) + sum(map(len, contents))
    head = b"qres" + struct.pack(">4i", version, *begin) + (bytes(4) if version >= 3 else b"")
    return head + tree + b"".join(contents) + names


def entries(version: int, places: Sequence[int], second: int, flags: int) -> bytes:
    """The root, which has a folder, which has two files; from version 2 on each has a time."""
    time = bytes(8) if version >= 2 else b""
    return time.join(
        (
            struct.pack(">iHii", 0, 2, 1, 1),
            struct.pack(">iHii", places[0], 2, 2, 2),
            struct.pack(">iHHHi", places[1], 0, 0, 0, 0),
            struct.pack(">iHHHi", places[2], flags, 0, 0, second),
            b"",
        )
    )
