"""Checkpoints are read as tensors alone: whatever else a file says is refused or ignored, and nothing in it runs."""

import argparse
import collections
import contextlib
import copyreg
import dataclasses
import datetime
import enum
import io
import os
import pickle
import random
import sys
import tracemalloc
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.weights.checkpoint import read_checkpoint, read_tensors

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


class Depth(enum.Enum):
    SHALLOW = 1


class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()


class AttributeDict(dict[str, Any]):
    """As Lightning keeps a module's hyper-parameters."""


def lightning_pickle(content: Any) -> Any:
    """Name a class of ours by Lightning's module, as its own files do."""
    AttributeDict.__module__ = "pytorch_lightning.utilities.parsing"
    return content


@dataclasses.dataclass
class Settings:
    rate: float = 0.1


def a_list_in_itself() -> list[Any]:
    content: list[Any] = []
    content.append(content)
    return content


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that such tensors will be gone one day
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


OBJECTS: dict[str, Callable[[], Any]] = {
    "numpy's scalar": lambda: np.float64(4.5e-6),
    "numpy's array": lambda: np.arange(6.0).reshape(2, 3),
    "numpy's array of objects": lambda: np.array([{"a": 1}, None], dtype=object),
    "numpy's dtype": lambda: np.dtype("float32"),
    "numpy's random state": lambda: np.random.RandomState(0),
    "numpy's generator": lambda: np.random.default_rng(0),
    "numpy's state": np.random.get_state,
    "Python's random state": random.getstate,
    "Python's generator": lambda: random.Random(1),
    "torch's random state": torch.get_rng_state,
    "Namespace": lambda: argparse.Namespace(codebook_size=16384, cloud_save_path=Path("a"), betas=(0.9, 0.95)),
    "OmegaConf's dict": lambda: OmegaConf.create({"a": {"b": [1, 2, "${a.c}"], "c": 3}, "d": None}),
    "OmegaConf's list": lambda: OmegaConf.create([1, {"b": 2}]),
    "AttributeDict": lambda: lightning_pickle(AttributeDict(a=1)),
    "set": lambda: {1, 2, ("a", 3)},
    "frozenset": lambda: frozenset({"a"}),
    "defaultdict": lambda: collections.defaultdict(list, {"a": [1]}),
    "Counter": lambda: collections.Counter("abca"),
    "deque": lambda: collections.deque([1, 2], maxlen=3),
    "path": lambda: Path("a/b"),
    "Windows' path": lambda: PureWindowsPath("C:/a"),
    "enum": lambda: Depth.SHALLOW,
    "flag": lambda: Flags.A | Flags.B,
    "dataclass": Settings,
    "date": lambda: datetime.datetime(2024, 1, 2),
    "complex": lambda: 1 + 2j,
    "fraction": lambda: Fraction(1, 3),
    "slice": lambda: slice(1, 2),
    "range": lambda: range(3),
    "bytearray": lambda: bytearray(b"abc"),
    "large number": lambda: 10**400,
    "key of several": lambda: {(1, "a"): 2, frozenset(): 3},
    "device and dtype": lambda: [torch.device("cuda:0"), torch.bfloat16, torch.Size([1]), torch.strided],
    "module": lambda: torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()),
    "optimiser": lambda: torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]),
    "schedule": lambda: torch.optim.lr_scheduler.StepLR(
        torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], 0.1), 1
    ),
    "sparse tensor": lambda: torch.eye(3).to_sparse(),
    "quantised tensor": quantised,
    "complex tensor": lambda: torch.ones(2, dtype=torch.complex64),
    "function": lambda: os.path.join,
    "class": lambda: collections.ChainMap,
    "itself": a_list_in_itself,
}  # fmt: skip


@pytest.mark.parametrize("zip_", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_an_object_of_any_class_beside_the_tensors_is_left_behind(
    tmp_path: Path, name: str, zip_: bool, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("pytorch_lightning.utilities.parsing")
    module.AttributeDict = AttributeDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch_lightning", types.ModuleType("pytorch_lightning"))
    monkeypatch.setitem(sys.modules, "pytorch_lightning.utilities", types.ModuleType("x"))
    monkeypatch.setitem(sys.modules, "pytorch_lightning.utilities.parsing", module)
    thing = OBJECTS[name]()
    content = {
        "args": thing,
        "optimizer_states": [{"param_groups": [{"lr": thing}]}],
        "state_dict": tensors(),
    }
    torch.save(content, tmp_path / "a.ckpt", pickle_protocol=protocol, _use_new_zipfile_serialization=zip_)
    assert_equal(read_tensors(tmp_path / "a.ckpt"), tensors())


class TestOldFormat:
    """torch.save's before 1.6, without zip: the same numbers, mapped or copied."""

    def test_is_read(self, tmp_path: Path) -> None:
        content = {"epoch": 1, "state_dict": OrderedDict(tensors())}
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
        assert_equal(read_tensors(tmp_path / "a.pt"), tensors())

    @pytest.mark.parametrize("cut", [1, 40, 200, 600])
    def test_is_refused_without_its_end(self, tmp_path: Path, cut: int) -> None:
        torch.save(tensors(), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
        (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:-cut])
        with pytest.raises(WeightsError) as caught:
            read_tensors(tmp_path / "a.pt")
        assert "\n" not in str(caught.value)

    def test_a_pickle_of_pickles_own_says_what_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": torch.ones(2)}))
        with pytest.raises(WeightsError, match="a pickle, but not of torch"):
            read_tensors(tmp_path / "a.pt")


class TestWhereTensorsLie:
    @pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "module", "ema"])
    def test_in_a_dict_of_a_training_run(self, tmp_path: Path, key: str) -> None:
        torch.save({"epoch": 1, key: tensors(), "optimizer": {}}, tmp_path / "a.pt")
        assert_equal(read_tensors(tmp_path / "a.pt"), tensors())

    def test_in_a_whole_module(self, tmp_path: Path) -> None:
        """As `torch.save(model)` writes it: its class needn't be here."""
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
        for content in (net, {"model": net}, {"state_dict": net}):
            torch.save(content, tmp_path / "a.pt")
            assert_equal(read_tensors(tmp_path / "a.pt"), dict(net.state_dict()))

    def test_in_dicts_of_other_classes(self, tmp_path: Path) -> None:
        torch.save(collections.defaultdict(int, model=collections.Counter(tensors())), tmp_path / "a.pt")
        assert_equal(read_tensors(tmp_path / "a.pt"), tensors())

    def test_settings_are_found_wherever_a_script_put_them(self, tmp_path: Path) -> None:
        for settings in (
            argparse.Namespace(tanh_out=True),
            {"model": {"ddconfig": {"tanh_out": True}}},
            OmegaConf.create({"model": {"tanh_out": True}}),
        ):
            torch.save({"state_dict": tensors(), "args": settings}, tmp_path / "a.pt")
            assert read_checkpoint(tmp_path / "a.pt").setting("tanh_out") is True
            assert read_checkpoint(tmp_path / "a.pt").setting("other") is None


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
    "__import__": lambda: Calls(__import__, ("os",)),
}  # fmt: skip
CALLS: dict[str, Callable[[], Any]] = {
    "getattr": lambda: Calls(getattr, ("x", "upper")),
    "torch.load": lambda: Calls(torch.load, ("other.pt",)),
    "torch.hub.load": lambda: Calls(torch.hub.load, ("a/b", "c")),
    "a method of torch's": lambda: Calls(torch.Tensor.share_memory_, (torch.ones(1),)),
    "a function that torch trusts": lambda: Calls(torch._utils._rebuild_sparse_tensor, (torch.strided, ())),
    "an object built anew": Hostile,
}  # fmt: skip
PLACES: dict[str, Callable[[Any], Any]] = {
    "as the file": lambda bomb: bomb,
    "in the state dict": lambda bomb: {"state_dict": {**tensors(), "x": bomb}},
    "beside it": lambda bomb: {"state_dict": tensors(), "callbacks": [bomb]},
    "as a key": lambda bomb: {"state_dict": tensors(), bomb: 1},
    "in an optimiser": lambda bomb: {"optimizer_states": [{"state": {0: bomb}}], "state_dict": tensors()},
}
old_format = pytest.mark.parametrize("zip_", [True, False], ids=["zip", "old format"])


@old_format
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("where", PLACES)
def test_a_pickle_that_would_run_something_is_refused(
    tmp_path: Path, attack: str, where: str, zip_: bool
) -> None:
    content = PLACES[where](ATTACKS[attack]())
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=zip_)
    TRACE.unlink(missing_ok=True)  # building the bomb may have set it off
    with pytest.raises(WeightsError) as caught:
        read_tensors(tmp_path / "a.ckpt")
    assert "is refused: it would call" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(Path().iterdir()) == []


@old_format
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("where", PLACES)
def test_a_pickle_that_calls_is_read_and_nothing_is_called(
    tmp_path: Path, call: str, where: str, zip_: bool
) -> None:
    """What isn't a tensor stays behind; the tensors beside it are read."""
    content = PLACES[where](CALLS[call]())
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=zip_)
    TRACE.unlink(missing_ok=True)
    if where == "as the file":
        with pytest.raises(WeightsError) if call != "an object built anew" else contextlib.nullcontext():
            assert read_tensors(tmp_path / "a.ckpt") == {}
    else:
        assert_equal(read_tensors(tmp_path / "a.ckpt"), tensors())
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
        with pytest.raises(WeightsError, match=r"is refused: it would call os\.system"):
            read_tensors(path)
        assert list(Path().iterdir()) == []


def nested(levels: int, step: bytes, end: bytes) -> bytes:
    """A program that wraps None `levels` times."""
    return b"\x80\x02N" + step * levels + end


AS_KEY = b"q\x01}h\x01Ns."  # what lies on the stack becomes the key of a dict
TWICE = b"(X\x01\x00\x00\x00ah\x01X\x01\x00\x00\x00bh\x01dq\x01"  # a dict with the last one under a and b
BOMBS = {
    # Python's own machine would make room for two thousand million places, ...
    "a memo beyond the program": b"\x80\x02Nr" + (2**31 - 1).to_bytes(4, "little") + b".",
    # ... hash 2^60 values, ...
    "pairs of pairs as a key": nested(60, b"2\x86", AS_KEY),
    # ... and overflow its stack while it hashes.
    "a deep tuple as a key": nested(50_000, b"\x85", AS_KEY),
    "a deep list": nested(50_000, b"q\x01]h\x01a", b"."),
    "dicts of dicts": b"\x80\x02}q\x01" + TWICE * 60 + b".",
    "a dict in itself": b"\x80\x02}q\x01X\x01\x00\x00\x00ah\x01s.",
    "a model in itself": b"\x80\x02}q\x01X\x05\x00\x00\x00modelh\x01s.",
    "a text longer than the file": b"\x80\x02X\xff\xff\xff\x7fa.",
    "bytes longer than the file": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa.",
    "a number of millions of digits": b"\x80\x02I" + b"9" * 10**6 + b"\n.",
    "a long number as a key": b"\x80\x02}\x8b\x40\x42\x0f\x00" + b"\x7f" * 10**6 + b"Ns.",
}


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

    @pytest.mark.parametrize("name", BOMBS)
    def test_a_program_that_would_grow_without_bound_is_refused_or_small(
        self, tmp_path: Path, name: str
    ) -> None:
        path = archive(tmp_path / "a.pt", BOMBS[name])
        tracemalloc.start()
        with contextlib.suppress(WeightsError):
            assert read_tensors(path) == {}
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100 * 2**20

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
