"""The store: what is pulled or imported is converted once, kept whole or not at all, and loads from then on."""

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import yaml
from conftest import TINY, TINY_CLIP, describe, random_vqgan
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vqclip.base import paths
from vqclip.base.errors import ConfigError, UsageError, VqclipError, WeightsError
from vqclip.models.clip import load_clip
from vqclip.models.folding import freeze
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_loading import architecture_of, load_vqgan
from vqclip.requirements import install
from vqclip.start.sketchbook import load_sketchbook
from vqclip.weights import catalog, store
from vqclip.weights.safetensors_writer import write_tensors

WIDE = Architecture(
    ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(), z_channels=6, embed_dim=5, n_embed=16
)


def lightning(path: Path, architecture: Architecture = WIDE) -> VQGAN:
    """A training run's file: the VQGAN among losses, twins and an optimiser's state."""
    model = random_vqgan(architecture)
    extras = {"loss.discriminator.main.0.weight": torch.ones(1000), "model_ema.decay": torch.ones(())}
    state = {0: {"exp_avg": torch.ones(5000)}}
    torch.save({"state_dict": model.state_dict() | extras, "optimizer_states": [{"state": state}]}, path)
    return model


def assert_same(one: VQGAN, other: VQGAN) -> None:
    theirs = freeze(other).state_dict()
    assert one.state_dict().keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in one.state_dict().items())


class TestImport:
    def test_a_lightning_file_becomes_what_the_vqgan_needs(self, tmp_path: Path) -> None:
        model = lightning(tmp_path / "last.ckpt")
        record = install.import_file(tmp_path / "last.ckpt", "mine")
        path = store.verify("mine")
        assert load_file(path).keys() == model.state_dict().keys()
        assert record.origin["sha256"] == store.digest(tmp_path / "last.ckpt")
        (tmp_path / "last.ckpt").unlink()
        assert_same(load_vqgan("mine"), model)
        assert not list((paths.home() / "downloads").glob("*/"))

    def test_the_architecture_is_inside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also what shapes don't tell, from a yaml that is needed only once; no tensor is read to know it."""
        lightning(tmp_path / "last.ckpt", TINY)
        (tmp_path / "last.yaml").write_text(yaml.safe_dump(describe(TINY)))
        install.import_file(tmp_path / "last.ckpt", "mine")
        monkeypatch.setattr(
            "vqclip.models.vqgan_loading.read_checkpoint", lambda _: pytest.fail("read tensors")
        )
        assert architecture_of("mine") == TINY

    def test_half_the_bits_are_half_the_bytes(self, tmp_path: Path) -> None:
        lightning(tmp_path / "last.ckpt")
        whole = install.import_file(tmp_path / "last.ckpt", "whole")
        half = install.import_file(tmp_path / "last.ckpt", "half", half=True)
        assert half.bytes < 0.55 * whole.bytes
        assert {value.dtype for value in load_vqgan("half").state_dict().values()} == {torch.float32}

    def test_numbers_that_half_the_bits_do_not_hold_are_refused(self, tmp_path: Path) -> None:
        tensors = random_vqgan(WIDE).state_dict()
        tensors["decoder.conv_in.bias"] = torch.full_like(tensors["decoder.conv_in.bias"], 1e6)
        save_file(tensors, tmp_path / "a.safetensors")
        with pytest.raises(WeightsError, match="leave --half out"):
            install.import_file(tmp_path / "a.safetensors", half=True)
        assert store.records() == {}

    def test_the_one_checkpoint_in_a_zip(self, tmp_path: Path) -> None:
        """As latent-diffusion publishes its own."""
        model = lightning(tmp_path / "model.ckpt")
        with zipfile.ZipFile(tmp_path / "vq-f4.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "model.ckpt")
        install.import_file(tmp_path / "vq-f4.zip")
        assert_same(load_vqgan("vq-f4"), model)

    @pytest.mark.parametrize("kind", ["bomb", "two", "none", "broken"])
    def test_other_zips_are_refused(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../evil.ckpt", b"\x00" * 10**7 if kind == "bomb" else bytes(range(256)) * 40)
            if kind == "two":
                archive.writestr("b.ckpt", b"x")
        if kind == "none":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("readme.txt", b"x")
        if kind == "broken":
            content = bytearray(path.read_bytes())
            content[50:80] = b"\x00" * 30
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            install.import_file(path)
        assert "\n" not in str(caught.value)
        assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
        assert not [p for p in paths.home().rglob("*") if p.is_file() and p.suffix != ".lock"]

    def test_names_are_not_overwritten(self, tmp_path: Path) -> None:
        lightning(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine")
        with pytest.raises(UsageError, match="remove it first"):
            install.import_file(tmp_path / "last.ckpt", "mine")
        with pytest.raises(UsageError, match="ships with vqclip"):
            install.import_file(tmp_path / "last.ckpt", "mini-vqgan")

    @pytest.mark.parametrize("name", ["../../evil", "/etc/evil", ".hidden", "a/b"])
    def test_a_name_never_leaves_the_store(self, tmp_path: Path, name: str) -> None:
        lightning(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", name)
        assert store.folder(name).parent == paths.home() / "models"
        assert store.verify(name).is_relative_to(paths.home() / "models")

    def test_what_fails_leaves_nothing_behind(self, tmp_path: Path) -> None:
        torch.save({"x": torch.ones(1)}, tmp_path / "a.pt")
        with pytest.raises(WeightsError, match="is no whole VQGAN"):
            install.import_file(tmp_path / "a.pt")
        assert store.records() == {}


class TestVerify:
    def test_damage_is_seen_and_told_what_to_do(self, tmp_path: Path) -> None:
        lightning(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine")
        path = store.verify("mine")
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="vqclip models remove mine"):
            store.verify("mine")
        path.write_bytes(content[:-100])
        with pytest.raises(WeightsError, match="missing or damaged"):
            load_vqgan("mine")

    def test_an_import_that_was_cut_short_says_to_remove_it_first(self, tmp_path: Path) -> None:
        lightning(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine")
        path = store.verify("mine")
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(WeightsError, match="vqclip models remove mine, then import its file again"):
            load_vqgan("mine")
        store.remove("mine")
        install.import_file(tmp_path / "last.ckpt", "mine")
        load_vqgan("mine")

    def test_removing_frees_the_name_and_the_disk(self, tmp_path: Path) -> None:
        lightning(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine")
        assert store.remove("mine") > 100_000
        assert store.records() == {}
        with pytest.raises(UsageError):
            store.remove("mine")
        with pytest.raises(UsageError, match="ships"):
            store.remove("mini-clip-2")


class Mirror(BaseHTTPRequestHandler):
    content = b""
    asked = 0

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)


@pytest.fixture
def mirror() -> Iterator[str]:
    Mirror.asked = 0
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}/last.ckpt"
    listener.shutdown()
    listener.server_close()


def write_card(name: str, **keys: Any) -> None:
    paths.home().mkdir(parents=True, exist_ok=True)
    (paths.home() / "catalog.yaml").write_text(yaml.safe_dump({name: {"family": "vqgan", **keys}}))


class TestPull:
    def test_a_sketchbook_is_stored_as_it_is(self, mirror: str) -> None:
        Mirror.content = catalog.card("mini-sketch").path.read_bytes()
        write_card("theirs", family="sketchbook", urls=[mirror.replace(".ckpt", ".safetensors")])
        install.pull("theirs")
        assert store.record("theirs").family == "sketchbook"  # type: ignore[union-attr]
        assert load_sketchbook("theirs").drawing(0).shape[0] == 4

    def test_what_is_no_sketchbook_is_refused(self, mirror: str) -> None:
        for Mirror.content in (b"x" * 100, b"\x08\0\0\0\0\0\0\0{      }"):
            write_card("theirs", family="sketchbook", urls=[mirror.replace(".ckpt", ".safetensors")])
            with pytest.raises(WeightsError, match="is no sketchbook"):
                install.pull("theirs")
            assert store.records() == {}

    @pytest.mark.parametrize("name", ["ViT-B-32/laion2B-s34B-b79K", "ViT-B-32/laion2b_s34b_b79k"])
    def test_open_clips_tags_are_known_however_they_are_written(self, name: str) -> None:
        assert install.find_card(name).family == "clip"

    def test_a_card_of_the_users_own_is_fetched_and_converted(self, tmp_path: Path, mirror: str) -> None:
        model = lightning(tmp_path / "last.ckpt")
        Mirror.content = (tmp_path / "last.ckpt").read_bytes()
        write_card(
            "theirs", urls=[mirror], bytes=len(Mirror.content), sha256=store.digest(tmp_path / "last.ckpt")
        )
        with pytest.raises(WeightsError, match="type: vqclip models pull theirs"):
            load_vqgan("theirs")
        install.pull("theirs")
        assert_same(load_vqgan("theirs"), model)
        install.pull("theirs")
        assert Mirror.asked == 1

    def test_a_model_that_was_cut_short_is_fetched_again(self, tmp_path: Path, mirror: str) -> None:
        """As the message about it says."""
        lightning(tmp_path / "last.ckpt")
        Mirror.content = (tmp_path / "last.ckpt").read_bytes()
        write_card("theirs", urls=[mirror])
        install.pull("theirs")
        path = store.verify("theirs")
        whole = path.read_bytes()
        path.write_bytes(whole[:-100])
        with pytest.raises(WeightsError, match="type: vqclip models pull theirs"):
            load_vqgan("theirs")
        install.pull("theirs")
        assert store.verify("theirs").read_bytes() == whole
        assert Mirror.asked == 2

    def test_two_at_once_fetch_it_once(self, tmp_path: Path, mirror: str) -> None:
        lightning(tmp_path / "last.ckpt")
        Mirror.content = (tmp_path / "last.ckpt").read_bytes()
        write_card("theirs", urls=[mirror])
        threads = [threading.Thread(target=install.pull, args=("theirs",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Mirror.asked == 1
        assert store.verify("theirs").is_file()

    def test_a_wrong_file_without_a_digest_is_fetched_anew_the_next_time(
        self, tmp_path: Path, mirror: str
    ) -> None:
        write_card("theirs", urls=[mirror])
        Mirror.content = b"not a checkpoint at all"
        with pytest.raises(WeightsError):
            install.pull("theirs")
        lightning(tmp_path / "last.ckpt")
        Mirror.content = (tmp_path / "last.ckpt").read_bytes()
        install.pull("theirs")
        assert store.verify("theirs").is_file()

    def test_a_kill_during_conversion_needs_no_second_download(self, tmp_path: Path, mirror: str) -> None:
        lightning(tmp_path / "last.ckpt")
        Mirror.content = (tmp_path / "last.ckpt").read_bytes()
        write_card("theirs", urls=[mirror], sha256=store.digest(tmp_path / "last.ckpt"))
        workshop = paths.home() / "downloads/theirs"
        (workshop / "made").mkdir(parents=True)
        (workshop / "made/model.safetensors").write_bytes(b"half")
        (workshop / "last.ckpt").write_bytes(Mirror.content)
        install.pull("theirs")
        assert Mirror.asked == 0
        assert store.verify("theirs").is_file()

    def test_offline_says_so(self, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
        monkeypatch.setenv("VQCLIP_OFFLINE", "1")
        write_card("theirs", urls=[mirror])
        for name in ("theirs", "ViT-B-32/laion2b_s34b_b79k"):
            with pytest.raises(WeightsError, match="VQCLIP_OFFLINE"):
                install.pull(name)
        assert Mirror.asked == 0

    def test_what_this_vqclip_cannot_load_is_not_fetched(self) -> None:
        with pytest.raises(WeightsError, match="SLIP's layout"):
            install.pull("slip-vit-b-16")

    def test_an_unknown_name_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="did you mean movqgan-67m"):
            install.pull("movqgan-67")


class TestClip:
    def test_an_archive_of_openais_becomes_what_open_clip_loads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """TorchScript in fp16 with numbers among the buffers; quickgelu and normalisation as OpenAI trained."""
        configs = {**open_clip.factory._MODEL_CONFIGS, "nano": TINY_CLIP}
        monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)
        torch.manual_seed(0)
        model = open_clip.CLIP(**json.loads(json.dumps(TINY_CLIP)), quick_gelu=True).eval()
        numbers = {"input_resolution": torch.tensor(16), "context_length": torch.tensor(12)}
        torch.save(model.state_dict() | numbers, tmp_path / "clip.pt")
        install.import_file(tmp_path / "clip.pt", "eye", architecture="nano")
        loaded, _ = load_clip("eye")
        assert loaded.visual.preprocess_cfg["mean"] == pytest.approx((0.48145466, 0.4578275, 0.40821073))
        images = torch.randn(2, 3, 16, 16)
        with torch.no_grad():
            torch.testing.assert_close(loaded.encode_image(images), model.encode_image(images))

    @pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
    def test_a_clip_of_transformers(self, tmp_path: Path, activation: str) -> None:
        """TinyCLIP's layout: both towers agree with transformers, with either activation."""
        transformers = pytest.importorskip("transformers")
        tower = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
        torch.manual_seed(0)
        config = transformers.CLIPConfig(
            projection_dim=8,
            vision_config=tower | {"image_size": 16, "patch_size": 8, "hidden_act": activation},
            text_config=tower | {"max_position_embeddings": 12, "vocab_size": 49408, "hidden_act": activation,
                                 "eos_token_id": 49407, "bos_token_id": 49406},
        )  # fmt: skip
        model = transformers.CLIPModel(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        model.save_pretrained(tmp_path)
        install.import_file(tmp_path / "model.safetensors", "tiny")
        loaded, tokenizer = load_clip("tiny")
        images, tokens = torch.randn(2, 3, 16, 16), tokenizer(["a red apple", "b"])
        with torch.no_grad():
            image = model.visual_projection(model.vision_model(images).pooler_output)
            text = model.text_projection(model.text_model(tokens).pooler_output)
            torch.testing.assert_close(loaded.encode_image(images), image, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(loaded.encode_text(tokens), text, atol=1e-4, rtol=1e-4)

    def test_a_clip_without_a_word_on_its_network_is_refused(self, tmp_path: Path) -> None:
        torch.save({"visual.conv1.weight": torch.ones(1)}, tmp_path / "clip.pt")
        with pytest.raises(UsageError, match="--architecture ViT-B-32-quickgelu for OpenAI"):
            install.import_file(tmp_path / "clip.pt")


PEERS = (
    "845a68805098", "5cd6c74810ab", "7be00096299f", "8a8adea3da8d", "106cc20fde57", "3274bba51bd5", "bd08bb46301f",
    "2b1ba919309f", "0b2ded4afb21", "7374ac550b58", "5f4524c6349c", "5ef1a8f63877", "719864730def", "109aa8afb2cf",
    "afeb0e10f9e5", "8fa8567bab74", "7e526bd135e4", "52378b407f34", "be1cfb55d75a", "40d365715913", "5806e77cd80f",
    "b8cca3fd41ae", "3035c92b3509",
)  # fmt: skip


class TestCatalogue:
    def test_every_digest_that_is_stated_in_public_is_there(self) -> None:
        digests = [card.sha256 for card in catalog.cards().values()]
        assert all(sum(digest.startswith(start) for digest in digests) == 1 for start in PEERS)

    @pytest.mark.parametrize("name", list(catalog.shipped()))
    def test_a_card_is_whole(self, name: str) -> None:
        card = catalog.card(name)
        assert card.about
        assert card.licence != "unknown"
        assert card.digest
        assert card.ships or card.page.startswith("https://")
        assert card.ships or card.urls or card.hub or card.refused
        assert all(re.fullmatch(r"https://[^\s]+", url) for url in card.urls)
        assert not card.sha256 or re.fullmatch(r"[0-9a-f]{64}", card.sha256)
        assert not card.urls or Path(card.download).suffix in {
            ".ckpt",
            ".pth",
            ".pt",
            ".bin",
            ".safetensors",
            ".msgpack",
            ".zip",
        }

    def test_a_name_of_a_clip_is_one_that_open_clip_knows(self) -> None:
        known = {"/".join(pair) for pair in open_clip.list_pretrained()}
        hubs = [card.hub for card in catalog.cards().values() if card.hub]
        assert [hub for hub in hubs if not hub.startswith("hf-hub:") and hub not in known] == []

    @pytest.mark.parametrize(
        ("text", "fragment"),
        [
            ("[1]", "holds a list; it takes names of models"),
            ("a: 3", "a card takes keys"),
            ("a: {family: vqgna}", "is none of vqgan, clip"),
            ("a: {family: vqgan, url: x}", "no key 'url' in a card; did you mean urls"),
            ("a: {family: vqgan, urls: x}", "takes a list of addresses"),
            ("a: [", "is not YAML"),
        ],
    )
    def test_a_users_file_that_does_not_read_is_refused(self, text: str, fragment: str) -> None:
        paths.home().mkdir(parents=True)
        (paths.home() / "catalog.yaml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            catalog.cards()
        assert fragment in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_damaged_record_is_one_line(tmp_path: Path) -> None:
    lightning(tmp_path / "last.ckpt")
    install.import_file(tmp_path / "last.ckpt", "mine")
    (store.folder("mine") / "record.yaml").write_text("name: mine")
    with pytest.raises(VqclipError, match="is damaged"):
        load_vqgan("mine")


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lightning(tmp_path / "last.ckpt")
    (tmp_path / "file").touch()
    monkeypatch.setenv("VQCLIP_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="set VQCLIP_HOME"):
        install.import_file(tmp_path / "last.ckpt", "mine")


def test_flax_that_holds_nonsense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.msgpack").write_bytes(io.BytesIO(b"\x81\xa1a\xc7\x03\x01abc").read())
    with pytest.raises(WeightsError):
        install.import_file(tmp_path / "a.msgpack")


def test_what_is_written_tensor_by_tensor_reads_as_the_library_writes_it(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 2), "b": torch.randn(4, 2).T, "c": torch.tensor(7), "d": torch.ones(0, 3),
        "e": torch.randn(5).half(), "f": torch.randn(5).bfloat16(), "ü": torch.tensor([True, False]),
    }  # fmt: skip
    write_tensors(tensors, tmp_path / "a.safetensors", {"note": "ü"})
    back = load_file(tmp_path / "a.safetensors")
    assert back.keys() == tensors.keys()
    assert all(
        torch.equal(back[key], value) and back[key].dtype == value.dtype for key, value in tensors.items()
    )
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"note": "ü"}
