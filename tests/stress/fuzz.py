"""Feed damaged and mutated checkpoints to the readers: each is read, or refused in one line, and nothing else happens.

    .venv/bin/python tests/stress/fuzz.py [COUNT] [SEED] [hostile]      # 10000 files by default

Mutations are of files in every layout that vqclip reads. With `hostile` they are of pickles written to do harm: each
tries to set off a canary, which writes a file, changes the environment, imports a module, starts a process or a thread,
sleeps, or fills the memory. Anything but a VqclipError, a canary's trace, an event of Python's audit that a reader has
no business with, a second of time or memory beyond the bound ends the run with the file kept and named.
"""

import argparse
import codecs
import io
import json
import os
import pickle
import random
import resource
import shutil
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors.torch import save

from vqclip.base.errors import VqclipError
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_configs import NOTE, to_note
from vqclip.models.vqgan_loading import read_vqgan
from vqclip.weights.archives import unpacked
from vqclip.weights.checkpoint import WEIGHTS, read_tensors

BOUND = 300 * 2**20  # bytes that the process may grow by; the files have a few kB
FORBIDDEN = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.spawn",
    "os.fork",
    "os.posix_spawn",
    "os.putenv",
    "os.unsetenv",
    "os.kill",
    "os.chmod",
    "os.rename",
    "socket.",
    "ctypes.dlopen",
    "shutil.rmtree",
    "pickle.find_class",
    "urllib.Request",
)
SLOWEST = 10.0  # seconds of the processor for one file; the largest bombs take one
NET = Architecture(ch=2, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(), z_channels=2, embed_dim=2, n_embed=4,
                   norm_groups=2, mid_attention=False)  # fmt: skip

forbidden: list[str] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(FORBIDDEN):
        forbidden.append(f"{event} {arguments}"[:200])


def good_files() -> dict[str, bytes]:
    """A whole file of each kind, by its name."""
    torch.manual_seed(0)
    tensors = VQGAN(NET).state_dict()
    checkpoint, script, old, training = (io.BytesIO() for _ in range(4))
    told = argparse.Namespace(
        rate=np.float64(1e-4), folder=Path("a"), sizes={1, 2}, net=OmegaConf.create({"ch": 2})
    )
    content = {
        "model": VQGAN(NET),
        "args": told,
        "numpy": np.random.RandomState(0),
        "python": random.Random(0),
    }
    torch.save(content, training)
    torch.save({"model": tensors, "args": told}, old, _use_new_zipfile_serialization=False)
    torch.save({"state_dict": tensors, "epoch": 3, "callbacks": {"a": [1, 2.5, None]}}, checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2).eval(), torch.ones(1, 2)), script)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.ckpt", checkpoint.getvalue())
    flax = {
        "decoder": {
            "conv_in": {"kernel": msgpack.ExtType(1, msgpack.packb([[1, 2], "float32", b"12345678"]))}
        }
    }
    return {
        "a.ckpt": checkpoint.getvalue(),
        "b.safetensors": save(tensors, {NOTE: to_note(NET)}),
        "c.pt": script.getvalue(),
        "d.zip": packed.getvalue(),
        "e.msgpack": msgpack.packb(flax),
        "f.ckpt": pickle.dumps({"a": 1}),
        "g.ckpt": old.getvalue(),
        "h.ckpt": training.getvalue(),
    }


def neighbours() -> dict[str, bytes]:
    """Descriptions that may lie beside the weights."""
    net = {
        "ch": 2,
        "ch_mult": [1, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "resolution": 8,
        "z_channels": 2,
    }
    params = {"embed_dim": 2, "n_embed": 4, "ddconfig": net}
    return {
        "model.yaml": json.dumps(
            {"model": {"target": "taming.models.vqgan.VQModel", "params": params}}
        ).encode(),
        "config.json": json.dumps({"ch": 2, **net, "embed_dim": 2, "n_embed": 4}).encode(),
    }


CANARY = "vqclip_canary"  # a module that writes a file when it is imported
TRACE = "canary-was-here"


def hostile_calls(trace: Path) -> list[tuple[str, str, bytes]]:
    """Module, name and a pickled tuple of arguments of calls that would leave a trace."""

    def text(*words: str) -> bytes:
        return (
            b"(" + b"".join(b"X" + len(w.encode()).to_bytes(4, "little") + w.encode() for w in words) + b"t"
        )

    code = f"open({str(trace)!r}, 'w').close()"
    number = b"J\xff\xff\xff\x7f"
    return [
        ("os", "system", text(f"touch {trace}")), ("posix", "system", text(f"touch {trace}")),
        ("subprocess", "Popen", b"(" + text("touch", str(trace)) + b"t"), ("os", "fork", b")"),
        ("builtins", "eval", text(code)), ("builtins", "exec", text(code)), ("__builtin__", "eval", text(code)),
        ("builtins", "open", text(str(trace), "w")), ("io", "open", text(str(trace), "w")),
        ("_io", "FileIO", text(str(trace), "w")), ("os", "mkdir", text(str(trace))),
        ("pathlib", "Path.touch", b"(" + b"cpathlib\nPosixPath\n" + text(str(trace)) + b"Rt"),
        ("os", "putenv", text(CANARY, "1")), ("os", "environ.__setitem__", text(CANARY, "1")),
        (CANARY, "run", b")"), (CANARY, "Canary", b")"), ("importlib", "import_module", text(CANARY)),
        ("builtins", "__import__", text(CANARY)), ("builtins", "getattr", text("x", "upper")),
        ("functools", "partial", b"cos\nsystem\n" + text(f"touch {trace}")[1:-1] + b"\x86"),
        ("torch", "load", text(str(trace))), ("torch.hub", "load", text("a/b", "c")),
        ("torch", "save", text("x", str(trace))), ("torch.serialization", "load", text(str(trace))),
        ("torch.storage", "_load_from_bytes", b"(C\x05cos\nst"), ("pickle", "loads", b"(C\x05cos\nst"),
        ("numpy", "load", text(str(trace))), ("numpy", "memmap", text(str(trace))),
        ("time", "sleep", b"(K\x64t"), ("operator", "mul", b"(C\x02ab" + number + b"t"),
        ("builtins", "bytearray", b"(" + number + b"t"),
        ("builtins", "list", b"(cbuiltins\nrange\n(" + number + b"tRt"),
        ("torch", "empty", b"(" + number + b"t"),
        ("torch._utils", "_rebuild_tensor_v2", b"(NK\x00" + number + b"\x85)t"),
        ("threading", "Thread.start", b")"), ("_thread", "start_new_thread", b"(ctime\nsleep\n(K\x64tt"),
        ("sys", "exit", b")"), ("os", "_exit", b"(K\x00t"), ("os", "abort", b")"),
        ("signal", "raise_signal", b"(K\x09t"),
        ("builtins", "setattr", text("x", "y", "z")), ("copyreg", "_reconstructor", b"(cos\n_wrap_close\n))t"),
        ("copyreg", "add_extension", text("os", "system")), ("torch.nn.modules.module", "Module", b")"),
        ("torch.jit", "load", text(str(trace))), ("vqclip.base.files", "write_text", text(str(trace), "x")),
    ]  # fmt: skip


def bombs() -> list[bytes]:
    """Programs whose time or memory would grow without bound, as values to stand in a larger program."""
    twice = b"(X\x01\x00\x00\x00ah\x01X\x01\x00\x00\x00bh\x01dq\x01"
    return [
        b"N" + b"2\x86" * 60 + b"q\x01}h\x01Ns", b"N" + b"\x85" * 20_000 + b"q\x01}h\x01Ns",
        b"}q\x01" + twice * 60, b"]q\x01h\x01a", b"}q\x01X\x05\x00\x00\x00modelh\x01s",
        b"Nr\xff\xff\xff\x7f", b"I" + b"9" * 9000 + b"\n", b"\x8b\x10\x27\x00\x00" + b"\x7f" * 10_000,
        b"X\xff\xff\xff\x7fa", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa", b"(" * 20_000, b"]" * 20_000,
        b"cbuiltins\nfrozenset\n(" + b"N" * 9000 + b"tR", b"\x80\x05\x97", b"\x82\x01", b"\x83\x01\x00",
    ]  # fmt: skip


def hostile_program(chance: random.Random, trace: Path) -> bytes:
    """A pickle around a call or a bomb, in one of the ways in which a pickle can call, in one of many places."""
    calls = hostile_calls(trace)
    if chance.random() < 0.6:  # most of the others end the reading by their names
        calls = [
            call
            for call in calls
            if call[0] not in ("os", "posix", "subprocess", "sys", "builtins", "__builtin__")
        ]
    module, name, arguments = chance.choice(calls)
    named = f"c{module}\n{name}\n".encode()
    stacked = b"".join(b"X" + len(w).to_bytes(4, "little") + w.encode() for w in (module, name)) + b"\x93"
    what = chance.choice((named, stacked))
    call = chance.choice((
        what + arguments + b"R", what + arguments + b"\x81", what + arguments + b"}\x92",
        b"(" + what + b"K\x01o", b"(K\x01i" + named[1:], what + arguments + b"b", what + b")R" + arguments + b"b",
        what + b")\x81}X\x08\x00\x00\x00__dict__Nsb", what + arguments + b"RQ", what + b"Q",
        b"cbuiltins\ngetattr\n" + what + b"X\x08\x00\x00\x00__call__\x86R" + arguments + b"R",
        what + b")R(" + arguments + b"e", what + b")R(K\x01" + arguments + b"u", chance.choice(bombs()),
    ))  # fmt: skip
    weight = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x04\x85K\x01\x85\x89NtR"
    )
    around = chance.choice((
        b"%s", b"}X\x01\x00\x00\x00x%ss",
        b"}(X\x0a\x00\x00\x00state_dict}X\x01\x00\x00\x00w%wsX\x04\x00\x00\x00args%su",
        b"}X\x0a\x00\x00\x00state_dict}(X\x01\x00\x00\x00w%wX\x01\x00\x00\x00x%sus", b"}%sNs", b"]%sa", b"%s\x85",
        b"ccollections\nOrderedDict\n](X\x01\x00\x00\x00w%weX\x01\x00\x00\x00x%s\x86a\x85R",
        b"c__torch__\nNet\n)\x81}(X\x01\x00\x00\x00w%wX\x01\x00\x00\x00x%sub",
        b"ctorch._utils\n_rebuild_parameter\n(%s\x89NtR", b"((X\x07\x00\x00\x00storage%sX\x01\x00\x00\x000NK\x04tQ",
    ))  # fmt: skip
    return b"\x80\x02" + around.replace(b"%w", weight).replace(b"%s", call) + b"."


def hostile_file(chance: random.Random, trace: Path) -> tuple[str, bytes]:
    """Name and content of a file in one of torch's formats around a hostile pickle, mutated every other time."""
    program, numbers = hostile_program(chance, trace), b"\x00" * 16
    if chance.random() < 0.5:
        program = mutate(program, chance)
    kind = chance.choice(("zip", "script", "old"))
    if kind == "old":
        magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
        return "k.ckpt", magic + program + b"\x80\x02]X\x01\x00\x00\x000a." + b"\x04" + b"\x00" * 7 + numbers
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/data/0", numbers)
        if kind == "script":
            archive.writestr("a/constants.pkl", hostile_program(chance, trace))
            archive.writestr("a/code/__torch__.py", f"import {CANARY}")
    content = packed.getvalue()
    return f"{kind}.ckpt", mutate(content, chance) if chance.random() < 0.1 else content


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Bytes replaced, cut out, doubled, the end lost, numbers made huge; beginnings and ends are hit oftener."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        size = len(changed)
        if not size:
            break
        position = chance.choice(
            (
                chance.randrange(size),
                chance.randrange(min(size, 200)),
                size - 1 - chance.randrange(min(size, 200)),
            )
        )
        match chance.randrange(6):
            case 0 | 1:
                changed[position] = chance.randrange(256)
            case 2:
                del changed[position : position + chance.randint(1, 40)]
            case 3:
                changed[position:position] = changed[position : position + chance.randint(1, 400)]
            case 4:
                changed[position : position + 8] = chance.choice(
                    (b"\xff" * 8, b"\x00" * 8, b"99999999", b"\xff\xff\xff\x7f")
                )
            case _:
                del changed[position:]
    return bytes(changed)


def read(path: Path) -> str:
    """'read' or 'refused'; anything that a reader mustn't do raises."""
    try:
        with unpacked(path, WEIGHTS, beside=path.parent) as weights:
            read_vqgan(weights)
    except VqclipError as error:
        if "\n" in str(error):
            raise AssertionError(f"more than a line: {error}") from error
        return "refused"
    return "read"


def read_hostile(path: Path) -> str:
    """'read' if there are tensors; looking for a VQGAN among them goes as far as it can."""
    read(path)
    try:
        return "read" if read_tensors(path) else "without tensors"
    except VqclipError:
        return "refused"


def run(count: int, seed: int, folder: Path, say: Callable[[str], None] = lambda _: None) -> Counter[str]:
    """Read `count` mutated files; returns how many of each kind were read and refused."""
    chance, files, beside, outcomes = random.Random(seed), good_files(), neighbours(), Counter[str]()
    for name, content in files.items():  # everything is loaded, and the whole files warm the readers up
        (folder / name).write_bytes(content)
        outcomes[f"whole {name}: {read(folder / name)}"] += 1
        (folder / name).unlink()
    before = peak()
    for i in range(count):
        name = chance.choice(list(files))
        content = {name: mutate(files[name], chance)}
        neighbour = chance.choice((None, None, *beside))
        if neighbour:
            changed = chance.random() < 0.7
            content[neighbour] = mutate(beside[neighbour], chance) if changed else beside[neighbour]
        outcomes[
            f"{name}: {read_checked(folder, content, before, f'file {i} of seed {seed}', say, read)}"
        ] += 1
        if i % 1000 == 999:
            say(f"{i + 1} files, {(peak() - before) / 2**20:.0f} MiB more than at first")
    return outcomes


def run_hostile(
    count: int, seed: int, folder: Path, say: Callable[[str], None] = lambda _: None
) -> Counter[str]:
    """Read `count` pickles written to do harm; returns how many of each format were read and refused."""
    chance, outcomes, nest = random.Random(seed), Counter[str](), folder / CANARY
    nest.mkdir()
    trace = nest / TRACE
    code = f"open({str(trace)!r}, 'w').close()"
    (nest / f"{CANARY}.py").write_text(f"{code}\ndef run(*_):\n    {code}\nclass Canary:\n    pass\n")
    sys.path.insert(0, str(nest))
    for name, content in good_files().items():
        (folder / name).write_bytes(content)
        read(folder / name)
        (folder / name).unlink()
    codecs.lookup("raw-unicode-escape")  # Python imports it when a text in a pickle needs it
    before, world = (
        peak(),
        (dict(os.environ), set(sys.modules), threading.active_count(), Path.cwd(), sys.path[:]),
    )
    try:
        for i in range(count):
            name, content = hostile_file(chance, trace)
            what = f"file {i} of seed {seed}"
            outcomes[
                f"{name}: {read_checked(folder, {name: content}, before, what, say, read_hostile, CANARY)}"
            ] += 1
            now = (dict(os.environ), set(sys.modules), threading.active_count(), Path.cwd(), sys.path[:])
            if now != world or trace.exists() or {path.name for path in nest.iterdir()} != {f"{CANARY}.py"}:
                (folder / name).write_bytes(content)
                raise AssertionError(f"{what} changed {now[1] - world[1] or 'the world'}: {folder / name}")
            if i % 1000 == 999:
                say(f"{i + 1} files, {(peak() - before) / 2**20:.0f} MiB more than at first")
    finally:
        sys.path.remove(str(nest))
    shutil.rmtree(nest, ignore_errors=True)
    return outcomes


def read_checked(
    folder: Path,
    files: dict[str, bytes],
    before: int,
    what: str,
    say: Callable[[str], None],
    reader: Callable[[Path], str],
    *ours: str,
) -> str:
    """Write files, read the first of them, and remove them; keeps them if the reader did what it mustn't."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path, began = folder / next(iter(files)), time.process_time()
    try:
        outcome = reader(path)
        check(folder, {*files, *ours}, before)
        if time.process_time() - began > SLOWEST:
            raise AssertionError(f"took {time.process_time() - began:.1f} s")
    except BaseException:
        say(f"{what} is kept: {path}")
        raise
    for name in files:
        (folder / name).unlink()
    return outcome


def check(folder: Path, ours: set[str], before: int) -> None:
    left = {path.name for path in folder.iterdir()} - ours
    if left or forbidden:
        raise AssertionError(f"left behind {left}, did {forbidden}")
    if peak() - before > BOUND:
        raise AssertionError(f"took {(peak() - before) / 2**20:.0f} MiB")


def peak() -> int:
    """Peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    hostile = "hostile" in sys.argv[1:]
    given = [int(word) for word in sys.argv[1:3] if word != "hostile"]
    count, seed = (*given, *(10000, 0)[len(given) :])
    warnings.simplefilter("ignore")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    sys.addaudithook(watch)
    outcomes = (run_hostile if hostile else run)(count, seed, folder, print)
    folder.rmdir()
    for outcome, times in sorted(outcomes.items()):
        print(f"{times:6} {outcome}")
    print(f"{count} files in {time.monotonic() - began:.0f} s, nothing executed, one line each")


if __name__ == "__main__":
    main()
