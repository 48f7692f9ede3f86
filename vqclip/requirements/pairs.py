"""Choose the preset of larger models that fits a machine, and weigh its download."""

import torch

from vqclip.base import device as devices
from vqclip.config import resolve as configs
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing, weighed
from vqclip.weights.catalog import human

# Presets, the richest first: what they take at 256x256 in float32, by guidance.memory_estimate, in bytes, and whether
# a CPU is too slow for them.
PAIRS = (("pairs/rich", 17e9, True), ("pairs/classic", 5e9, True), ("pairs/light", 5e9, False))


def fitting(device: torch.device) -> str | None:
    """Name the richest preset of PAIRS that a device has memory and speed for, if any."""
    free, is_cpu = devices.free_memory(device), devices.strengths(device).host
    return next((name for name, takes, slow in PAIRS if free >= takes and not (slow and is_cpu)), None)


def suggestion(device: torch.device) -> str:
    """Say in one line which preset fits a device, and what has to be fetched for it."""
    machine = f"{devices.describe(device)}, {human(devices.free_memory(device))} free"
    if (name := fitting(device)) is None:
        return f"{machine}: too little for larger models; without --preset and --set, the models that ship are used"
    return f"{machine}: --preset {name} fits; {weighed(missing(requirements(configs.resolve(preset=name))))}"
