"""Paint into a run folder and be killed amid it: python -m benchmarks.killed DEVICE FOLDER CONFIG"""

import os
import signal
import sys
from pathlib import Path

import yaml

from vqclip.base import determinism
from vqclip.base import device as devices
from vqclip.config import resolve as configs
from vqclip.pipeline import render
from vqclip.pipeline.events import Stepped
from vqclip.pipeline.pipeline import Pipeline
from vqclip.runs.run import Run


def main() -> None:
    name, folder, text = sys.argv[1:]
    device, config = devices.pick(name), configs.from_dict(yaml.safe_load(text))
    determinism.enter(device)
    render.SNAPSHOT_EVERY = 0.0  # after each step
    for event in render.render(config, Pipeline(config, device), Run.open(Path(folder), config, {})):
        if isinstance(event, Stepped) and event.done >= 0.6 * event.steps:
            os.kill(os.getpid(), signal.SIGKILL)  # as nothing that a program could hear ends it


if __name__ == "__main__":
    main()
