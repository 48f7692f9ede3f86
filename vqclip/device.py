"""Where the mathematics happens, and in which arithmetic."""

import ctypes
import sys

import torch

from vqclip.errors import UsageError

# glibc's mallopt: how much free memory at the heap's end goes back to the system, and how many blocks may lie outside
# the heap; each with its default.
_M_TRIM_THRESHOLD, _TRIM_AT = -1, 128 * 2**10
_M_MMAP_MAX, _MMAP_UP_TO = -4, 65536

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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


def keep_pages(keep: bool) -> None:
    """Let this process keep the memory that large tensors leave, for the next ones, or give it back as is usual.

    glibc gives blocks of megabytes back to the system at once and asks for them again, page by page: half of the
    time of an addition. A heap with holes is the price. Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0 if keep else _MMAP_UP_TO)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1 if keep else _TRIM_AT)


def dtype_for(precision: str, device: torch.device) -> torch.dtype:
    """The arithmetic that a Config's `precision` means on a device."""
    if precision != "auto":
        return PRECISIONS[precision]
    return torch.bfloat16 if _fast_in_bfloat16(device) else torch.float32


def arithmetic(precision: str, device: torch.device) -> str:
    """The name of dtype_for's arithmetic, as in bfloat16."""
    return str(dtype_for(precision, device)).removeprefix("torch.")


def _fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 matrices; emulation would be slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_multiplies_bfloat16()


def _cpu_multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(supported())


def describe(device: torch.device) -> str:
    """A device in words, for the conversation and the provenance."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
