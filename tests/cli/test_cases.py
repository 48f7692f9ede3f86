"""Every file in tests/cases has the right outcome: what is meant is read, what is wrong is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Tiny, Vqclip

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.jobs import batch
from vqclip.media.image import load_image
from vqclip.media.video_reader import VideoReader

CASES = Path(__file__).parents[1] / "cases"

# What each job of a file is: a tuple of its prompt and, where it says one, its seed; or a part of its fault.
JOBS: dict[str, list[Any]] = {
    "types.jsonl": [
        ("5",), "line 2: prompt: {'a': 1} is no text", "line 3: there is no preset '5'", "line 4: --set '5' is no KEY",
        ("a red apple", 1),
    ],
    "types.yaml": [("1984",), ("dune",)],
    "types2.yaml": [("yes",), ("a cat",)],
    "surr.jsonl": ["line 1: prompts[0]: 'a \\ud800 apple' is no text in UTF-8", ("a red apple", 1)],
    "semi.csv": [("a red apple", 1)],
    "cap.csv": [("a red apple", 1)],
    "arr.json": [("a red apple",)],
    "bools.yaml": [
        (f"{word} apple",)
        for word in ("yes", "no", "on", "off", "null", "1.0", "1e-3", "012", "2024-01-01", "12:30")
    ],
    "colonjob.yaml": ["job 1: there is no prompt", ("yes",), ("42",), "job 4: null is no job", ("a red apple",)],
    "u2028.jsonl": [("a red\u2028apple", 1), ("caf\x85e", 1)],
    "separators.txt": [("a red\u2028apple",), ("a cat",)],
}  # fmt: skip
REFUSED = {
    "unclosed.csv": "line 2: a quote opens here, and isn't closed",
    "nohdr.csv": "its columns are 'a red apple', '1', and none is prompt",
    "dupkey.yaml": "line 1: the key 'seed' stands in line 1 already",
}
CONFIGS: dict[str, Any] = {
    "cfg_oct.yaml": ("seed", 10),
    "cfg_prompt.yaml": ("prompts", ["a red apple"]),
    "cfg_sexa.yaml": "seed: '1:30' is no whole number",
}


def near(colour: tuple[float, ...], at: tuple[int, int]) -> Callable[[torch.Tensor], bool]:
    """Whether a picture has a colour at a row and column."""
    return lambda image: torch.allclose(image[0, :, at[0], at[1]], torch.tensor(colour), atol=0.02)


PICTURES: dict[str, Callable[[torch.Tensor], bool]] = {
    "float01.tif": lambda image: 0.29 < float(image.min()) < float(image.max()) < 0.54,
    "int32.tif": lambda image: 0.29 < float(image.min()) < float(image.max()) < 0.54,
    "nan.tif": lambda image: float(image.min()) == 0 and int((image == 0).sum()) == 3 * 100,
    "prophoto.png": near((0.15, 0.78, 0.24), (50, 50)),  # the photo's own colours, as exif6.jpg has them
    "exif6.jpg": lambda image: image.shape[2:] == (200, 320),
    "palette_trns.png": lambda image: float(image.max()) == 1 and image.shape[2:] == (200, 320),
}
VIDEOS: dict[str, Callable[[torch.Tensor], bool]] = {
    "sar.mp4": lambda image: image.shape[2:] == (64, 192),
    "pq-white.mp4": lambda image: float(image.min()) > 0.95,
    "alpha-moving.webp": lambda image: float(image.mean()) > 0.8,
}


def test_every_case_has_an_outcome() -> None:
    known = {*JOBS, *REFUSED, *CONFIGS, *PICTURES, *VIDEOS, "README.md", "settings"}
    assert {path.name for path in CASES.iterdir()} == known


@pytest.mark.parametrize("name", JOBS)
def test_jobs_are_what_they_say(name: str) -> None:
    tasks = batch.plan(CASES / name, Path("runs"))
    assert len(tasks) == len(JOBS[name])
    for task, expected in zip(tasks, JOBS[name], strict=True):
        if isinstance(expected, str):
            assert f"{task.entry.position}: {task.error}".startswith(expected)
            continue
        assert task.job
        assert [prompt.label for prompt in task.job.config.parsed_prompts] == [expected[0]]
        assert task.job.config.seed in (expected[1:] or [task.job.config.seed])


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_could_mean_several_things_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        batch.plan(CASES / name, Path("runs"))
    assert str(caught.value).startswith(f"{CASES / name}: {REFUSED[name]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_are_yaml_1_2(name: str) -> None:
    expected = CONFIGS[name]
    if isinstance(expected, str):
        with pytest.raises(ConfigError) as caught:
            configs.resolve(file=CASES / name)
        assert str(caught.value).startswith(expected)
    else:
        assert getattr(configs.resolve(file=CASES / name), expected[0]) == expected[1]


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_look_as_they_should(name: str) -> None:
    assert PICTURES[name](load_image(CASES / name))


@pytest.mark.parametrize("name", VIDEOS)
def test_videos_look_as_they_should(name: str) -> None:
    assert VIDEOS[name](next(VideoReader(CASES / name).frames()))


@pytest.mark.parametrize(("name", "done"), [("types.jsonl", 2), ("surr.jsonl", 1), ("u2028.jsonl", 2)])
def test_a_bad_line_costs_no_other_its_picture(vqclip: Vqclip, tiny: Tiny, name: str, done: int) -> None:
    """The command itself: what is wrong is named before anything is painted, and the manifest has a line a job."""
    values = configs.to_dict(tiny(steps=1))
    del values["prompts"], values["seed"]
    Path("tiny.yaml").write_text(yaml.safe_dump(values))
    shutil.copy(CASES / name, name)
    found = vqclip(
        "batch", name, "--json", "-c", "tiny.yaml", "--devices", "cpu", "--workers", "1", "--threads", "1"
    )
    assert "unexpected" not in found.err
    lines = [json.loads(line) for line in found.lines]
    assert [line["status"] for line in lines].count("done") == done
    manifest = (Path("runs") / Path(name).stem / "manifest.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["index"] for line in manifest.splitlines()] == list(range(1, len(lines) + 1))
    assert found.code == (1 if done < len(lines) else 0)
