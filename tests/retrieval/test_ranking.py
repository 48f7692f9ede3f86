"""Ranking agrees with generate --best; R-precision counts own prompts; embeddings and sheets are written whole."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Vqclip
from PIL import Image, ImageChops

from vqclip.config import prompt as prompts
from vqclip.guidance.perceptors import judge_config
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.media.contact_sheet import GAP, LINE, contact_sheet
from vqclip.media.image import load_image, save_png
from vqclip.pipeline.reranker import Reranker
from vqclip.retrieval.ranking import precision
from vqclip.retrieval.records import Retrieved, Scored, Skipped
from vqclip.session import Session

COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = []
    for i, colour in enumerate(COLOURS):
        image = Image.new("RGB", (24 + i, 20), colour)
        image.paste("white", (i, 2, i + 7, 9 + i))
        paths.append(tmp_path / f"{colour}.png")
        save_png(image, paths[-1], {"config": {"prompts": [f"a {colour} box"], "seed": i}})
    return paths


def reranker(model: Path) -> Reranker:
    return Reranker(OpenCLIPPerceptor(str(model), torch.device("cpu"), torch.float32))


class TestRank:
    def test_scores_are_those_of_best(self, images: list[Path], tiny_clip: Path, other_clip: Path) -> None:
        line = "a cat | a dog:-0.5"
        names = [str(tiny_clip), str(other_clip)]
        found = [
            one
            for one in Session("cpu").retrieval.rank(images, line, models=names)
            if isinstance(one, Scored)
        ]
        for one in found:
            for name in names:
                wanted = reranker(Path(name)).score(load_image(one.path), prompts.parse(line))
                assert one.by_model[name] == pytest.approx(wanted, abs=1e-6)
            assert one.score == pytest.approx(np.mean(list(one.by_model.values())))
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert {one.path for one in found} == set(images)

    def test_the_command_names_broken_files(
        self, vqclip: Vqclip, images: list[Path], tiny_clip: Path
    ) -> None:
        images[2].write_bytes(b"")
        done = vqclip("rank", *images, "--prompt", "a cat", "--model", tiny_clip, "-q")
        assert (done.code, len(done.lines)) == (1, 3)
        assert done.err.count("blue.png") == 1
        assert vqclip("rank", images[2], "--prompt", "a cat", "--model", tiny_clip).code == 2

    def test_a_prompt_or_a_file_is_needed(self, vqclip: Vqclip, images: list[Path]) -> None:
        assert vqclip("rank", *images).code == 2
        assert vqclip("rank", *images, "--prompt", "a", "--prompts", "b.txt").code == 2


class TestPrecision:
    def test_ranks_are_those_of_the_cosines(
        self, images: list[Path], tiny_clip: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "prompts.txt"
        file.write_text("# boxes\n" + "".join(f"a {colour} box\n" for colour in COLOURS))
        texts = [f"a {colour} box" for colour in COLOURS]
        judge = reranker(tiny_clip)
        found = list(Session("cpu").retrieval.retrieve(images, file, models=[str(tiny_clip)]))
        for path, text, one in zip(images, texts, found, strict=True):
            likeness = judge.embed_image(load_image(path)) @ judge.embed_texts(texts).T
            assert isinstance(one, Retrieved)
            assert one.prompt == text
            assert one.rank == 1 + int((likeness > likeness[texts.index(text)]).sum())
            assert one.first == texts[int(likeness.argmax())]

    def test_a_file_names_the_prompts_of_other_images(
        self, vqclip: Vqclip, tiny_clip: Path, tmp_path: Path
    ) -> None:
        Image.new("RGB", (9, 9), "red").save(tmp_path / "plain.jpg")
        Image.new("RGB", (9, 9), "blue").save(tmp_path / "stray.jpg")
        (tmp_path / "named.txt").write_text("plain.jpg\ta red box\nanother.jpg\ta blue box\n")
        words = ["--prompts", tmp_path / "named.txt", "--model", tiny_clip, "-q"]
        done = vqclip("rank", tmp_path / "plain.jpg", tmp_path / "stray.jpg", *words)
        assert done.code == 1
        assert "a red box" in done.lines[0]
        assert done.lines[-1].startswith("R@1 ")
        assert "stray.jpg" in done.err

    def test_the_share_within_a_rank(self) -> None:
        found = [Retrieved(Path("a"), "a", rank, "b") for rank in (1, 2, 5, 6)]
        assert [precision(found, within) for within in (1, 2, 5)] == [0.25, 0.5, 0.75]

    @pytest.mark.parametrize("text", ["", "one prompt\n", "one\none\n"])
    def test_too_few_prompts_are_refused(self, vqclip: Vqclip, images: list[Path], text: str) -> None:
        Path("few.txt").write_text(text)
        done = vqclip("rank", *images, "--prompts", "few.txt")
        assert done.code == 2
        assert "two or more" in done.err

    def test_an_image_of_no_prompt_is_named(
        self, images: list[Path], tiny_clip: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "other.txt").write_text("a cat\na red box\n")
        found = list(
            Session("cpu").retrieval.retrieve(images, tmp_path / "other.txt", models=[str(tiny_clip)])
        )
        assert [type(one) for one in found] == [Retrieved, Skipped, Skipped, Skipped]


class TestFoldersAndTheJudge:
    def test_a_folder_stands_for_its_images(
        self, vqclip: Vqclip, images: list[Path], tiny_clip: Path, tmp_path: Path
    ) -> None:
        words = ["--prompt", "a cat", "--model", tiny_clip, "-q"]
        assert vqclip("rank", tmp_path, *words).out == vqclip("rank", *sorted(images), *words).out
        Path("empty").mkdir()
        done = vqclip("rank", "empty", *words)
        assert (done.code, done.err) == (2, "vqclip: empty has no images in it\n")

    def test_r_precision_of_a_folder(
        self, vqclip: Vqclip, images: list[Path], tiny_clip: Path, tmp_path: Path
    ) -> None:
        """A new user's way: a folder of images that vqclip made, and a file of their prompts."""
        Path("prompts.txt").write_text("".join(f"a {colour} box\n" for colour in COLOURS))
        done = vqclip("rank", tmp_path, "--prompts", "prompts.txt", "--model", tiny_clip, "-q")
        assert done.code == 0, done.err
        assert len(done.lines) == len(images) + 1
        assert done.lines[-1].endswith("of 4 images")

    @pytest.mark.skipif(judge_config.is_here(), reason="the judge is installed")
    def test_without_the_extra_one_line_says_what_to_type(self, vqclip: Vqclip, images: list[Path]) -> None:
        done = vqclip("rank", *images, "--prompt", "a cat", "--judge")
        assert (done.code, done.out) == (3, "")
        assert len(done.err.splitlines()) == 1
        assert "vqclip[judge]" in done.err or "--judge" in done.err

    def test_the_judge_ranks(
        self, vqclip: Vqclip, images: list[Path], tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By a stand-in for its weights: the command gives the judge's own scores."""
        config = judge_config.JudgeConfig
        monkeypatch.setattr(
            config, "open", lambda *_: OpenCLIPPerceptor(str(tiny_clip), torch.device("cpu"), torch.float32)
        )
        monkeypatch.setattr(config, "requirements", lambda _: ())
        by_judge = vqclip("rank", *images, "--prompt", "a cat", "--judge", "-q")
        assert by_judge.code == 0, by_judge.err
        assert by_judge.out == vqclip("rank", *images, "--prompt", "a cat", "--model", tiny_clip, "-q").out


class TestEmbed:
    def test_arrays_are_unit_vectors_with_names(
        self, vqclip: Vqclip, images: list[Path], tiny_clip: Path
    ) -> None:
        done = vqclip("embed", *images, "--text", "a cat", "--model", tiny_clip, "-o", "v.npz")
        assert done.code == 0, done.err
        with np.load("v.npz") as arrays:
            assert arrays["embeddings"].shape == (5, 16)
            assert arrays["embeddings"].dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(arrays["embeddings"], axis=1), 1, atol=1e-5)
            assert arrays["names"].tolist() == [*map(str, images), "a cat"]
            assert str(arrays["model"]) == str(tiny_clip)
        assert [path.name for path in Path.cwd().iterdir()] == ["v.npz"]

    def test_a_full_batch_and_a_single_one_agree(self, images: list[Path], tiny_clip: Path) -> None:
        retrieval = Session("cpu").retrieval
        many = {
            one.name: one.vector
            for one in retrieval.embed(images * 10, model=str(tiny_clip))
            if hasattr(one, "vector")
        }
        for path in images:
            [alone] = retrieval.embed([path], model=str(tiny_clip))
            np.testing.assert_allclose(many[str(path)], alone.vector, atol=1e-6)

    def test_nothing_to_embed_is_refused(self, vqclip: Vqclip, images: list[Path]) -> None:
        assert vqclip("embed", "-o", "v.npz").code == 2
        assert vqclip("embed", images[0], "-o", "v.txt").code == 2


class TestClassify:
    def test_forms_of_output_say_the_same(self, vqclip: Vqclip, images: list[Path], tiny_clip: Path) -> None:
        words = ["classify", images[0], "--labels", "cat, dog ,", "--model", tiny_clip, "-q"]
        plain, as_csv, as_json = (vqclip(*words, *form).lines for form in ([], ["--csv"], ["--json"]))
        assert as_csv[0] == "image,label,probability"
        first = plain[0].split("\t")
        assert first[:2] == as_csv[1].split(",")[:2]
        assert f'"{first[1]}": {as_csv[1].split(",")[2].rstrip("0")}' in as_json[0]
        assert len(vqclip(*words, "--top", "1").lines) == 1

    def test_labels_come_from_a_file_too(self, vqclip: Vqclip, images: list[Path], tiny_clip: Path) -> None:
        Path("labels.txt").write_text("# animals\ncat\n\na dog, asleep\n")
        done = vqclip("classify", images[0], "--labels-file", "labels.txt", "--model", tiny_clip, "--csv")
        assert '"a dog, asleep"' in done.out
        assert vqclip("classify", images[0], "--labels-file", "nowhere.txt").code == 2
        assert vqclip("classify", images[0]).code == 2


class TestSheet:
    def test_columns_captions_and_broken_files(self, vqclip: Vqclip, images: list[Path]) -> None:
        Path("broken.png").write_text("")
        done = vqclip("sheet", *images, "broken.png", "-o", "sheet.png", "--columns", 3, "--captions")
        assert (done.code, done.lines) == (1, ["sheet.png"])
        assert done.err.count("broken.png") == 1
        with Image.open("sheet.png") as sheet:
            assert sheet.size == (3 * (27 + GAP) - GAP, 2 * (20 + GAP + LINE) - GAP)

    def test_no_file_is_replaced_without_force(
        self, vqclip: Vqclip, images: list[Path], tiny_clip: Path
    ) -> None:
        Path("v.npz").write_text("mine")
        before = images[0].read_bytes()
        for words in (
            ("sheet", images[1], "-o", images[0]),
            ("embed", images[1], "--model", tiny_clip, "-o", "v.npz"),
        ):
            done = vqclip(*words)
            assert (done.code, "add --force to replace it" in done.err) == (2, True)
            assert (images[0].read_bytes(), Path("v.npz").read_text()[:4]) == (before, "mine")
            assert vqclip(*words, "--force").code == 0
            images[0].write_bytes(before)

    def test_a_caption_lies_below_its_image_and_within_its_cell(self) -> None:
        images = [Image.new("RGB", (60, 20), "red"), Image.new("RGB", (60, 20), "blue")]
        plain, written = contact_sheet(images, 2, [" ", " "]), contact_sheet(images, 2, ["wide " * 40, " "])
        left, top, right, bottom = ImageChops.difference(plain, written).getbbox() or (0, 0, 0, 0)
        assert top >= 20
        assert right <= 60
        assert (left, bottom) != (0, 0)

    def test_nothing_but_broken_files_is_an_error(self, vqclip: Vqclip) -> None:
        Path("broken.png").write_text("")
        assert vqclip("sheet", "broken.png", "-o", "sheet.png").code == 2
        assert vqclip("sheet", "broken.png", "-o", "sheet.jpg").code == 2
        assert not Path("sheet.png").exists()
