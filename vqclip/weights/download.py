"""Download one large file, whole and verified or not at all. A download that was stopped continues.

The digest of most files is known, and several servers have copies. Any copy may continue what another one began, since
the digest is checked at the end. The hub's own library keeps every original, and downloads from no other
address. It is used where open_clip needs a whole repository (see clip.py).
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from vqclip.base.errors import WeightsError, cause
from vqclip.base.paths import offline
from vqclip.weights.catalog import human

CHUNK = 2**16  # bytes; of the last one before a break nothing stays
TIMEOUT = (15, 60)  # seconds: to connect, and of silence
MARGIN = 2**28  # bytes of disk to leave free
LARGEST = 20 * 10**9  # bytes of a file of which nobody says how large it is
_AGAIN = {408, 425, 429, 500, 502, 503, 504}

Progress = Callable[[int, int | None], None]  # bytes that are here, and of how many if that is known


class _FetchError(Exception):
    """An address failed. `worth_retrying` if it might succeed the next time."""

    def __init__(self, why: str, worth_retrying: bool = False, wait: float = 0.0):
        super().__init__(why)
        self.worth_retrying, self.wait = worth_retrying, wait


@dataclass(frozen=True)
class Download:
    """A file to download, and what is known about it."""

    name: str
    urls: Sequence[str]
    target: Path
    bytes: int | None = None
    sha256: str = ""
    attempts: int = 4  # at each address, those that brought something on not counted
    pause: float = 1.0  # seconds before the second attempt; doubled for each further one
    largest: int = LARGEST  # bytes that are accepted where `bytes` isn't known
    progress: Progress = field(default=lambda here, whole: None)

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def tag(self) -> Path:
        """The origin of a part for which no digest is known: the address and the server's version tag."""
        return self.target.with_name(self.target.name + ".tag")

    def fetch(self) -> Path:
        """Download and verify the file. Raises WeightsError, which says what each address answered.

        What an interrupted attempt has downloaded stays in `<file>.part` for the next one.
        """
        if offline():
            raise WeightsError(
                f"{self.name} isn't on this machine, and VQCLIP_OFFLINE or --offline forbids the download"
            )
        whys: list[str] = []
        for url in self.urls:
            try:
                self._from(url)
                return self.target
            except _FetchError as error:
                whys.append(f"{urlsplit(url).hostname}: {error}")
            except OSError as error:
                raise WeightsError(f"{self.name}: {self.part} can't be written: {cause(error)}") from None
        raise WeightsError(f"{self.name} couldn't be downloaded ({'; '.join(whys) or 'no address is known'})")

    def _from(self, url: str) -> None:
        """Download from one address, and retry while that may help."""
        failures, furthest = 0, self._here()
        while True:
            try:
                return self._accept(*self._stream(url))
            except _FetchError as error:
                failures = 0 if self._here() > furthest else failures + 1
                furthest = max(furthest, self._here())
                if not error.worth_retrying or failures >= self.attempts:
                    raise
                time.sleep(max(self.pause * 2 ** max(0, failures - 1), error.wait))

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _stream(self, url: str) -> tuple[int, str]:
        """Append to the part what it lacks. Return how much was here before, and the digest of the whole."""
        begin = self._here() if self._continues(url) else 0
        if self.bytes is not None and begin >= self.bytes:
            if begin == self.bytes:
                return begin, self._hash_part(begin).hexdigest()
            begin = 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "vqclip", **_authorization(url)}
        if begin:
            headers["Range"] = f"bytes={begin}-"
            if not self.sha256:  # the server sends all of it anew if it has another version by now
                headers["If-Range"] = self.tag.read_text(encoding="utf-8").splitlines()[1]
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                begin = self._check(response, url, begin)
                return begin, self._write(response, begin)
        except requests.RequestException as error:
            raise _FetchError(_plain(error), worth_retrying=True) from None

    def _check(self, response: requests.Response, url: str, begin: int) -> int:
        """Return the position of the answer's content in the file. Raises _FetchError if it isn't the file's."""
        status = response.status_code
        if status == 416:  # nothing lies beyond what is here: it is the whole, or too much
            self.part.unlink(missing_ok=True)
            raise _FetchError(
                "it has no more data than this machine, whose part is wrong", worth_retrying=True
            )
        if status in _AGAIN:
            raise _FetchError(f"it answers {status}", worth_retrying=True, wait=_retry_after(response))
        if status in (401, 403):
            raise _FetchError(f"it answers {status}: it requires a login" + _token_hint(url))
        if status not in (200, 206):
            raise _FetchError(f"it answers {status}")
        if "text/html" in response.headers.get("Content-Type", ""):
            raise _FetchError("it answers with a web page instead of the file")
        if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
            self.part.unlink(missing_ok=True)
            raise _FetchError("it continues at another position than requested", worth_retrying=True)
        begin = begin if status == 206 else 0  # 200: it forgot the range, and begins anew
        length = response.headers.get("Content-Length", "")
        if length.isdigit():
            self._check_length(begin + int(length), begin)
        if begin == 0:
            self._claim(url, response)
        return begin

    def _check_length(self, whole: int, begin: int) -> None:
        if self.bytes is not None and whole != self.bytes:
            raise _FetchError(f"it has a file of {human(whole)}, and {human(self.bytes)} are expected")
        free = shutil.disk_usage(self.part.parent).free
        if whole - begin + MARGIN > free:
            raise WeightsError(f"{self.name} needs {human(whole - begin)} on the disk of {self.part.parent}, "
                               f"and {human(free)} are free")  # fmt: skip

    def _write(self, response: requests.Response, begin: int) -> str:
        length = response.headers.get("Content-Length", "")
        whole = self.bytes or (begin + int(length) if length.isdigit() else None)
        most, hashed = min(whole or self.largest, self.bytes or self.largest), self._hash_part(begin)
        with self.part.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            file.truncate()
            here = begin
            for chunk in response.iter_content(CHUNK):
                if here == 0 and chunk.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
                    raise _FetchError("it answers with a web page instead of the file")
                here += len(chunk)
                if here > most:
                    file.seek(0)
                    file.truncate()
                    raise _FetchError(f"it sends more than {human(most)}")
                file.write(chunk)
                hashed.update(chunk)
                self.progress(here, whole)
            file.flush()
            os.fsync(file.fileno())
        if whole is not None and here < whole:
            raise _FetchError(f"it stopped after {human(here)} of {human(whole)}", worth_retrying=True)
        return hashed.hexdigest()

    def _hash_part(self, count: int) -> "hashlib._Hash":
        """Return the SHA-256 of the part's first bytes, to be continued."""
        hashed = hashlib.sha256()
        if count:
            with self.part.open("rb") as file:
                while chunk := file.read(min(CHUNK, count)):
                    hashed.update(chunk)
                    count -= len(chunk)
        return hashed

    def _accept(self, begun: int, found: str) -> None:
        """Verify the part, and give it the file's name."""
        if self.sha256 and found != self.sha256:
            self.part.unlink()
            why = f"it has another file: sha256 {found[:12]}… instead of {self.sha256[:12]}…"
            raise _FetchError(why, worth_retrying=begun > 0)  # perhaps only the beginning was another's
        os.replace(self.part, self.target)
        self.tag.unlink(missing_ok=True)

    def _continues(self, url: str) -> bool:
        """Tell whether the part may be continued from this address."""
        if self.sha256:
            return True
        lines = self.tag.read_text(encoding="utf-8").splitlines() if self.tag.is_file() else []
        return len(lines) == 2 and lines[0] == url and bool(lines[1])

    def _claim(self, url: str, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        self.tag.write_text(f"{url}\n{'' if tag.startswith('W/') else tag}\n", encoding="utf-8")


def _authorization(url: str) -> dict[str, str]:
    """Return the user's token of the hub, for the hub alone. requests doesn't send it to other hosts."""
    if _is_hub(url):
        from huggingface_hub import get_token  # noqa: PLC0415

        if token := get_token():
            return {"Authorization": f"Bearer {token}"}
    return {}


def _is_hub(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return urlsplit(url).scheme == "https" and (host == "huggingface.co" or host.endswith(".huggingface.co"))


def _token_hint(url: str) -> str:
    return "; set HF_TOKEN to a token that may read it" if _is_hub(url) else ""


def _retry_after(response: requests.Response, most: float = 60.0) -> float:
    after = response.headers.get("Retry-After", "")
    return min(float(after), most) if after.isdigit() else 0.0


def _plain(error: requests.RequestException) -> str:
    """Describe a network error without the library's nesting."""
    if isinstance(error, requests.Timeout):
        return "it doesn't answer in time"
    if isinstance(error, requests.ConnectionError):
        return "it can't be reached"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return " ".join(str(error).split())[:100]
