"""A pull ends in the right file or in one clear line, whatever the server does, and nothing broken is left."""

import hashlib
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from vqclip.base.errors import WeightsError
from vqclip.weights import download
from vqclip.weights.download import Download

CONTENT = random.Random(0).randbytes(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()
LOGIN = b"<!DOCTYPE html><title>Please log in</title>" + b" " * 5000


class Server(BaseHTTPRequestHandler):
    """Answers as its path says, and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str | None]]] = []
    headers_seen: ClassVar[list[dict[str, str]]] = []

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        kind = self.path.strip("/").partition("/")[0]
        times = sum(path == self.path for path, _ in self.asked)
        self.asked.append((self.path, self.headers.get("Range")))
        self.headers_seen.append(dict(self.headers))
        getattr(self, kind.replace("-", "_"))(times)

    def send(
        self,
        body: bytes,
        status: int = 200,
        length: int | None = None,
        kind: str = "binary/octet-stream",
        **headers: str,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def wanted(self, body: bytes = CONTENT, cut: int | None = None) -> None:
        """The part that was asked for, or the first `cut` bytes of it under the length of all."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(match[1]) if match else 0
        if match and begin >= len(body):
            return self.send(b"", 416)
        part, headers = body[begin:], {"ETag": '"v1"'}
        if match:
            headers["Content_Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        return self.send(part[:cut], 206 if match else 200, length=len(part), **headers)

    def good(self, _: int) -> None:
        self.wanted()

    def cuts_off(self, _: int) -> None:
        self.wanted(cut=100_000)

    def forgets_range(self, times: int) -> None:
        self.send(CONTENT[: 100_000 if times == 0 else None], length=len(CONTENT))

    def starts_elsewhere(self, times: int) -> None:
        if times != 1:
            return self.wanted(cut=50_000 if times == 0 else None)
        return self.send(CONTENT[10:], 206, Content_Range=f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}")

    def never_more_than_half(self, _: int) -> None:
        self.send(CONTENT[:150_000], length=len(CONTENT))

    def slow(self, _: int) -> None:
        self.send(CONTENT[:1000], length=len(CONTENT))
        for i in range(1000, len(CONTENT), 60_000):
            time.sleep(0.02)
            self.wfile.write(CONTENT[i : i + 60_000])

    def claims_less(self, _: int) -> None:
        self.send(CONTENT, length=1000)

    def claims_more(self, _: int) -> None:
        self.send(CONTENT, length=len(CONTENT) + 5000)

    def endless(self, _: int) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            self.wfile.write(CONTENT)

    def another_file(self, _: int) -> None:
        self.send(CONTENT[::-1])

    def login(self, _: int) -> None:
        self.send(LOGIN, kind="text/html; charset=utf-8")

    def disguised_login(self, _: int) -> None:
        self.send((b"\n " + LOGIN).ljust(len(CONTENT)))

    def status(self, _: int) -> None:
        code = int(self.path.rsplit("/", 1)[1])
        self.send(b"no", code, **({"Retry_After": "1"} if code == 429 else {}))

    def busy_at_first(self, times: int) -> None:
        return self.send(b"", 503) if times < 2 else self.wanted()

    def changes(self, times: int) -> None:
        """Another version from the second request on; without the condition it would be glued to the first."""
        body = CONTENT if times == 0 else CONTENT[::-1]
        if times and self.headers.get("If-Range") == '"v1"':
            return self.send(body, ETag='"v2"')
        return self.wanted(body, cut=100_000 if times == 0 else None)


@pytest.fixture
def server() -> Iterator[str]:
    Server.asked, Server.headers_seen = [], []
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    listener.server_close()


Fetch = Callable[..., Path]


@pytest.fixture
def fetch(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    monkeypatch.setattr(download, "CHUNK", 10_000)

    def call(*paths: str, **known: Any) -> Path:
        known = {"bytes": len(CONTENT), "sha256": SHA, "pause": 0.0} | known
        return Download(
            name="big", urls=[f"{server}/{path}" for path in paths], target=tmp_path / "big.ckpt", **known
        ).fetch()

    return call


@pytest.mark.parametrize(
    "path", ["good", "cuts-off", "forgets-range", "starts-elsewhere", "slow", "busy-at-first"]
)
@pytest.mark.parametrize("known", [{}, {"bytes": None}], ids=["size known", "size unknown"])
def test_a_server_with_moods_still_gives_the_right_file(
    fetch: Fetch, path: str, known: dict[str, Any]
) -> None:
    target = fetch(path, **known)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("path", "fragment"),
    [
        ("never-more-than-half", "the connection broke off"),
        ("claims-less", "has a file of 1 kB, and 300 kB are expected"),
        ("claims-more", "has a file of 305 kB, and 300 kB are expected"),
        ("endless", "sends more than 300 kB"),
        ("another-file", "has another file: sha256"),
        ("login", "answers with a web page instead of the file"),
        ("disguised-login", "answers with a web page instead of the file"),
        ("status/404", "answers 404"),
        ("status/410", "answers 410"),
        ("status/403", "answers 403: it requires a login"),
        ("status/429", "answers 429"),
        ("status/500", "answers 500"),
    ],
)
def test_a_server_without_the_file_ends_in_one_line(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, fragment: str
) -> None:
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with pytest.raises(WeightsError) as caught:
        fetch(path)
    assert fragment in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "big.ckpt").exists()


def test_addresses_are_tried_in_turn_and_continue_each_other(fetch: Fetch) -> None:
    """A 404, a login page, half a file, then the rest from elsewhere."""
    assert fetch("status/404", "login", "never-more-than-half", "good").read_bytes() == CONTENT
    assert Server.asked[-1] == ("/good", "bytes=150000-")


def test_a_beginning_of_another_file_is_thrown_away_once(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "big.ckpt.part").write_bytes(b"x" * 1000)
    assert fetch("good").read_bytes() == CONTENT
    assert [common for _, common in Server.asked] == ["bytes=1000-", None]


def test_all_addresses_answers_are_told(fetch: Fetch) -> None:
    with pytest.raises(WeightsError, match=r"answers 404.*; .*web page"):
        fetch("status/404", "login")


def test_without_a_digest_a_part_is_continued_only_in_its_own_version(fetch: Fetch) -> None:
    assert fetch("cuts-off", sha256="").read_bytes() == CONTENT
    assert Server.headers_seen[-1]["If-Range"] == '"v1"'
    assert fetch("changes", sha256="", bytes=None).read_bytes() == CONTENT[::-1]


def test_without_a_digest_the_part_of_one_address_is_not_continued_from_another(fetch: Fetch) -> None:
    assert fetch("never-more-than-half", "good", sha256="").read_bytes() == CONTENT
    assert Server.asked[-1] == ("/good", None)


def test_a_wait_that_the_server_asks_for_is_kept(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    with pytest.raises(WeightsError):
        fetch("status/429")
    assert waited == [1.0, 1.0, 1.0]


def test_no_server_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="127.0.0.1: it can't be reached") as caught:  # noqa: RUF043
        Download(name="a", urls=["http://127.0.0.1:1/a"], target=tmp_path / "a", pause=0).fetch()
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_said_before_anything_is_written(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WeightsError, match="needs 300 kB on the disk"):
        fetch("good")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["VQCLIP_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(fetch: Fetch, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsError, match="forbids the download"):
        fetch("good")
    assert Server.asked == []


def test_progress_tells_how_much_of_how_much(fetch: Fetch) -> None:
    told: list[tuple[int, int | None]] = []
    fetch("cuts-off", progress=lambda here, whole: told.append((here, whole)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [here for here, _ in told] == sorted(here for here, _ in told)


def test_the_hubs_token_goes_to_the_hub_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub = "https://huggingface.co/a/b/resolve/main/c"
    assert download._authorization(hub) == {"Authorization": "Bearer secret"}
    for url in (
        "http://huggingface.co/a",
        "https://huggingface.co.evil.org/a",
        "https://example.org/huggingface.co",
    ):
        assert download._authorization(url) == {}


def test_a_kill_in_the_middle_continues(server: str, tmp_path: Path) -> None:
    """Killed outright after some of it came, the next pull asks for the rest and ends in the right file."""
    code = f"""
import os, signal
from pathlib import Path
from vqclip.weights import download
download.CHUNK = 1000
def stop(here, whole):
    if here > 120_000:
        os.kill(os.getpid(), signal.SIGKILL)
target = Path({str(tmp_path / "big")!r})
download.Download(name="big", urls=["{server}/good"], target=target, sha256="{SHA}", progress=stop).fetch()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    part = (tmp_path / "big.part").stat().st_size
    assert 0 < part < len(CONTENT)
    target = Download(name="big", urls=[f"{server}/good"], target=tmp_path / "big", sha256=SHA).fetch()
    assert target.read_bytes() == CONTENT
    assert Server.asked[-1] == ("/good", f"bytes={part}-")
