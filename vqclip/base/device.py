"""Where the mathematics happens, in which arithmetic, and what the device there is good at."""

from dataclasses import dataclass

import torch

from vqclip.base.errors import UsageError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """What a device is good at. Whatever is computed one way here and another way there asks this, not for the device.

    Of `crops` and `numbers` a CPU's are measured, others' are chosen: a GPU is to be kept busy.
    """

    own_kernels: (
        bool  # the kernels that models.cpu_kernels picked by hand; elsewhere torch's public functions
    )
    bfloat16: bool  # multiplies bf16 matrices; emulation would be slower than fp32
    keeps_pages: bool  # its memory is this process's heap, which can keep the pages of large tensors
    counts_threads: bool  # shares sums among torch's threads, so that pictures depend on their number
    crops: int  # how many one perceptor looks at together
    numbers: int  # in the decoder's largest tensor, of all pictures that are fastest as one batch


def strengths(device: torch.device) -> Strengths:
    """What a device is good at: the only place that asks which kind it is."""
    if device.type == "cpu":
        return Strengths(
            own_kernels=True, bfloat16=_cpu_multiplies_bfloat16(), keeps_pages=True, counts_threads=True,
            crops=16, numbers=2**23,
        )  # fmt: skip
    return Strengths(
        own_kernels=False, bfloat16=_gpu_multiplies_bfloat16(device), keeps_pages=False, counts_threads=False,
        crops=64, numbers=2**26,
    )  # fmt: skip


def pick(name: str = "auto") -> torch.device:
    """The device of a name (auto, cpu, cuda, cuda:1, mps); raises UsageError if this machine hasn't got it."""
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
    """The devices of this machine, the fastest first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*cuda, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def dtype_for(precision: str, device: torch.device) -> torch.dtype:
    """The arithmetic that a Config's `precision` means on a device."""
    if precision != "auto":
        return PRECISIONS[precision]
    return torch.bfloat16 if strengths(device).bfloat16 else torch.float32


def arithmetic(precision: str, device: torch.device) -> str:
    """The name of dtype_for's arithmetic, as in bfloat16."""
    return str(dtype_for(precision, device)).removeprefix("torch.")


def threads(device: torch.device) -> int | None:
    """How many threads a device's sums are shared among, and so depend on; None where they don't."""
    return torch.get_num_threads() if strengths(device).counts_threads else None


def _gpu_multiplies_bfloat16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def _cpu_multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(supported())


def describe(device: torch.device) -> str:
    """A device in words, for the conversation and the provenance."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
