"""Transformers beside a VQGAN, and DALL·E mini in its parts, become models of the store that name their VQGAN."""

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch
import yaml
from conftest import TINY, Vqclip, describe, random_vqgan
from safetensors.torch import load_file
from tiny_transformers import PAIRS, SMALL, WORDS, net2net, random_transformer
from torch import Tensor

from vqclip.base.errors import UsageError, VqclipError, WeightsError
from vqclip.models.transformer import orders
from vqclip.models.transformer.finding import architecture_of
from vqclip.models.transformer.loading import load_transformer
from vqclip.models.transformer.network import CodeTransformer
from vqclip.models.vqgan_loading import load_vqgan
from vqclip.requirements import install
from vqclip.requirements.needs import requirements
from vqclip.weights import store

CPU, FP32 = torch.device("cpu"), torch.float32


def assert_same(one: CodeTransformer, other: CodeTransformer) -> None:
    theirs = other.state_dict()
    assert one.state_dict().keys() == theirs.keys()
    assert all(value.equal(theirs[key]) for key, value in one.state_dict().items())


class TestNet2Net:
    @pytest.mark.parametrize("kind", ["none", "class", "coordinates", "unmasked", "map"])
    def test_the_transformer_is_kept_beside_its_vqgan(self, kind: str, tmp_path: Path) -> None:
        network = net2net(tmp_path / "last.ckpt", kind)
        record = install.import_file(tmp_path / "last.ckpt", "mine")
        assert record.family == "vqgan"
        assert record.origin["transformer"] == "mine-transformer"
        entry = store.records()["mine-transformer"]
        assert (entry.family, entry.origin["vqgan"]) == ("transformer", "mine")
        loaded = load_transformer("mine-transformer", CPU, FP32)
        assert_same(loaded.network, network)
        a, asked = loaded.architecture, network.architecture
        assert (a.conditioning, a.unmasked, a.heads, a.vqgan) == (
            asked.conditioning,
            asked.unmasked,
            2,
            "mine",
        )
        assert load_vqgan("mine").architecture.n_embed == 16

    @pytest.mark.parametrize("order", orders.ORDERS)
    def test_permuters(self, order: str, tmp_path: Path) -> None:
        network = net2net(tmp_path / "last.ckpt", "class", order)
        install.import_file(tmp_path / "last.ckpt", "mine")
        assert architecture_of("mine-transformer").order == order
        assert load_transformer("mine-transformer", CPU, FP32).network.order.equal(network.order)

    def test_an_order_that_has_no_name(self, tmp_path: Path) -> None:
        order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
        net2net(tmp_path / "last.ckpt", "class", more={"permuter.forward_shuffle_idx": order})
        install.import_file(tmp_path / "last.ckpt", "mine")
        assert load_transformer("mine-transformer", CPU, FP32).network.order.equal(order)

    def test_shapes_tell_what_no_yaml_does(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for kind, given, expected in (
            ("coordinates", "heads=2", "coordinates"), ("none", "heads=2", "none"), ("map", "heads=2", "map"),
            ("class", "heads=2,conditioning=class", "class"),
        ):  # fmt: skip
            net2net(tmp_path / f"{kind}.ckpt", kind, described=False)
            install.import_file(tmp_path / f"{kind}.ckpt", architecture=f"norm_groups=4,{given}")
            a = architecture_of(f"{kind}-transformer")
            assert (a.conditioning, a.heads, a.rows) == (expected, 2, 4)
        assert "heads" not in caplog.text

    def test_heads_that_nobody_states_are_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        network = random_transformer(heads=16, width=16)
        state = {f"transformer.{key}": value for key, value in network.state_dict().items()}
        net2net(tmp_path / "last.ckpt", described=False)
        whole = torch.load(tmp_path / "last.ckpt")["state_dict"]
        kept = {key: value for key, value in whole.items() if not key.startswith("transformer.")}
        torch.save({"state_dict": kept | state}, tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine", "norm_groups=4")
        assert architecture_of("mine-transformer").heads == 16
        assert "add --architecture heads=NUMBER" in caplog.text

    def test_half_the_bits(self, tmp_path: Path) -> None:
        net2net(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine", half=True)
        file = store.folder("mine-transformer") / "model.safetensors"
        assert load_file(file)["head.weight"].dtype == torch.float16
        assert load_transformer("mine-transformer", CPU, FP32).network.head.weight.dtype == FP32

    def test_an_import_that_was_stopped_is_made_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed between transformer and VQGAN, and begun again with another file."""
        net2net(tmp_path / "last.ckpt")
        put = store.put

        def stopped(name: str, family: str, *rest: Any) -> Any:
            if family == "vqgan":
                raise KeyboardInterrupt
            return put(name, family, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(store, "put", stopped)
            with pytest.raises(KeyboardInterrupt):
                install.import_file(tmp_path / "last.ckpt", "mine")
        network = net2net(tmp_path / "last.ckpt", "coordinates")
        install.import_file(tmp_path / "last.ckpt", "mine")
        assert_same(load_transformer("mine-transformer", CPU, FP32).network, network)

    @pytest.mark.parametrize("given", ["heads=x", "heads=0", "conditioning=smell"])
    def test_what_can_not_be_told(self, given: str, tmp_path: Path) -> None:
        net2net(tmp_path / "last.ckpt")
        with pytest.raises(UsageError, match=r"heads takes a number"):
            install.import_file(tmp_path / "last.ckpt", "mine", given)
        assert store.records() == {}

    def test_a_transformer_that_lacks_a_part(self, tmp_path: Path) -> None:
        net2net(tmp_path / "last.ckpt")
        whole = torch.load(tmp_path / "last.ckpt")["state_dict"]
        for key, message in (
            ("transformer.pos_emb", "lacks pos_emb"),
            ("transformer.blocks.1.mlp.0.bias", "blocks.1"),
        ):
            rest = {name: value for name, value in whole.items() if name != key}
            torch.save({"state_dict": rest}, tmp_path / "last.ckpt")
            with pytest.raises(WeightsError, match=message) as caught:
                install.import_file(tmp_path / "last.ckpt", "mine")
            assert "\n" not in str(caught.value)
            assert store.records() == {}


def min_dalle(folder: Path, tail: str = "") -> CodeTransformer:
    """DALL·E mini as min-dalle keeps it; the scales of some normalisations are left out, as in the published files."""
    network = random_transformer("bart")
    tensors = {"decoder": {}, "encoder": {}}  # type: dict[str, dict[str, Tensor]]
    for key, value in network.state_dict().items():
        part = "encoder" if key.startswith("encoder.") else "decoder"
        tensors[part][their_name(key.removeprefix("encoder."))] = (
            value[0] if key.endswith("pos_emb") else value
        )
    for part in tensors.values():
        part["final_ln.weight"].fill_(1)
        del part["final_ln.weight"]
    folder.mkdir(parents=True)
    for part, own in tensors.items():
        torch.save(own, folder / f"{part}{tail}.pt")
    (folder / f"vocab{tail}.json").write_text(json.dumps(WORDS))
    (folder / f"merges{tail}.txt").write_text("\n".join(["#version", *PAIRS, ""]))
    return network


def their_name(key: str) -> str:
    for ours, theirs in (
        ("tok_emb.", "embed_tokens."), ("pos_emb", "embed_positions.weight"), ("ln_emb.", "layernorm_embedding."),
        ("ln_f.", "final_ln."), ("head.", "lm_head."), ("blocks.", "layers."), (".query.", ".q_proj."),
        (".key.", ".k_proj."), (".value.", ".v_proj."), (".proj.", ".out_proj."),
    ):  # fmt: skip
        key = key.replace(ours, theirs)
    return key


def detoker(path: Path) -> dict[str, Tensor]:
    """A VQGAN's decoder as min-dalle keeps it, of images in [0, 1]."""
    state = random_vqgan().state_dict()
    own = {
        key.replace("quantize.", ""): value
        for key, value in state.items()
        if not key.startswith(("encoder.", "quant_conv."))
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(own, path)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(describe(TINY)))
    return state


class TestDALLE:
    @pytest.mark.parametrize(
        ("file", "tail"), [("decoder.pt", ""), ("encoder.pt", ""), ("decoder_mini.pt", "_mini")]
    )
    def test_its_parts_become_one_model(self, file: str, tail: str, tmp_path: Path) -> None:
        network = min_dalle(tmp_path / "dalle_bart_mini", tail)
        detoker(tmp_path / "vqgan/detoker.pt")
        install.import_file(tmp_path / "dalle_bart_mini" / file)
        loaded = load_transformer("dalle_bart_mini-transformer", CPU, FP32)
        assert loaded.architecture.heads == 1  # 64 channels a head, as in the published ones
        assert_same(loaded.network, network)
        assert loaded.architecture.vqgan == "dalle_bart_mini"

    def test_texts_are_read_by_the_merges_in_the_file(self, tmp_path: Path) -> None:
        min_dalle(tmp_path / "mini")
        detoker(tmp_path / "mini/detoker.pt")
        install.import_file(tmp_path / "mini/decoder.pt")
        loaded = load_transformer("mini-transformer", CPU, FP32)
        word = WORDS["Ġa"], WORDS["ppl"], WORDS["e"]
        assert loaded.tokens("Apple").tolist() == [0, *word, 2, 1]
        assert loaded.tokens("é apple").tolist() == [0, *word, 2, 1]
        assert loaded.tokens("z apples").tolist() == [0, WORDS["Ġ"], 3, *word]

    def test_its_vqgan_has_our_range(self, tmp_path: Path) -> None:
        """Twice the image minus one."""
        min_dalle(tmp_path / "mini")
        detoker(tmp_path / "mini/detoker.pt")
        install.import_file(tmp_path / "mini/decoder.pt")
        z = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
        ours = load_vqgan("mini").decode(z)
        torch.testing.assert_close(ours, 2 * random_vqgan().decode(z) - 1, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("stacked", [True, False])
    def test_flax(self, stacked: bool, tmp_path: Path) -> None:
        network = min_dalle(tmp_path / "mini")
        detoker(tmp_path / "mini/detoker.pt")
        write_flax(tmp_path / "mini/flax_model.msgpack", network, stacked)
        install.import_file(tmp_path / "mini/flax_model.msgpack")
        loaded = load_transformer("mini-transformer", CPU, FP32)
        assert_same(loaded.network, network)
        assert loaded.architecture.start == 16

    @pytest.mark.parametrize("missing", ["encoder.pt", "vocab.json", "merges.txt", "detoker.pt"])
    def test_a_part_that_is_missing_is_named(self, missing: str, tmp_path: Path) -> None:
        min_dalle(tmp_path / "mini")
        detoker(tmp_path / "mini/detoker.pt")
        (tmp_path / "mini" / missing).unlink()
        with pytest.raises(WeightsError, match=missing) as caught:
            install.import_file(tmp_path / "mini/decoder.pt")
        assert "\n" not in str(caught.value)
        assert store.records() == {}

    @pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
    def test_a_damaged_part(self, file: str, tmp_path: Path) -> None:
        min_dalle(tmp_path / "mini")
        detoker(tmp_path / "mini/detoker.pt")
        (tmp_path / "mini" / file).write_bytes(b"\xff[1")
        with pytest.raises(VqclipError) as caught:
            install.import_file(tmp_path / "mini/decoder.pt")
        assert "\n" not in str(caught.value)


def write_flax(path: Path, network: CodeTransformer, stacked: bool) -> None:
    """DALL·E mini's parameters as Flax serialises them."""
    names = (
        ("self_attn.", "FlaxBartAttention_0."), ("encoder_attn.", "FlaxBartAttention_1."), ("glu.fc", "GLU_0.Dense_"),
        ("glu.ln", "GLU_0.LayerNorm_"), ("pre_self_attn_layer_norm", "LayerNorm_0"),
        ("self_attn_layer_norm", "LayerNorm_1"), ("pre_encoder_attn_layer_norm", "LayerNorm_2"),
        ("encoder_attn_layer_norm", "LayerNorm_3"),
    )  # fmt: skip
    flat: dict[str, Any] = {}
    for key, value in network.state_dict().items():
        part = "encoder" if key.startswith("encoder.") else "decoder"
        name = their_name(key.removeprefix("encoder."))
        for ours, theirs in names:
            name = name.replace(ours, theirs)
        is_norm, is_table = "norm" in name.lower() or "_ln" in name, "embed_" in name
        last = "scale" if is_norm else "embedding" if is_table else "kernel"
        name = name.removesuffix("weight") + last if name.endswith("weight") else name
        array = (value[0] if key.endswith("pos_emb") else value.T if last == "kernel" else value).numpy()
        kind = part.capitalize()
        head, number, rest = name.partition("layers.")[0], *name.partition("layers.")[2].partition(".")[::2]
        before = "" if name.startswith("lm_head") else f"model.{part}."
        if not number:
            flat[before + name] = array
        elif stacked:
            flat.setdefault(f"{before}layers.FlaxBart{kind}Layers.{rest}", []).append(array)
        else:
            flat[f"{before}{head}layers.FlaxBart{kind}Layer_{number}.{rest}"] = array
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *folders, leaf = name.split(".")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        array = torch.stack([torch.as_tensor(x) for x in value]).numpy() if isinstance(value, list) else value
        packed = msgpack.packb((array.shape, str(array.dtype), array.tobytes()))
        node[leaf] = msgpack.ExtType(1, packed)
    path.write_bytes(msgpack.packb(tree))


class TestNeeds:
    def test_the_vqgan_is_listed_once_the_transformer_is_here(self, tmp_path: Path, tiny: Any) -> None:
        config = tiny(start={"name": "transformer", "model": "mine-transformer"})
        roles = lambda: [(need.kind, need.name) for need in requirements(config) if "transf" in need.role]  # noqa: E731
        assert roles() == [("transformer", "mine-transformer")]
        net2net(tmp_path / "last.ckpt")
        install.import_file(tmp_path / "last.ckpt", "mine")
        assert roles() == [("transformer", "mine-transformer"), ("vqgan", "mine")]

    def test_the_command_names_what_it_made(self, tmp_path: Path, vqclip: Vqclip) -> None:
        net2net(tmp_path / "last.ckpt")
        done = vqclip("models", "import", tmp_path / "last.ckpt", "--name", "mine")
        assert done.code == 0, done.err
        assert done.lines == ["mine", "mine-transformer"]
        assert "mine-transformer" in vqclip("models", "list").out
        assert vqclip("models", "verify", "mine-transformer").code == 0

    def test_removing_the_vqgan_removes_its_transformer_and_says_so(
        self, tmp_path: Path, vqclip: Vqclip
    ) -> None:
        net2net(tmp_path / "last.ckpt")
        for name in ("mine", "other"):
            install.import_file(tmp_path / "last.ckpt", name)
        done = vqclip("models", "remove", "mine")
        assert done.code == 0, done.err
        assert "mine-transformer" in done.err
        assert set(store.records()) == {"other", "other-transformer"}
        vqclip("models", "remove", "other-transformer")
        assert vqclip("models", "remove", "other").code == 0
        assert store.records() == {}


def test_small_is_what_the_tiny_vqgan_has() -> None:
    assert SMALL["codes"] == TINY.n_embed
