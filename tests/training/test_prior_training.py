"""The training of the prior: one packed file is all that it needs, and it goes on where it was stopped."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from fake_gpu import fake_gpu
from packed_training import WITHOUT_THEM, Clock, small_pack
from safetensors.torch import load_file

from evaluation.nearest import by_judge, in_pixels, on, seen_on_white
from training import image_prior, pack, parts, prior, work
from training.codes.prior_trainer import Plan, Trainer, tiny
from training.packed.file import LARGEST, Packed
from training.scenes.batches import Painter
from training.scenes.compose import Placement, lay
from training.scenes.draws import Cut, Land, Ramp, Scene, SceneDraws, Wall
from vqclip.models.transformer.architecture import read_note
from vqclip.models.transformer.network import CodeTransformer

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "time", Clock())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_pack(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def packed(file: Path) -> Packed:
    return Packed.open(file)


def test_a_packed_file_has_cut_outs_with_premultiplied_alpha(file: Path, packed: Packed) -> None:
    assert file.stat().st_size < LARGEST
    assert len(packed.sprites) == len(packed.index) == 48
    assert bool((packed.sprites[:, :3] <= packed.sprites[:, 3:]).all())
    assert bool((packed.sprites[:, 3] == 255).any())


def test_another_file_is_no_packed_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"type python -m training\.pack"):
        Packed.open(tmp_path / "missing.safetensors")


def test_sentences_are_read_as_open_clip_reads_them(packed: Packed) -> None:
    where = f"local-dir:{ROOT / 'checkpoints' / 'mini-clip-2'}"
    model, _, _ = open_clip.create_model_and_transforms(where)
    texts = ["a red circle", "two yellow rings on a dark green background", "a photo of a ladybug"]
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(where)(texts), normalize=True)
    assert torch.allclose(packed.reader(texts), expected.float(), atol=1e-5)
    assert packed.reader.vocabulary.knows(texts[0])
    assert not packed.reader.vocabulary.knows("an axolotl")


def test_a_batch_is_painted_like_single_compositions(packed: Packed) -> None:
    place = Placement(0.2, -0.3, 0.6, 0.4, True)
    scene = Scene(Ramp((1.0, 0.5, 0.0), (1.0, 0.5, 0.0)), (Cut(3, place),), ("", ""))
    painted = Painter(packed.sprites, packed.walls, CPU).paint([scene], 128, torch.Generator())
    ground = torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1).expand(3, 128, 128)
    assert torch.allclose(painted[0], lay(ground, packed.sprites[3].float() / 255, place), atol=1e-5)


def test_scenes_are_drawn_alike_by_a_seed_and_all_can_be_painted_and_read(packed: Packed) -> None:
    one, two = (SceneDraws(packed.index, packed.rows("train"), packed.wall_index, 5) for _ in range(2))
    scenes = [one.make() for _ in range(200)]
    assert scenes == [two.make() for _ in range(200)]
    assert {type(scene.ground) for scene in scenes} == {Ramp, Land, Wall}
    images = Painter(packed.sprites, packed.walls, CPU).paint(scenes, 32, torch.Generator().manual_seed(1))
    assert images.shape == (200, 3, 32, 32)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    assert packed.reader([text for scene in scenes for text in scene.said]).shape == (400, 512)


def test_what_training_maximises_has_a_gradient_for_every_weight(packed: Packed) -> None:
    network = CodeTransformer(tiny(Plan()).architecture(1024, 8, 512))
    torch.nn.init.normal_(network.pos_emb)
    scores = network.score_all(torch.randn(2, 512), torch.randint(1024, (2, 16)))
    scores.square().mean().backward()
    assert all(
        weight.grad is not None and bool(weight.grad.any())
        for weight in network.parameters()
        if weight.dim() > 1
    )


def run(file: Path, out: Path, minutes: str) -> None:
    arguments = [
        "--packed",
        str(file),
        "--out",
        str(out),
        "--smoke",
        "--rate",
        "0.01",
        "--batch",
        "16",
        "--minutes",
        minutes,
    ]
    assert prior.main([*arguments, "--threads", str(torch.get_num_threads())]) == 0


def test_losses_fall_and_a_longer_training_goes_on_from_the_snapshot(file: Path, tmp_path: Path) -> None:
    run(file, tmp_path, "1.2")
    first = work.load_snapshot(tmp_path / "work" / "snapshot.pt")
    assert first is not None
    run(file, tmp_path, "2.4")
    second = work.load_snapshot(tmp_path / "work" / "snapshot.pt")
    assert second is not None
    assert second["step"] > first["step"]
    lines = work.read_log(tmp_path / "log.jsonl")
    assert lines[-1]["train"] < lines[0]["train"] < 7
    architecture = read_note(tmp_path / "model.safetensors")
    assert (architecture.clip, architecture.vqgan, architecture.cells) == ("mini-clip-2", "mini-vqgan", 16)
    CodeTransformer(architecture).load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert (tmp_path / "samples.png").is_file() == any(
        map(Packed.open(file).reader.vocabulary.knows, prior.PROMPTS)
    )


def test_a_training_begins_with_packed_weights(file: Path, packed: Packed, tmp_path: Path) -> None:
    run(file, tmp_path / "one", "0.2")
    weights = tmp_path / "one" / "model.safetensors"
    with_start = tmp_path / "with-start.safetensors"
    pack.main(["--out", str(with_start), "--data", str(file.parent / "data"), "--start", str(weights)])
    trainer = Trainer(tiny(Plan()), Packed.open(with_start), CPU, tmp_path / "two")
    begun = trainer.network.state_dict()
    assert all(torch.equal(begun[key], value.float()) for key, value in load_file(weights).items())


def test_a_training_begins_with_a_prior_of_a_smaller_grid(packed: Packed, tmp_path: Path) -> None:
    plan = tiny(Plan())
    small = CodeTransformer(replace(plan, side=16, prefix=2, modulation=0).architecture(1024, 8, 512))
    torch.nn.init.normal_(small.pos_emb)
    begun = replace(packed, start=small.state_dict())
    network = Trainer(plan, begun, CPU, tmp_path).network
    assert torch.equal(network.head.weight, small.head.weight)
    assert torch.equal(network.text_proj.bias, small.text_proj.bias[:32])
    corner, grid = network.pos_emb[0, 1], small.pos_emb[0, 2:]
    assert torch.allclose(corner, grid[0])
    assert torch.allclose(network.pos_emb[0, 1:].mean(0), grid[:4].mean(0), atol=1e-6)
    other = CodeTransformer(replace(plan, layers=2).architecture(1024, 8, 512))
    with pytest.raises(SystemExit, match=r"another network: blocks\.1"):
        Trainer(plan, replace(packed, start=other.state_dict()), CPU, tmp_path)


def test_a_modulated_network_reads_its_sentence_without_a_prefix_that_tells_it() -> None:
    network = CodeTransformer(tiny(Plan()).architecture(1024, 8, 512))
    torch.nn.init.zeros_(network.text_proj.weight)
    codes, said = torch.randint(1024, (2, 16)), torch.nn.functional.normalize(torch.randn(2, 512), dim=1)
    scores = network.score_all(said, codes)
    assert not torch.allclose(scores, network.score_all(said.flip(0), codes), atol=1e-3)
    first, cache = network.begin(said)
    assert torch.allclose(first, scores[:, 0], atol=1e-5)
    assert torch.allclose(network(codes[:, :3], cache), scores[:, 3], atol=1e-5)


def test_calm_scenes_have_one_upright_thing_in_the_middle_or_none(packed: Packed) -> None:
    draws = SceneDraws(packed.index, packed.rows("train"), packed.wall_index, 5, calm=1.0)
    for scene in (draws.make() for _ in range(100)):
        assert len(scene.cuts) <= 1
        assert not (scene.cuts and isinstance(scene.ground, Wall))
        for cut in scene.cuts:
            assert (cut.place.angle, cut.place.mirrored) == (0, False)
            assert max(abs(cut.place.x), abs(cut.place.y)) <= 0.04


def test_samples_depend_on_their_seed_alone(packed: Packed, tmp_path: Path) -> None:
    trainer = Trainer(tiny(Plan()), packed, CPU, tmp_path)
    one, two, other = (trainer.sample(["a red circle"], 2, seed) for seed in (1, 1, 2))
    assert one.shape == (2, 3, 32, 32)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_training_needs_no_package_but_its_few(tmp_path: Path) -> None:
    code = f"{WITHOUT_THEM}import training.prior\n"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_an_image_prior_comes_nearer_to_the_images_than_their_texts(packed: Packed) -> None:
    pairs = image_prior.embedded(packed, "train", 24, 1)
    prior = image_prior.fit(pairs, 40)
    own = (prior(pairs.said) * pairs.seen).sum(1).mean()
    assert float(own) > float((pairs.said * pairs.seen).sum(1).mean()) + 0.1
    assert image_prior.report("scenes", prior, pairs).startswith("scenes, cosine to the image of 24: text 0.")


def test_parts_join_to_the_same_file(tmp_path: Path) -> None:
    whole, content = tmp_path / "weights", bytes(range(256)) * 5
    whole.write_bytes(content)
    made = parts.split(whole, 100)
    assert len(made) == 13
    assert not whole.exists()
    assert parts.main([str(whole)]) == 0
    assert whole.read_bytes() == content
    assert parts.split(whole, 2000) == [whole]
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_a_repeated_training_picture_is_found_and_is_nearer_than_any_new_one(packed: Packed) -> None:
    grounds = torch.tensor([[0.2, 0.9, 0.4], [1.0, 1.0, 1.0]])
    repeated = torch.cat([on(packed.sprites[7:8], ground) for ground in grounds])
    found = in_pixels(repeated, packed.sprites)
    same = (packed.sprites[found.rows].float() - packed.sprites[7].float()).abs().mean((1, 2, 3))
    assert float(same.max()) < 1  # of 255: a name may have its picture twice
    new = in_pixels(torch.rand(4, 3, 96, 96), packed.sprites)
    assert float(found.distances.max()) < 0.05 < float(new.distances.min())


def test_a_judge_that_sees_mean_colours_finds_the_picture_of_the_same_colour(packed: Packed) -> None:
    def see(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.mean((2, 3)) - 0.5, dim=1)

    found = by_judge(on(packed.sprites[:5], torch.ones(3)), seen_on_white(packed.sprites, see), see)
    assert float(found.distances.max()) == pytest.approx(0, abs=1e-5)


@pytest.mark.filterwarnings("ignore:CUDA is not available")  # autocast asks for a driver
def test_a_step_and_a_sample_keep_to_a_gpu(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_gpu(monkeypatch):
        trainer = Trainer(tiny(Plan(minutes=0.02)), copy.deepcopy(packed), torch.device("cuda"), tmp_path)
        monkeypatch.setattr(Trainer, "_keep", lambda trainer, clock: None)  # a file needs numbers
        trainer.run()
        assert trainer.step > 0
        assert trainer.network.pos_emb.device.type == "cuda"
        assert trainer.sample(["a red circle"], 2).shape == (2, 3, 32, 32)
