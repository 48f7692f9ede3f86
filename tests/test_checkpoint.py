"""Checkpoints are read as tensors alone: whatever else a file says is refused or ignored, and nothing in it runs."""

import contextlib
import copyreg
import io
import os
import pickle
import random
import sys
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vqclip.errors import WeightsError
from vqclip.models.checkpoint import read_tensors

TRACE = Path("hacked")  # each test has a working folder of its own


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(6, 4, generator=generator)
    return {
        "a.weight": torch.randn(3, 2, generator=generator),
        "a.bias": torch.randn(3, generator=generator).to(torch.bfloat16),
        "a.half": torch.randn(3, generator=generator).half(),
        "a.count": torch.arange(3),
        "a.row": shared[2],
        "a.columns": shared.T,
    }


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def a_class(module: str, name: str) -> type:
    """A class that a pickle names and that this process needn't have."""
    sys.modules.setdefault(module, types.ModuleType(module))
    kind = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, kind)
    return kind


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a Lightning trainer saves around the tensors: classes by name, an optimiser's state, settings."""
    module = "pytorch_lightning.callbacks.model_checkpoint"
    for i in range(1, len(module.split(".")) + 1):
        name = ".".join(module.split(".")[:i])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    moments = {0: {"step": 3, "exp_avg": torch.ones(2)}}
    return {
        "epoch": 3,
        "callbacks": {
            a_class(module, "ModelCheckpoint"): {"best_model_score": torch.tensor(0.5), "best_model_path": ""}
        },
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "lr_schedulers": [],
        "hyper_parameters": {"embed_dim": 5, "dtype": torch.float32, "size": torch.Size([2, 3])},
    }


class TestReads:
    def test_safetensors(self, tmp_path: Path) -> None:
        contiguous = {key: value.contiguous() for key, value in tensors().items()}
        save_file(contiguous, tmp_path / "a.safetensors")
        assert_equal(read_tensors(tmp_path / "a.safetensors"), contiguous)

    @pytest.mark.parametrize("suffix", ["ckpt", "pt", "pth", "bin"])
    def test_a_bare_state_dict(self, tmp_path: Path, suffix: str) -> None:
        torch.save(OrderedDict(tensors()), tmp_path / f"a.{suffix}")
        assert_equal(read_tensors(tmp_path / f"a.{suffix}"), tensors())

    def test_a_lightning_file_as_its_state_dict(self, tmp_path: Path, lightning: dict[str, Any]) -> None:
        """Classes that are only named stay names."""
        torch.save(lightning | {"state_dict": tensors()}, tmp_path / "last.ckpt")
        assert_equal(read_tensors(tmp_path / "last.ckpt"), tensors())

    def test_parameters(self, tmp_path: Path) -> None:
        torch.save({"w": torch.nn.Parameter(torch.ones(2))}, tmp_path / "a.pt")
        assert_equal(read_tensors(tmp_path / "a.pt"), {"w": torch.ones(2)})


class Calls:
    """Pickles as whatever `reduce` says."""

    def __init__(self, *reduce: Any):
        self.reduce = reduce

    def __reduce__(self) -> Any:
        return self.reduce


class Hostile:
    """Touches a file wherever Python lets an object act when it is unpickled."""

    def __new__(cls, *_: Any) -> "Hostile":
        TRACE.touch()
        return super().__new__(cls)

    def __reduce_ex__(self, _: Any) -> Any:
        return copyreg.__newobj__, (Hostile, "x"), {"state": 1}  # type: ignore[attr-defined]

    def __setstate__(self, _: Any) -> None:
        TRACE.touch()


COMMAND = f"touch {TRACE}"
ATTACKS: dict[str, Callable[[], Any]] = {
    "os.system": lambda: Calls(os.system, (COMMAND,)),
    "eval": lambda: Calls(eval, (f"open({str(TRACE)!r}, 'w')",)),
    "exec": lambda: Calls(exec, (f"open({str(TRACE)!r}, 'w')",)),
    "getattr": lambda: Calls(getattr, ("x", "upper")),
    "__import__": lambda: Calls(__import__, ("os",)),
    "torch.load": lambda: Calls(torch.load, ("other.pt",)),
    "torch.hub.load": lambda: Calls(torch.hub.load, ("a/b", "c")),
    "a method of torch's": lambda: Calls(torch.Tensor.share_memory_, (torch.ones(1),)),
    "a function that torch trusts": lambda: Calls(torch._utils._rebuild_sparse_tensor, (torch.strided, ())),
    "an object built anew": Hostile,
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "where", ["as the file", "in the state dict", "beside it", "as a key", "in an optimiser"]
)
def test_a_pickle_that_calls_is_refused_and_nothing_runs(tmp_path: Path, attack: str, where: str) -> None:
    bomb = ATTACKS[attack]()
    content = {
        "as the file": bomb,
        "in the state dict": {"state_dict": {**tensors(), "x": bomb}},
        "beside it": {"state_dict": tensors(), "callbacks": [bomb]},
        "as a key": {"state_dict": tensors(), bomb: 1},
        "in an optimiser": {"optimizer_states": [{"state": {0: bomb}}], "state_dict": tensors()},
    }[where]
    torch.save(content, tmp_path / "a.ckpt")
    TRACE.unlink(missing_ok=True)  # building the bomb may have set it off
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / "a.ckpt")
    assert "is refused: it wants to call" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(Path().iterdir()) == []


def archive(path: Path, program: bytes) -> Path:
    """A torch archive whose pickle is the given program for the unpickling machine."""
    buffer = io.BytesIO()
    torch.save({}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, program if name.endswith("data.pkl") else source.read(name))
    return path


PROGRAMS = {
    "reduce": b"cos\nsystem\n(S'touch hacked'\ntR.",
    "reduce by stacked names": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch hacked\x85R.",
    "instance": b"(S'touch hacked'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch hacked'\no.",
    "new object": b"\x80\x02cos\nsystem\nS'touch hacked'\n\x85\x81.",
    "new object with keywords": b"\x80\x04cos\nsystem\nS'touch hacked'\n\x85}\x92.",
    "state of a name": b"\x80\x02cos\nsystem\n}S'a'\nI1\nsb.",
    "state of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}S'__defaults__'\n(I1\nts\x86b.",
    "state of what stands for a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}S'__new__'\nI1\ns\x86b.",
    "dotted name": b"\x80\x04\x8c\x05torch\x8c\x0eos.path.exists\x93\x8c\x01x\x85R.",
    "attribute of a dtype": b"\x80\x04\x8c\x05torch\x8c\x10float32.__reduce\x93)R.",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hand_written_pickle_is_refused(tmp_path: Path, name: str) -> None:
    before = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises(WeightsError):
        read_tensors(archive(tmp_path / "a.pt", PROGRAMS[name]))
    assert list(Path().iterdir()) == []
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    torch.save(tensors(), tmp_path / "good.pt")
    assert_equal(read_tensors(tmp_path / "good.pt"), tensors())


def damaged(name: str) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors(), buffer)
    whole = buffer.getvalue()
    return {
        "empty": b"",
        "text": b"<!DOCTYPE html><title>404</title>",
        "half": whole[: len(whole) // 2],
        "without its end": whole[:-30],
        "a bare pickle": pickle.dumps({"a": 1}),
        "the old format": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        "a zip of something else": zipped({"readme.txt": b"hello"}),
        "a zip with a broken pickle": zipped({"archive/data.pkl": b"\x80\x02}q", "archive/version": b"3\n"}),
    }[name]


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
@pytest.mark.parametrize(
    "name",
    ["empty", "text", "half", "without its end", "a bare pickle", "the old format", "a zip of something else",
     "a zip with a broken pickle"],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(damaged(name))
    with pytest.raises(WeightsError) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whatever_byte_is_damaged_nothing_else_than_a_refusal_comes_of_it(tmp_path: Path) -> None:
    """The pickle of a good file, with bytes replaced at random: read, or refused in one line."""
    buffer = io.BytesIO()
    torch.save(tensors(), buffer)
    with zipfile.ZipFile(buffer) as source:
        program = next(source.read(name) for name in source.namelist() if name.endswith("data.pkl"))
    chance, refused = random.Random(5), 0
    for _ in range(300):
        broken = bytearray(program)
        for _ in range(chance.randint(1, 3)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with contextlib.suppress(WeightsError):
            read_tensors(archive(tmp_path / "a.pt", bytes(broken)))
            continue
        refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "content", [[1, 2], 3, "x", torch.ones(2), {"state_dict": [1]}, {"state_dict": torch.ones(2)}]
)
def test_a_file_that_holds_no_dict_of_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="where a dict of tensors was expected"):
        read_tensors(tmp_path / "a.pt")


class TestTorchScript:
    """OpenAI publishes its CLIPs so: the numbers are read, the program isn't."""

    @pytest.fixture
    def archive(self, tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.small = torch.nn.Linear(3, 4).half()
                self.blocks = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
                self.register_buffer("input_resolution", torch.tensor(224))

            def forward(self, x: Tensor) -> Tensor:
                return self.blocks(x)

        net = Net().eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.trace(net, torch.randn(1, 3, 4, 4)), tmp_path / "clip.pt")
        return tmp_path / "clip.pt", net.state_dict()

    def test_is_read_as_its_state_dict(self, archive: tuple[Path, dict[str, Tensor]]) -> None:
        assert_equal(read_tensors(archive[0]), archive[1])

    def test_is_not_run(
        self, archive: tuple[Path, dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("torch.jit.load", "torch.load"):
            monkeypatch.setattr(name, lambda *_, **__: pytest.fail("ran it"))
        read_tensors(archive[0])

    def test_one_that_calls_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.pt"
        program = b"\x80\x02cos\nsystem\nX\x0c\x00\x00\x00touch hacked\x85R."
        path.write_bytes(zipped({"clip/constants.pkl": b"", "clip/data.pkl": program, "clip/code/a.py": b""}))
        with pytest.raises(WeightsError, match=r"is refused: it wants to call os\.system"):
            read_tensors(path)
        assert list(Path().iterdir()) == []


class TestBoundedMemory:
    """What a file says about sizes is held against its own."""

    def test_a_compressed_archive_is_refused(self, tmp_path: Path) -> None:
        """A zip bomb: torch.save never compresses."""
        path = tmp_path / "a.pt"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            target.writestr("a/data.pkl", b"\x00" * 10**7)
        with pytest.raises(WeightsError, match="is compressed"):
            read_tensors(path)

    def test_a_name_that_climbs_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pt"
        path.write_bytes(zipped({"a/data.pkl": b"N.", "../../evil": b"x"}))
        with pytest.raises(WeightsError, match=r"names a file '\.\./\.\./evil'"):
            read_tensors(path)

    def test_a_memo_beyond_the_program_is_refused(self, tmp_path: Path) -> None:
        """Python would make room for two thousand million places."""
        program = b"\x80\x02Nr" + (2**31 - 1).to_bytes(4, "little") + b"."
        with pytest.raises(WeightsError, match="asks for a memo of 2147483647 places"):
            read_tensors(archive(tmp_path / "a.pt", program))

    def test_a_tensor_without_numbers_is_refused(self, tmp_path: Path) -> None:
        """Strides of 0 would make a terabyte out of one number."""
        torch.save({"a": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "a.pt")
        with pytest.raises(WeightsError, match="for which the file has no numbers"):
            read_tensors(tmp_path / "a.pt")

    @pytest.mark.parametrize(
        "header",
        [
            b'{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4]}}',
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4000000000000]}}',
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
            b"[" * 5000,
        ],
    )
    def test_a_safetensors_header_that_lies_is_refused(self, tmp_path: Path, header: bytes) -> None:
        path = tmp_path / "a.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x00" * 4)
        with pytest.raises(WeightsError):
            read_tensors(path)

    def test_a_safetensors_header_longer_than_the_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
        with pytest.raises(WeightsError):
            read_tensors(path)


@pytest.mark.parametrize("name", ["missing.ckpt", "missing.safetensors", "folder.ckpt", "folder.safetensors"])
def test_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.ckpt").mkdir()
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / name)
    assert "\n" not in str(caught.value)
