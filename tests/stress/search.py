"""Index many images, kill the indexer, and index twice at once: python tests/stress/search.py [--images 10000]

It prints how fast one thread embeds images, the memory that this takes, and how long a second call takes. Then it
disturbs the indexing of fewer images. Every index that was disturbed must have the same images as an undisturbed one,
with embeddings that differ by 1e-5 at most.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from vqclip.retrieval.batches import BATCH
from vqclip.retrieval.chosen import chosen_perceptors
from vqclip.retrieval.index import Index
from vqclip.retrieval.records import Match, Progress, Waiting
from vqclip.retrieval.scan import scan
from vqclip.retrieval.update import FLUSH, index_folder
from vqclip.session import Session

QUERY = "a red circle"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--disturbed", type=int, default=2_000, help="images of the disturbed indices")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--model", default="mini-clip-2")
    given = parser.parse_args()
    torch.set_num_threads(1)
    session = Session("cpu", threads=1)
    list(session.retrieval.embed(texts=[QUERY], model=given.model))  # loads the model, for all children
    with tempfile.TemporaryDirectory() as place:
        measure(session, given.model, Path(place), given.images)
    with tempfile.TemporaryDirectory() as place:
        disturb(session, given.model, Path(place), given.disturbed, given.kills)


def measure(session: Session, model: str, place: Path, images: int) -> None:
    """Index a folder, search it again, and again after changes."""
    folder = make_images(place / "images", images)
    use_cache(place / "cache")
    first = child(lambda: searched(session, folder, model))
    expect(first["read"] == images, "the first call reads every image")
    speeds = " and ".join(f"{images / first[of]:.0f} a second {of}" for of in ("of the clock", "of one core"))
    say(f"{images} images indexed: {speeds}")
    say(f"memory: {first['memory']} MiB at most, of which {first['before']} MiB before")
    second = child(lambda: searched(session, folder, model))
    expect(second["read"] == 0 and second["found"] == first["found"], "the second call reads no image")
    say(f"second call: {second['of the clock']:.2f} s, {second['of one core']:.2f} s of one core")
    clock, core = command(folder, model)
    say(f"second call as a command of its own: {clock:.2f} s, {core:.2f} s of one core")
    change(folder)
    third = child(lambda: searched(session, folder, model))
    expect(third["read"] == 2, "a call after two changes reads two images")
    say(f"call after two changes and a deletion: {third['of the clock']:.2f} s, 2 images read")


def disturb(session: Session, model: str, place: Path, images: int, kills: int) -> None:
    """Kill an indexer at random moments, and let two index the same folder at once."""
    folder = make_images(place / "images", images)
    use_cache(place / "whole")
    first = child(lambda: searched(session, folder, model))
    whole = rows_of(folder, model)

    use_cache(place / "killed")
    chance, read = random.Random(0), 0
    for _ in range(kills):
        read += killed(
            lambda: searched(session, folder, model),
            chance.uniform(0.1, 1.5) * first["of the clock"] * 2 / kills,
        )
    last = child(lambda: searched(session, folder, model))
    expect(same(whole, rows_of(folder, model)), "the index of a killed indexer is the same in the end")
    kept = images - last["read"]
    expect(read - kept <= kills * (FLUSH + BATCH), "a kill loses no more than what was not yet written")
    expect(last["found"] == first["found"], "it finds the same")
    say(f"{kills} kills: of {read} images that were read, {read - kept} had to be read again")

    use_cache(place / "two")
    both = [begin(lambda: searched(session, folder, model)) for _ in range(2)]
    ended = [end(*one) for one in both]
    expect(same(whole, rows_of(folder, model)), "the index of two indexers at once is the same")
    expect(all(one["found"] == first["found"] for one in ended), "two at once find the same")
    expect(sum(one["read"] for one in ended) == images, "two at once read each image once")
    say(f"two at once: {images} images read, {sum(one['waited'] for one in ended)} of them waited")


def make_images(folder: Path, count: int) -> Path:
    """Draw a shape in a colour on a colour, each image in one of a hundred folders; give the folder."""
    chance = random.Random(1)
    for i in range(count):
        image = Image.new("RGB", (64, 64), tuple(chance.randrange(256) for _ in range(3)))
        box = sorted(chance.sample(range(64), 2)) * 2
        draw = ImageDraw.Draw(image)
        shape = chance.choice((draw.ellipse, draw.rectangle))
        shape((box[0], box[0], box[1], box[1]), fill=tuple(chance.randrange(256) for _ in range(3)))
        path = folder / f"{i % 100:02d}" / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def change(folder: Path) -> None:
    """Paint one image over, add one, and delete one."""
    first, second, *_ = sorted(folder.rglob("*.jpg"))
    Image.new("RGB", (64, 64), "red").save(first)
    Image.new("RGB", (64, 64), "blue").save(folder / "new.png")
    second.unlink()


def searched(session: Session, folder: Path, model: str) -> dict[str, Any]:
    """Search, and say what was found, how many images were read, and what it took."""
    read, waited, found = 0, 0, list[str]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    began, used = time.monotonic(), time.process_time()
    for record in session.retrieval.search(folder, QUERY, model=model):
        match record:
            case Progress(done=done):
                read = done
                tell(read)
            case Waiting():
                waited += 1
            case Match(path=path):
                found.append(path.name)
    return {
        "read": read,
        "waited": waited,
        "found": found,
        "before": before,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "of the clock": time.monotonic() - began,
        "of one core": time.process_time() - used,
    }


PIPE: list[int] = []  # a child's way to its parent


def tell(value: Any) -> None:
    if PIPE:
        os.write(PIPE[0], json.dumps(value).encode() + b"\n")


def begin(work: Callable[[], Any]) -> tuple[int, int]:
    """Start a child that does the work and writes its result; give its number and the pipe to read from."""
    reading, writing = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(reading)
        PIPE[:] = [writing]
        try:
            tell(work())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    return number, reading


def end(number: int, reading: int) -> Any:
    """Wait for a child, and give the last line that it wrote."""
    with os.fdopen(reading) as pipe:
        lines = pipe.read().split("\n")
    os.waitpid(number, 0)
    return json.loads(lines[-2]) if len(lines) > 1 else 0  # what follows the last line end was cut by a kill


def child(work: Callable[[], Any]) -> Any:
    return end(*begin(work))


def killed(work: Callable[[], Any], seconds: float) -> int:
    """Kill a child after so many seconds, and say how many images it had read."""
    number, reading = begin(work)
    time.sleep(seconds)
    os.kill(number, signal.SIGKILL)
    ended = end(number, reading)
    return int(ended["read"] if isinstance(ended, dict) else ended)


def command(folder: Path, model: str) -> tuple[float, float]:
    """Search by `vqclip search`, and give its seconds of the clock and of a core, the start of Python included."""
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["search", str(folder), QUERY, "--model", model, "--quiet"]
    subprocess.run([sys.executable, "-m", "vqclip", *words], check=True, stdout=subprocess.DEVNULL)
    clock, ended = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime


def use_cache(folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)


def rows_of(folder: Path, model: str) -> dict[str, np.ndarray]:
    """Read an index: the embedding of each image. Nothing else may lie beside its segments."""
    where, _ = index_folder(folder, chosen_perceptors([model])[0])
    names = {path.name for path in where.iterdir() if path.suffix not in (".npy", ".json")}
    expect(names <= {"lock"}, f"no file is left over: {names}")
    index = Index(where)
    index.load()
    files, _ = scan(folder)
    return {
        one.segment.names[row]: np.array(one.segment.vectors[row])
        for one in index.live(files)
        for row in one.rows
    }


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    if set(one) != set(other):
        return False
    most = max(float(np.abs(one[name] - other[name]).max()) for name in one)
    say(f"largest difference of two embeddings of an image: {most:.1e}")
    return most <= 1e-5


def expect(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"failed: {what}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
