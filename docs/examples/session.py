"""Paint with one Session: two prompts, a third that is stopped by another thread and resumed, and a film."""

import threading
from pathlib import Path
from typing import Any

import vqclip


def main(folder: Path, target: Path, **settings: Any) -> None:
    """Keep the run folders in `folder` and write the video to `target`; `settings` are keys of a Config."""
    session, stop = vqclip.Session(device="cpu"), vqclip.StopToken()
    for prompt in ("a red apple", "a green pear"):
        vqclip.result(session.generate(prompt, runs=folder, **settings))
    for event in session.generate("a lemon", runs=folder, stop=stop, **settings):
        if isinstance(event, vqclip.events.Stepped):
            stopper = threading.Thread(target=stop.stop)
            stopper.start()
            stopper.join()
    assert isinstance(event, vqclip.events.Stopped), event
    lemon = vqclip.result(session.resume(event.result.folder or folder))
    sea = vqclip.result(
        session.generate("calm sea ^ rough sea", runs=folder, **settings | {"story": {"frames": 2}})
    )
    list(session.film(sea.folder or folder, target, fps=4))
    print(lemon.losses, target)


if __name__ == "__main__":
    main(Path("runs"), Path("sea.gif"))
