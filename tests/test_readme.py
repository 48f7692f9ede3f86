"""Every command in the README and in the guide runs as it is written there, on tiny models and a few steps."""

import re
import shlex
import shutil
import tomllib
from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

import pytest
import torch
from conftest import Vqclip
from PIL import Image
from safetensors.torch import load_file
from tiny_transformers import net2net

from vqclip.media.video_writer import VideoWriter

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
LINKED = [*DOCUMENTS, *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
# What doesn't run as it is written: the option that is added, the exit code, and the reason.
EXCEPTIONS = {
    "generate 'a red apple' --init https": (["--offline"], 3, "it downloads"),
    "models pull": (["--offline"], 3, "it downloads; offline it still looks the names up"),
    "generate 'an owl' --upscale 4": (["--plan"], 0, "its model is not part of vqclip"),
    "generate 'a red apple' --set texts.image_prior": (["--plan"], 0, "it is for mini-clip-2 alone"),
    "generate 'a red apple' --preset pairs/classic": (["--plan"], 0, "its models are not part of vqclip"),
}
SEEING = ("classify", "search", "embed", "rank")
FILMS = ("story", "zoom", "restyle")
MAKING = ("generate", "vary", *FILMS)
SKETCHING = ("README",)  # the other documents' commands start from grey: a sketch takes a second


def commands(document: Path) -> list[list[str]]:
    """The arguments of each line in a block of shell that calls vqclip."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if re.match(r"(scripts/)?vqclip ", line)]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package of plugins, as an installer would put it there."""
    folder = tmp_path / "site"
    shutil.copytree(ROOT / "tests/plugins/vqclip_example", folder / "vqclip_example")
    info = folder / "vqclip_example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vqclip-example\nVersion: 1.0\n")
    project = tomllib.loads((ROOT / "tests/plugins/pyproject.toml").read_text())["project"]
    points = ConfigParser()
    points.read_dict(project["entry-points"])
    with (info / "entry_points.txt").open("w") as file:
        points.write(file)
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def files(tiny_vqgan: Path) -> None:
    """What the commands read, in the working folder."""
    Path("photos").mkdir()
    names = ("photo.jpg", "style.png", "apple.png", "mask.png", "logo.png", "photos/a.jpg", "photos/b.jpg")
    for name in names:
        Image.new("RGB", (20, 20), "teal").save(name)
    with VideoWriter(Path("holiday.mp4"), 16, 16, 2, {}, "") as video:
        for shade in range(12):
            video.write(Image.new("RGB", (16, 16), (20 * shade, 90, 90)))
    texts = {
        "prompts.txt": "an owl\n", "jobs.yaml": "jobs: [an owl]\n", "labels.txt": "an owl\na cat\n",
        "named.txt": "photo.jpg\ta cat\nstyle.png\tan owl\n",
    }  # fmt: skip
    for name, text in texts.items():
        Path(name).write_text(text)
    shutil.copy("photo.jpg", "photos")
    torch.save({"state_dict": load_file(tiny_vqgan)}, "last.ckpt")
    shutil.copy(tiny_vqgan.with_suffix(".yaml"), "last.yaml")
    net2net(Path("faceshq.ckpt"), "coordinates")


def test_there_are_commands() -> None:
    counts = {document.stem: len(commands(document)) for document in DOCUMENTS}
    assert counts["README"] > 8
    assert min(counts.values()) > 1


@pytest.mark.usefixtures("files", "plugins")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_run_in_their_order(
    document: Path, vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path
) -> None:
    models = ["--set", f"vqgan={tiny_vqgan}", "--set", f"perceptors=[{{model: {tiny_clip}}}]"]
    models += ["--set", "cutouts.count=6"]
    if document.stem != "transformers":  # whose commands say what they start from
        models += ["--set", f"start={'sketch' if document.stem in SKETCHING else 'grey'}"]
    for words in commands(document):
        exceptions = [found for start, found in EXCEPTIONS.items() if shlex.join(words).startswith(start)]
        more, code, _ = exceptions[0] if exceptions else (small(words), 0, "")
        if words[0] in SEEING:
            more = ["--model", str(tiny_clip)]
        before = models if words[0] in ("batch", *MAKING) and not exceptions else []
        if {"--drawer", "--pixels"} & set(words):
            before = before[2:]  # a VQGAN would be another drawer
        provide_run(words)
        done = vqclip(words[0], *before, *words[1:], *more)
        assert done.code == code, f"{shlex.join(words)}\n{done.err}"


def small(words: Sequence[str]) -> list[str]:
    """Options for a small image of the same shape, and few steps."""
    if words[0] == "batch":
        return ["--set", "steps=2", "--set", "size=16x16"]
    if words[0] not in MAKING:
        return []
    size = words[words.index("--size") + 1] if "--size" in words else "256x256"
    sides = size.split("x") if size[0].isdigit() else ["256", "256"]
    options = ["--steps", "2"]
    if "prior" in words:  # each sample takes a second
        options += ["--set", "start.candidates=1"]
    if "--extend" not in words:  # which makes room for the whole init image
        options += ["--size", "x".join(str(int(side) // 16) for side in sides)]
    if words[0] in FILMS:
        options += ["--frame-steps", "1", "--set", "film.overlap=2"]
    return options + (["--frames", "3"] if words[0] in ("story", "zoom") else [])


def provide_run(words: Sequence[str]) -> None:
    """Give a run that a command names the folder of one that was made before."""
    if words[0] in ("film", "resume") and not Path(words[1]).exists():
        runs = Path("runs").glob("*/frames" if words[0] == "film" else "*/config.yaml")
        shutil.copytree(next(runs).parent, words[1])


@pytest.mark.parametrize("start", EXCEPTIONS)
def test_exceptions_are_needed(start: str) -> None:
    assert any(shlex.join(words).startswith(start) for document in DOCUMENTS for words in commands(document))


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", LINKED, ids=lambda path: path.stem)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file that exists, and a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_library_example_runs(tiny_vqgan: Path, tiny_clip: Path) -> None:
    import vqclip  # noqa: PLC0415

    models = {"vqgan": str(tiny_vqgan), "perceptors": [{"model": str(tiny_clip)}]}
    painting = vqclip.generate("a red apple", seed=7, size="16x16", steps=2, **models)
    assert painting.image.size == (16, 16)
    assert not list(Path.cwd().iterdir()), "a library call writes nothing unless asked to"
