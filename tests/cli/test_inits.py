"""--init takes a file, a pattern and an address."""

import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Vqclip
from PIL import Image

from vqclip.base.errors import UsageError, WeightsError
from vqclip.cli.inits import fetched, files_of

FAST = (
    "--steps",
    1,
    "--size",
    "16x16",
    "--set",
    "cutouts.count=1",
    "--set",
    "start=noise",
    "-q",
    "--device",
    "cpu",
)


def write_images(*names: str) -> None:
    for name in names:
        Image.new("RGB", (16, 16)).save(name)


@pytest.mark.usefixtures("device")
def test_a_pattern_makes_an_image_of_each_match(vqclip: Vqclip) -> None:
    write_images("b.png", "a.png", "a.jpg")
    done = vqclip("generate", "an owl", "--init", "*.png", "-o", "out-{stem}.png", *FAST)
    assert done.code == 0, done.err
    assert done.lines == ["out-a.png", "out-b.png"]


def test_several_images_need_names_of_their_own(vqclip: Vqclip) -> None:
    write_images("a.png", "b.png")
    done = vqclip("generate", "an owl", "--init", "*.png", "-o", "out.png", *FAST)
    assert done.code == 2
    assert "--init names 2 images, and -o one; write {stem} into it" in done.err


def test_a_pattern_must_match() -> None:
    with pytest.raises(UsageError, match="no file matches this pattern"):
        files_of("*.png", pull=False)


def test_a_file_whose_name_looks_like_a_pattern_is_itself() -> None:
    write_images("a[1].png", "a1.png")
    assert files_of("a[1].png", pull=False) == ["a[1].png"]
    assert files_of("gone.png", pull=False) == ["gone.png"]


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that has cat.png, and page.png, which is none."""
    data = io.BytesIO()
    Image.new("RGB", (16, 16)).save(data, format="PNG")
    files = {"/cat.png": data.getvalue(), "/page.png": b"nothing"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_fetched_once_and_only_with_pull(address: str) -> None:
    with pytest.raises(UsageError, match="add --pull to download it"):
        fetched(f"{address}/cat.png", pull=False)
    path = fetched(f"{address}/cat.png", pull=True)
    with Image.open(path) as image:
        assert image.size == (16, 16)
    assert fetched(f"{address}/cat.png", pull=False) == path


def test_what_is_no_image_leaves_no_file(address: str) -> None:
    with pytest.raises(UsageError, match="what lies there is no image"):
        fetched(f"{address}/page.png", pull=True)
    assert not [path for path in Path().rglob("*page*") if path.is_file()]


def test_what_is_too_large_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqclip.cli.inits.LARGEST", 10)
    with pytest.raises(WeightsError, match="it sends more than"):
        fetched(f"{address}/cat.png", pull=True)


@pytest.mark.parametrize("command", ["story", "zoom", "vary"])
def test_other_commands_take_a_pattern_that_means_one_image(command: str, vqclip: Vqclip) -> None:
    write_images("only.png")
    words = [command, "only.png" if command == "vary" else "an owl", "--plan", "--init"]
    assert vqclip(*words, "onl?.png").code == 0
    write_images("onlx.png")
    done = vqclip(*words, "onl?.png")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "names 2 images, and this command starts from one" in done.err
    assert "--pull" in vqclip(*words, "https://example.com/a.png").err
