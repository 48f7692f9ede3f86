"""The gallery: what it reads of runs, what it writes, and that a prompt stays a text."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from conftest import Vqclip
from PIL import Image
from sample_runs import make_run

from vqclip.base.errors import RunError, UsageError
from vqclip.gallery.data import as_json, page_data
from vqclip.gallery.entry import read_curve, read_entry
from vqclip.gallery.find import find_runs
from vqclip.gallery.gallery import write_gallery
from vqclip.gallery.thumbnails import MOST_FRAMES
from vqclip.media.video_writer import assemble
from vqclip.runs.frame_store import FrameStore

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028 'q' \"d\""


class Scripts(HTMLParser):
    """Collect the scripts of a page by their types, and the tags outside them."""

    def __init__(self, page: Path):
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.tags: list[str] = []
        self._type: str | None = None
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "script":
            self._type = dict(attrs).get("type") or "program"

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._type = None

    def handle_data(self, data: str) -> None:
        if self._type:
            self.scripts[self._type] = self.scripts.get(self._type, "") + data


def data_of(page: Path) -> dict[str, Any]:
    return dict(json.loads(Scripts(page).scripts["application/json"]))


def gallery_of(*folders: Path, page: str = "gallery.html") -> dict[str, Any]:
    write_gallery(folders, Path(page))
    return data_of(Path(page))


def test_the_command_writes_a_page_and_thumbnails(vqclip: Vqclip) -> None:
    for seed in (1, 2):
        make_run(Path("runs"), "an owl", seed)
    done = vqclip("gallery", "runs", "-o", "owls.html")
    assert (done.code, done.lines) == (0, ["owls.html"])
    runs = data_of(Path("owls.html"))["runs"]
    assert {run["seed"] for run in runs} == {"1", "2"}
    for run in runs:
        assert Path(unquote(run["image"])).is_file()
        with Image.open(unquote(run["thumb"])) as thumbnail:
            assert (thumbnail.format, thumbnail.size) == ("WEBP", (48, 32))


def test_a_page_elsewhere_links_to_the_runs(tmp_path: Path) -> None:
    folder = make_run(Path("runs with spaces & more"), "an owl")
    (tmp_path / "pages").mkdir()
    write_gallery([folder], tmp_path / "pages/my page.html")
    (run,) = data_of(tmp_path / "pages/my page.html")["runs"]
    assert (tmp_path / "pages" / unquote(run["image"])).samefile(folder / "image.png")
    assert (tmp_path / "pages" / unquote(run["thumb"])).is_file()
    assert " " not in run["image"] + run["thumb"]


def test_a_prompt_is_data_and_never_html() -> None:
    plain, nasty = make_run(Path("runs"), "an owl"), make_run(Path("runs"), NASTY)
    write_gallery([plain], Path("plain.html"))
    write_gallery([nasty], Path("nasty.html"))
    assert Scripts(Path("nasty.html")).tags == Scripts(Path("plain.html")).tags
    (run,) = data_of(Path("nasty.html"))["runs"]
    assert run["prompt"] == NASTY


def test_embedded_json_has_no_letter_that_ends_a_script() -> None:
    text = as_json({"<a>": ["&", "</script>", "<!--", "\u2028"]})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"<a>": ["&", "</script>", "<!--", "\u2028"]}


def test_the_program_makes_no_html_of_texts() -> None:
    program = Scripts(_written("gallery.html")).scripts["program"]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", program
    )


def test_the_page_asks_nobody_else() -> None:
    """No address of another host, and a policy that would refuse one."""
    text = _written("gallery.html").read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
    assert "default-src 'none'" in text


def _written(name: str) -> Path:
    write_gallery([make_run(Path("runs"), "an owl")], Path(name))
    return Path(name)


def test_common_settings_are_written_once_and_come_back() -> None:
    runs = [
        {"settings": {"steps": 40, "size": "48x32"}},
        {"settings": {"steps": 40, "size": "16x16"}},
        {"settings": {"steps": 40, "size": "48x32", "drawer.model": "mini"}},
    ]
    data = page_data(dict(run) for run in runs)
    assert data["base"] == {"steps": 40, "size": "48x32", "drawer.model": "mini"}
    back = [{**data["base"], **run["settings"]} for run in data["runs"]]
    assert back == [
        run["settings"] | ({} if "drawer.model" in run["settings"] else {"drawer.model": None})
        for run in runs
    ]


def test_runs_are_found_at_any_depth_and_once() -> None:
    inner, outer = make_run(Path("runs/batch/jobs"), "an owl"), make_run(Path("runs"), "a fox")
    make_run(Path("runs/.hidden"), "a crow")
    Path("runs/loop").symlink_to("..")
    assert set(find_runs([Path("runs"), outer])) == {inner, outer}


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_place_without_runs_is_one_line(place: str, vqclip: Vqclip) -> None:
    Path("empty").mkdir()
    done = vqclip("gallery", place)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert place in done.err
    assert not Path("gallery.html").exists()


@pytest.mark.parametrize("name", ["gallery.png", "runs/file/gallery.html", "folder.html"])
def test_a_page_that_cant_be_written_is_refused_before_any_work(name: str, vqclip: Vqclip) -> None:
    make_run(Path("runs"), "an owl")
    Path("folder.html").mkdir()
    Path("runs/file").touch()
    assert vqclip("gallery", "runs", "-o", name).code == 2
    assert not list(Path().glob("*-thumbnails"))


def test_damaged_runs_are_named_and_the_others_shown(vqclip: Vqclip) -> None:
    whole, config, image = (make_run(Path("runs"), prompt) for prompt in ("an owl", "a fox", "a crow"))
    (config / "config.yaml").write_text("prompts: [")
    (image / "image.png").write_bytes(b"no image")
    done = vqclip("gallery", "runs")
    assert done.code == 0
    assert [run["name"] for run in data_of(Path("gallery.html"))["runs"]] == [whole.name]
    assert config.name in done.err
    assert image.name in done.err


def test_an_unfinished_run_says_how_to_go_on() -> None:
    data = gallery_of(make_run(Path("runs"), "an owl", finished=False, image=False))
    (run,) = data["runs"]
    assert not run["finished"]
    assert run["thumb"] is None
    assert run["command"].startswith("vqclip resume runs/")
    assert run["steps"] == 40


def test_the_command_of_a_folder_with_a_quote_is_quoted() -> None:
    entry = read_entry(make_run(Path("it's mine; rm"), "an owl"))
    assert entry.command.startswith("vqclip reproduce 'it'\"'\"'s mine; rm/")


def test_damaged_lines_of_a_step_log_are_passed_over() -> None:
    log = Path("steps.jsonl")
    log.write_text(
        '{"frame": 0, "step": 10, "losses": {"a": 1}}\nnonsense\n{"frame": 0}\n'
        '{"frame": 0, "step": 20, "losses": {"a": 0.5}}\n{"frame": 1, "step": 5, "losses": {"a": NaN}}\n'
        '{"frame": 1, "step": 10, "losses": {"a": 0.25}}\n{"frame": 1, "st'
    )
    assert read_curve(log) == {"step": [10, 20, 25, 30], "a": [1, 0.5, None, 0.25]}
    assert read_curve(Path("none.jsonl")) == {}


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    log = Path("steps.jsonl")
    log.write_text("".join(f'{{"frame": 0, "step": {i}, "losses": {{"a": {i}}}}}\n' for i in range(1, 1001)))
    curve = read_curve(log, most=50)
    assert len(curve["step"]) == 50
    assert (curve["step"][0], curve["step"][-1], curve["a"][-1]) == (1, 1000, 1000)


def test_large_seeds_keep_all_digits() -> None:
    (run,) = gallery_of(make_run(Path("runs"), "an owl", 2**60 + 1))["runs"]
    assert run["seed"] == str(2**60 + 1)


def test_a_still_shows_the_steps_of_its_video() -> None:
    folder = make_run(Path("runs"), "an owl")
    shades = [Image.new("RGB", (48, 32), (5 * i, 0, 0)) for i in range(41)]
    assemble(shades, folder / "progress.mp4", 10, {}, "")
    (run,) = gallery_of(folder)["runs"]
    frames = run["frames"]
    assert frames["unit"] == "step"
    assert frames["numbers"] == list(range(0, 41, 2))
    assert len(frames["numbers"]) <= MOST_FRAMES
    with Image.open(unquote(frames["file"])) as strip:
        assert strip.size == (48 * 21, 32)
        reds = [strip.convert("RGB").getpixel((48 * i + 24, 16))[0] for i in (0, 10, 20)]  # type: ignore[index]
    assert reds == pytest.approx([0, 100, 200], abs=12)


def test_a_film_shows_its_frames() -> None:
    folder = make_run(Path("runs"), "an owl")
    store = FrameStore(folder)
    images = [Image.new("RGB", (48, 32), (0, 40 * i, 0)) for i in range(5)]
    for number, image in enumerate(images):
        store.save(number, image, {})
    assemble(images, folder / "film.mp4", 10, {}, "")
    (run,) = gallery_of(folder)["runs"]
    assert run["film"]
    assert run["video"].endswith("film.mp4")
    assert run["frames"]["numbers"] == [0, 1, 2, 3, 4]


def test_a_run_without_a_video_has_no_frames() -> None:
    (run,) = gallery_of(make_run(Path("runs"), "an owl"))["runs"]
    assert run["frames"] is None


def test_thumbnails_are_kept_renewed_and_swept() -> None:
    one, other = make_run(Path("runs"), "an owl"), make_run(Path("runs"), "a fox")
    gallery_of(one, other)
    first = {path.name: path.stat().st_mtime_ns for path in Path("gallery-thumbnails").iterdir()}
    Path("gallery-thumbnails/mine.txt").write_text("a file of the user's")
    gallery_of(one, other)
    assert (
        first.items() <= {p.name: p.stat().st_mtime_ns for p in Path("gallery-thumbnails").iterdir()}.items()
    )
    Image.new("RGB", (48, 32), "black").save(one / "image.png")
    os.utime(one / "image.png", (2**31 - 1, 2**31 - 1))
    (run,) = gallery_of(one)["runs"]
    with Image.open(run["thumb"]) as thumbnail:
        assert thumbnail.convert("RGB").getpixel((24, 16)) == (0, 0, 0)
    assert {path.name for path in Path("gallery-thumbnails").iterdir()} == {
        Path(run["thumb"]).name,
        "mine.txt",
    }


def test_a_config_without_prompts_is_refused() -> None:
    folder = make_run(Path("runs"), "an owl")
    (folder / "config.yaml").write_text("steps: 3\n")
    with pytest.raises(RunError, match="unusable"):
        read_entry(folder)


def test_a_page_must_be_html() -> None:
    with pytest.raises(UsageError, match="one HTML page"):
        write_gallery([], Path("gallery.pdf"))
