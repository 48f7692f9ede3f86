"""Search finds what is nearest, reads only what changed, and survives kills and company."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Vqclip
from PIL import Image

from vqclip.base import lock
from vqclip.base.errors import UsageError
from vqclip.retrieval import approximate, update
from vqclip.retrieval import index as index_module
from vqclip.retrieval.chosen import chosen_perceptors
from vqclip.retrieval.index import Index, Live
from vqclip.retrieval.nearest import nearest
from vqclip.retrieval.records import Match, Progress, Skipped, Waiting
from vqclip.retrieval.retrieval import Retrieval
from vqclip.retrieval.scan import Stamp, scan
from vqclip.retrieval.update import index_folder
from vqclip.session import Session

STRESS = Path(__file__).parents[1] / "stress" / "search.py"
COLOURS = ("red", "green", "blue", "yellow", "black", "white", "teal", "purple")


@pytest.fixture(scope="module")
def retrieval() -> Retrieval:
    return Session("cpu").retrieval


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images in two folders; a text and a hidden image that are no part of it."""
    for i, colour in enumerate(COLOURS):
        path = tmp_path / "pictures" / ("a" if i % 2 else "b") / f"{colour}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (20, 30), colour)
        image.paste(COLOURS[i - 3], (2 * i % 9, i, 2 * i % 9 + 6, i + 9))
        image.save(path)
    (tmp_path / "pictures/notes.txt").write_text("no image")
    shutil.copy(path, tmp_path / "pictures/.hidden.png")
    return tmp_path / "pictures"


Search = Callable[..., list[Any]]


@pytest.fixture
def search(retrieval: Retrieval, folder: Path, tiny_clip: Path) -> Search:
    def run(**given: Any) -> list[Any]:
        words = {"text": None if "like" in given else "a red apple", "model": str(tiny_clip)}
        return list(retrieval.search(given.pop("folder", folder), **(words | given)))

    return run


def read_by(records: list[Any]) -> int:
    """How many images were read."""
    return max((one.done for one in records if isinstance(one, Progress)), default=0)


def names(records: list[Any]) -> list[str]:
    return [one.path.name for one in records if isinstance(one, Match)]


def index_of(folder: Path, model: Path) -> Index:
    index = Index(index_folder(folder, chosen_perceptors([str(model)])[0])[0])
    index.load()
    return index


class TestFinds:
    def test_the_nearest_by_cosine(
        self, search: Search, retrieval: Retrieval, tiny_clip: Path, folder: Path
    ) -> None:
        found = [one for one in search() if isinstance(one, Match)]
        paths = sorted(folder.glob("?/*.png"))
        *seen, text = [
            one.vector for one in retrieval.embed(paths, texts=["a red apple"], model=str(tiny_clip))
        ]
        cosines = dict(zip(paths, np.stack(seen) @ text, strict=True))
        assert [one.path for one in found] == sorted(paths, key=lambda path: -cosines[path])
        np.testing.assert_allclose(
            [one.score for one in found], [cosines[one.path] for one in found], atol=1e-6
        )
        assert [one.rank for one in found] == list(range(1, 9))

    def test_an_image_is_nearest_to_itself(self, search: Search, folder: Path) -> None:
        found = search(like=[folder / "a/green.png"], count=3)
        assert names(found)[0] == "green.png"
        assert len(names(found)) == 3
        assert next(one.score for one in found if isinstance(one, Match)) == pytest.approx(1, abs=1e-5)

    def test_not_moves_what_resembles_it_back(self, search: Search, folder: Path) -> None:
        plain = {one.path: one.score for one in search() if isinstance(one, Match)}
        like = {one.path: one.score for one in search(text="a cat") if isinstance(one, Match)}
        less = {one.path: one.score for one in search(unlike=["a cat"]) if isinstance(one, Match)}
        for path, score in less.items():
            assert score == pytest.approx(plain[path] - like[path], abs=1e-5)

    def test_chunks_give_what_a_whole_product_gives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vqclip.retrieval.nearest.CHUNK", 7)
        vectors = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
        query = vectors[3]
        segments = [
            index_module.Segment(tmp_path, [str(i) for i in part], [], vectors[part])
            for part in (range(30), range(30, 100))
        ]
        live = [Live(one, np.arange(len(one.names))) for one in segments]
        best = np.argsort(-(vectors @ query), kind="stable")[:12]
        assert [name for name, _ in nearest(live, query, 12)] == [str(i) for i in best]
        assert len(nearest(live, query, 1000)) == 100
        assert nearest([], query, 5) == []


class TestFindsAmongMany:
    """The number from which on a search isn't exact is set low."""

    @pytest.fixture
    def live(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Live]:
        """Rows around a hundred centres, in two segments; every third one doesn't hold."""
        monkeypatch.setattr(approximate, "MOST_EXACT", 100)
        chance = np.random.default_rng(0)
        vectors = chance.normal(size=(100, 16)).repeat(40, axis=0) + 0.3 * chance.normal(size=(4000, 16))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        index = Index(tmp_path)
        for part in (range(2500), range(2500, 4000)):
            index.add([(str(i), Stamp(1, 1, 1)) for i in part], vectors[part])
        return index.live({str(i): Stamp(1, 1, 1) for i in range(4000) if i % 3})

    def test_lists_are_made_once_and_find_nearly_all(self, live: list[Live], tmp_path: Path) -> None:
        pytest.importorskip("faiss")
        found = wanted = 0
        for row in range(0, 2000, 100):
            query = live[0].segment.vectors[row]
            exact = nearest(live, query, 10)
            near = approximate.nearest_of_many(live, query, 10, tmp_path)
            assert all(int(name) % 3 for name, _ in near)
            found, wanted = found + len(set(near) & set(exact)), wanted + len(exact)
        assert found > 0.9 * wanted
        [file] = tmp_path.glob("*.faiss")
        file.write_bytes(b"damaged")
        assert len(approximate.nearest_of_many(live, query, 10, tmp_path)) == 10
        approximate.nearest_of_many(live[1:], query, 10, tmp_path)
        assert file not in list(tmp_path.glob("*.faiss"))

    def test_without_faiss_all_are_compared(
        self,
        live: list[Live],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(approximate, "find_spec", lambda name: None)
        query = live[0].segment.vectors[7]
        assert approximate.nearest_of_many(live, query, 10, tmp_path) == nearest(live, query, 10)
        assert "vqclip[search]" in caplog.text


class TestReadsOnlyWhatChanged:
    def test_a_second_call_reads_nothing(self, search: Search) -> None:
        first, second = search(), search(text="another text")
        assert (read_by(first), read_by(second)) == (8, 0)
        assert sorted(names(first)) == sorted(names(second))

    def test_new_changed_renamed_and_deleted_files(self, search: Search, folder: Path) -> None:
        search()
        Image.new("RGB", (5, 5), "red").save(folder / "new.jpg")
        Image.new("RGB", (25, 30), "blue").save(folder / "a/green.png")
        (folder / "b/red.png").unlink()
        (folder / "b/blue.png").rename(folder / "b/moved.png")
        changed = search()
        assert read_by(changed) == 3
        assert {"new.jpg", "green.png", "moved.png"} < set(names(changed))
        assert {"red.png", "blue.png"} & set(names(changed)) == set()
        assert names(search(like=[folder / "a/green.png"]))[0] == "green.png"

    def test_other_weights_have_an_index_of_their_own(
        self, search: Search, other_clip: Path, tiny_clip: Path, folder: Path
    ) -> None:
        search()
        assert read_by(search(model=str(other_clip))) == 8
        assert read_by(search()) == 0
        entry = chosen_perceptors([str(tiny_clip)])[0]
        before = index_folder(folder, entry)[0]
        weights = tiny_clip / "open_clip_model.safetensors"
        old = weights.stat()
        os.utime(weights, ns=(old.st_atime_ns, old.st_mtime_ns + 1))
        assert index_folder(folder, entry)[0] != before
        os.utime(weights, ns=(old.st_atime_ns, old.st_mtime_ns))

    def test_many_segments_become_one(
        self, search: Search, folder: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index_module, "MOST_SMALL", 2)
        for i in range(4):
            Image.new("RGB", (9, 9), COLOURS[i]).save(folder / f"{i}.png")
            search()
        index = index_of(folder, tiny_clip)
        assert len(index.segments) < 3
        assert sorted(name for one in index.segments for name in one.names) == sorted(scan(folder)[0])
        assert read_by(search()) == 0

    def test_rows_that_no_longer_hold_are_dropped(
        self, search: Search, folder: Path, tiny_clip: Path
    ) -> None:
        search()
        for path in list(folder.glob("a/*.png")) + list(folder.glob("b/r*.png")):
            path.unlink()
        search()
        assert sum(len(one.names) for one in index_of(folder, tiny_clip).segments) == 3


class TestPassesBy:
    def test_broken_files_and_links_are_named(self, search: Search, folder: Path) -> None:
        (folder / "text.png").write_text("no image")
        whole = (folder / "a/green.png").read_bytes()
        (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
        (folder / "empty.jpg").touch()
        (folder / "round").symlink_to(folder)
        (folder / "gone.png").symlink_to(folder / "nowhere.png")
        (folder / "self.png").symlink_to(folder / "self.png")
        records = search()
        causes = {one.path.name: one.cause for one in records if isinstance(one, Skipped)}
        assert set(causes) == {"text.png", "cut.png", "empty.jpg", "round", "gone.png", "self.png"}
        assert all(name in cause for name, cause in causes.items())
        assert len(names(records)) == 8

    def test_a_file_that_vanishes_is_no_fault(
        self, search: Search, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def scan_then_delete(where: Path) -> Any:
            found = scan(where)
            (where / "a/green.png").unlink()
            return found

        monkeypatch.setattr(update, "scan", scan_then_delete)
        records = search()
        assert [one for one in records if isinstance(one, Skipped)] == []
        assert len(names(records)) == 7

    def test_unreadable_folders_are_named(
        self, search: Search, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By any user: a superuser may read what its permissions forbid."""
        listdir = os.listdir

        def refuse(path: str) -> list[str]:
            if os.path.basename(path) == "a":
                raise PermissionError(13, "Permission denied")
            return listdir(path)

        monkeypatch.setattr(os, "listdir", refuse)
        records = search()
        assert [one.path.name for one in records if isinstance(one, Skipped)] == ["a"]
        assert len(names(records)) == 4

    def test_frames_of_runs(self, search: Search, folder: Path) -> None:
        before = names(search())
        for inner in ("film/frames", "film/steps", "frames"):
            (folder / inner).mkdir(parents=True)
        for name in ("film/frames/000001.png", "film/steps/000010.png", "film/image.png", "frames/mine.png"):
            shutil.copy(folder / "a" / f"{COLOURS[1]}.png", folder / name)
        for name in ("config.yaml", "provenance.json"):
            (folder / "film" / name).write_text("{}")
        assert sorted(names(search())) == sorted([*before, "image.png", "mine.png"])
        assert names(search(folder=folder / "film/frames")) == ["000001.png"]

    def test_no_folder_is_refused(self, retrieval: Retrieval, tiny_clip: Path) -> None:
        with pytest.raises(UsageError, match="is no folder"):
            list(retrieval.search("nowhere", "a cat", model=str(tiny_clip)))

    def test_names_of_any_bytes(self, search: Search, folder: Path) -> None:
        strange = os.path.join(os.fsencode(folder), b"\xff\n'<b>.png")
        shutil.copy(folder / "a/green.png", strange)
        assert read_by(search()) == 9
        second = search()
        assert read_by(second) == 0
        assert os.fsdecode(b"\xff\n'<b>.png") in names(second)


class TestIsWholeOrNotAtAll:
    def test_what_was_written_before_a_stop_stays(
        self,
        retrieval: Retrieval,
        search: Search,
        folder: Path,
        tiny_clip: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(update, "FLUSH", 2)
        monkeypatch.setattr("vqclip.retrieval.batches.BATCH", 2)
        records = retrieval.search(folder, "a cat", model=str(tiny_clip))
        while not (isinstance(one := next(records), Progress) and one.done == 4):
            pass
        records.close()
        assert read_by(search()) == 4

    def test_damaged_and_half_written_segments_are_made_again(
        self, search: Search, folder: Path, tiny_clip: Path
    ) -> None:
        first = search()
        where = index_of(folder, tiny_clip).folder
        [vectors], [rows] = where.glob("*-*.npy"), where.glob("*-*.json")
        (where / "00000000000000000001-1.npy").write_bytes(vectors.read_bytes())
        for damage in (
            rows.unlink,
            lambda: next(where.glob("*-*.json")).write_text("[[1, 2"),
            lambda: os.truncate(next(where.glob("*-*.npy")), 200),
            lambda: next(where.glob("*-*.npy")).unlink(),
        ):
            damage()
            again = search()
            assert read_by(again) == 8
            assert names(again) == names(first)
        assert sorted(path.suffix for path in where.iterdir()) == [".json", ".json", ".npy"]

    def test_a_kill_between_joining_and_deleting_loses_nothing(
        self, search: Search, folder: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = search()
        (folder / "new").mkdir()
        shutil.copy(folder / "a/green.png", folder / "new")
        with monkeypatch.context() as patch:
            patch.setattr(index_module, "MOST_SMALL", 1)
            patch.setattr(index_module, "_delete", lambda path: sys.exit("killed"))
            with pytest.raises(SystemExit):
                search()
        assert len(index_of(folder, tiny_clip).segments) == 3
        again = search()
        assert read_by(again) == 0
        assert len(names(again)) == len(names(first)) + 1

    def test_a_second_one_waits_for_the_first(self, search: Search, folder: Path, tiny_clip: Path) -> None:
        where, _ = index_folder(folder, chosen_perceptors([str(tiny_clip)])[0])
        Index(where).make()
        records: list[Any] = []
        with lock.held(where):
            other = threading.Thread(target=lambda: records.extend(search()))
            other.start()
            other.join(timeout=1.5)
            assert other.is_alive()
            assert [path.name for path in where.iterdir()] == ["lock"]  # nobody writes without it
        other.join()
        assert [type(one) for one in records if isinstance(one, Waiting)] == [Waiting]
        assert len(names(records)) == 8

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the program forks")
    def test_kills_and_two_at_once(self, tiny_clip: Path, tmp_path: Path) -> None:
        """A short form of the stress program, which says more."""
        words = ["--images", "60", "--disturbed", "60", "--kills", "2", "--model", tiny_clip]
        done = subprocess.run(
            [sys.executable, STRESS, *map(str, words)], cwd=STRESS.parents[2], capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(STRESS.parents[2]), "TMPDIR": str(tmp_path)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "60 images read" in done.stdout


class TestCommand:
    def test_paths_are_printed_and_a_page_is_written(
        self, vqclip: Vqclip, folder: Path, tiny_clip: Path
    ) -> None:
        (folder / "<script>alert(1)<").mkdir()
        shutil.copy(folder / "a/green.png", folder / '<script>alert(1)</"x.png')
        words = ["search", folder, "<b>a cat", "--not", "dogs", "--top", 9, "--model", tiny_clip]
        done = vqclip(*words, "--html", "found.html")
        assert done.code == 0, done.err
        assert len(done.lines) == 9
        page = Path("found.html").read_text()
        assert page.count("<li>") == 9
        assert "<script" not in page
        assert "&lt;b&gt;a cat, not dogs" in page
        assert "http:" not in page
        assert "https:" not in page
        again = vqclip(*words, "--json", "-q")
        assert again.err == ""
        assert len(again.lines) == 9

    def test_a_second_call_imports_no_torch(self, vqclip: Vqclip, folder: Path, tiny_clip: Path) -> None:
        """Importing it takes longer than all else in such a call. What is found stays the same."""
        first = vqclip("search", folder, "a red apple", "--model", tiny_clip, "--not", "people")
        words = ["vqclip", "search", str(folder), "a red apple", "--model", str(tiny_clip), "--not", "people"]
        code = f"""
import sys
sys.argv = {words}
from vqclip.cli.app import main
try:
    main()
finally:
    print([name for name in ("torch", "open_clip") if name in sys.modules])
"""
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert second.stdout == first.out + "[]\n"

    def test_broken_files_are_named_once(self, vqclip: Vqclip, folder: Path, tiny_clip: Path) -> None:
        (folder / "text.png").write_text("no image")
        done = vqclip("search", folder, "a cat", "--model", tiny_clip, "-q")
        assert (done.code, len(done.lines)) == (0, 8)
        assert done.err.count("text.png") == 1

    def test_a_folder_without_images_is_told(self, vqclip: Vqclip, tiny_clip: Path) -> None:
        Path("nothing").mkdir()
        done = vqclip("search", "nothing", "a cat", "--model", tiny_clip)
        assert (done.code, done.lines) == (0, [])
        assert "nothing has no images that can be read" in done.err

    def test_nothing_to_look_for_is_refused(self, vqclip: Vqclip, folder: Path) -> None:
        assert vqclip("search", folder).code == 2


def test_stamps_are_compared_by_all_their_parts(tmp_path: Path) -> None:
    index = Index(tmp_path)
    index.add([("a.png", Stamp(1, 2, 3))], np.ones((1, 4), np.float32))
    for other in (Stamp(2, 2, 3), Stamp(1, 3, 3), Stamp(1, 2, 4)):
        assert len(index.live({"a.png": other})[0].rows) == 0
    assert len(index.live({"a.png": Stamp(1, 2, 3)})[0].rows) == 1
