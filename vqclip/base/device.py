"""Find devices, their arithmetic, and what each is fast at."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from vqclip.base.errors import UsageError

PRECISIONS = {
    "float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """What a device is fast at. Code that computes in one of two ways asks this, and not for the kind of device.

    Of `crops` and `numbers` a CPU's are measured, others' are chosen: a GPU is to be kept busy.
    """

    own_kernels: (
        bool  # the kernels that models.cpu_kernels picked by hand; elsewhere torch's public functions
    )
    triton: bool  # runs our Triton kernels; VQCLIP_TRITON=1 asks for them, which no GPU has proved yet
    bfloat16: bool  # multiplies bf16 matrices; emulation would be slower than fp32
    tf32: bool  # multiplies fp32 matrices rounded to TF32 where that is allowed
    float16: bool  # has all that rendering needs in fp16
    keeps_pages: bool  # its memory is this process's heap, which can keep the pages of large tensors
    counts_threads: bool  # shares sums among torch's threads, so that images depend on their number
    crops: int  # how many one perceptor looks at together
    numbers: int  # in the decoder's largest tensor, of all images that are fastest as one batch
    host: bool  # its memory is where steps are drawn: nothing has to be sent there
    fixed_shapes: bool  # a step's shapes mustn't depend on chance, nor may its numbers be read
    pinned: bool  # takes copies from pinned memory while the host goes on
    graphs: bool  # replays a step's kernels as one graph
    ordered_gradients: bool  # torch's own gradients there add in a fixed order
    whole_number_sums: bool  # adds 64-bit whole numbers
    deterministic_switches: bool  # its libraries take kernels that repeat only when they are set to


def strengths(device: torch.device) -> Strengths:
    """Return what a device is fast at. No other code asks for the kind of device."""
    if device.type == "cpu":
        return Strengths(
            own_kernels=True, triton=False, bfloat16=_cpu_multiplies_bfloat16(), keeps_pages=True, counts_threads=True,
            tf32=False, float16=False, crops=16, numbers=2**23, host=True,
            fixed_shapes=False, pinned=False, graphs=False,
            ordered_gradients=True, whole_number_sums=True, deterministic_switches=False,
        )  # fmt: skip
    is_cuda, is_ampere = device.type == "cuda", _gpu_multiplies_bfloat16(device)
    return Strengths(
        own_kernels=False, triton=is_ampere and _is_on("VQCLIP_TRITON"),
        bfloat16=is_ampere, tf32=is_ampere, float16=True, keeps_pages=False, counts_threads=False,
        crops=64, numbers=2**26, host=False, fixed_shapes=True, pinned=is_cuda, graphs=is_cuda,
        ordered_gradients=False, whole_number_sums=device.type != "mps", deterministic_switches=is_cuda,
    )  # fmt: skip


def pick(name: str = "auto") -> torch.device:
    """Return the device of a name (auto, cpu, cuda, cuda:1, mps). Raises UsageError if this machine lacks it."""
    if name == "auto":
        return torch.device(present()[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or name.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {name!r} is no device; write auto, cpu, cuda, cuda:1 or mps")
    canonical = f"cuda:{device.index or 0}" if device.type == "cuda" else device.type
    if canonical not in present():
        raise UsageError(
            f"--device {name}: this machine hasn't got it; it has {', '.join(reversed(present()))}"
        )
    return device


def present() -> list[str]:
    """Return the devices of this machine, the fastest first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def used_memory(device: torch.device) -> int:
    """Give the most bytes that this process has held so far: of the device's memory, or of the system's on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        import resource  # noqa: PLC0415  # Windows has none
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_memory(device: torch.device) -> int:
    """Return the bytes that a device has free; other devices than CUDA's share the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def dtype_for(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of numbers that a Config's `precision` means; raises UsageError if the device lacks it."""
    if precision == "float16" and not strengths(device).float16:
        raise UsageError("precision: float16 needs a GPU; write auto, float32 or bfloat16")
    if precision != "auto":
        return PRECISIONS[precision]
    return torch.bfloat16 if strengths(device).bfloat16 else torch.float32


def arithmetic(precision: str, device: torch.device) -> str:
    """Return the name of dtype_for's type, as in bfloat16 or tf32."""
    if precision == "tf32" and strengths(device).tf32:
        return precision
    return str(dtype_for(precision, device)).removeprefix("torch.")


def allow_tf32(precision: str, device: torch.device) -> None:
    """Let a GPU round what fp32 products multiply to TF32, or forbid it, for this process.

    torch allows it in convolutions unless it is set otherwise; here only precision: tf32 means it.
    """
    if strengths(device).tf32:
        is_wanted = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = is_wanted


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Keep TF32 out of a device's fp32 products within: those of coordinates, or those that choose something."""
    if not strengths(device).tf32:
        yield
        return
    switch = torch.backends.cuda.matmul
    before, switch.allow_tf32 = switch.allow_tf32, False
    try:
        yield
    finally:
        switch.allow_tf32 = before


def threads(device: torch.device) -> int | None:
    """Return the number of threads that a device's sums depend on, or None where they don't."""
    return torch.get_num_threads() if strengths(device).counts_threads else None


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() not in ("", "0", "false", "no", "off")


def _gpu_multiplies_bfloat16(device: torch.device) -> bool:
    if device.type != "cuda" or "cuda:0" not in present():
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _cpu_multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(supported())


def describe(device: torch.device) -> str:
    """Describe a device in words, for progress output and provenance."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
