"""Fetches one file whose size and digest are known, over HTTP, and goes on where an earlier try stopped.

Not one byte more than expected is written, and the file gets its name only when its digest is right, so neither the
server nor what an earlier try left behind is trusted, and an ETag is not needed. Proxies are what `urllib` takes from
the environment. Knows nothing of models. Blocks; Ctrl-C may interrupt it anywhere.
"""

import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from daemon.models.catalog import RemoteFile
from daemon.models.disk import digest_of, finish, free_bytes, on_disk
from daemon.models.errors import DigestError, DownloadError, NoSpaceError, UnreachableError

_CHUNK_BYTES: Final = 1 << 18
_AGAIN: Final = "Run it again: it goes on where it stopped"
_BY_HAND: Final = "If the address has moved, get the file in another way and use `mosaicd models add`"

OnProgress = Callable[[int], None]
"""Is told how many bytes are there; called from the downloading thread, often."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take."""

    silence_s: float = 30.0
    """To connect, and between two packets."""
    window_s: float = 60.0
    """In each such time at least `window_bytes` must come: a server that trickles is no better than a silent one."""
    window_bytes: int = 64 << 10


PATIENT: Final = Patience()


def download(
    remote: RemoteFile,
    path: Path,
    on_progress: OnProgress,
    *,
    user_agent: str = "mosaicd",
    patience: Patience = PATIENT,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Fetch the file to `path`; what has come meanwhile is in `path` with `.part` at its end.

    The caller sees to it that nobody else writes there. Raises DownloadError, DigestError, NoSpaceError or StoreError;
    the part is kept for the next try, but for one with a wrong digest.
    """
    part = path.with_name(path.name + ".part")
    with on_disk(part), part.open("ab", buffering=0) as file:
        if file.tell() > remote.size_bytes:
            _empty(file)
        if file.tell() < remote.size_bytes:
            _check_room(part, remote.size_bytes - file.tell())
            _fill(file, part, remote, on_progress, user_agent=user_agent, patience=patience, clock=clock)
    with on_disk(part):
        actual = digest_of(part, remote.digest.algorithm)
        if actual != remote.digest.value:
            part.unlink()
            raise DigestError(remote.url, remote.digest.algorithm, remote.digest.value, actual)
        finish(part, path)


def _check_room(part: Path, needed_bytes: int) -> None:
    """Raise NoSpaceError rather than fill a disk that the daemon's sightings need too."""
    free = free_bytes(part.parent)
    if free < needed_bytes:
        raise NoSpaceError(part, needed_bytes, free)


def _empty(file: IO[bytes]) -> None:
    file.truncate(0)
    file.seek(0)


def _fill(
    file: IO[bytes],
    part: Path,
    remote: RemoteFile,
    on_progress: OnProgress,
    *,
    user_agent: str,
    patience: Patience,
    clock: Callable[[], float],
) -> None:
    """Append what is missing."""
    headers = {"User-Agent": user_agent}
    if offset := file.tell():
        headers["Range"] = f"bytes={offset}-"
    with _network(remote.url):
        request = Request(remote.url, headers=headers)
        response: http.client.HTTPResponse = build_opener().open(request, timeout=patience.silence_s)
    with response:
        done = offset if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        _check_offer(response, remote, done)
        if done != offset:
            _empty(file)  # the server knows no ranges: from the start
        on_progress(done)
        for chunk in _chunks(response, remote, done, patience, clock):
            with on_disk(part, remote.size_bytes - done):
                _append(file, chunk)
            done += len(chunk)
            on_progress(done)


def _append(file: IO[bytes], chunk: bytes) -> None:
    """Write all of it: an unbuffered file takes what fits and only then says that the disk is full."""
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _check_offer(response: http.client.HTTPResponse, remote: RemoteFile, offset: int) -> None:
    """Raise DownloadError unless this is what was asked for, as far as the headers tell."""
    length = response.headers.get("Content-Length", "")
    if offset:
        offered = response.headers.get("Content-Range", "")
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", offered)
        if not found or int(found[1]) != offset or found[2] not in ("*", str(remote.size_bytes)):
            raise DownloadError(f"{remote.url}: asked for bytes from {offset}, the server sends '{offered[:80]}'")
    elif length.isdecimal() and int(length) != remote.size_bytes:
        message = f"the server has a file of {length} bytes, it should be {remote.size_bytes}. {_BY_HAND}"
        raise DownloadError(f"{remote.url}: {message}")


def _chunks(
    response: http.client.HTTPResponse,
    remote: RemoteFile,
    offset: int,
    patience: Patience,
    clock: Callable[[], float],
) -> Iterator[bytes]:
    """The bytes from `offset` on, as they come."""
    missing = remote.size_bytes - offset
    window_end_s, window_bytes = clock() + patience.window_s, 0
    while missing:
        with _network(remote.url):
            chunk = response.read1(min(_CHUNK_BYTES, missing))
        if not chunk:
            come = remote.size_bytes - missing
            raise DownloadError(f"{remote.url}: the connection ended after {come} bytes. {_AGAIN}")
        missing -= len(chunk)
        window_bytes += len(chunk)
        yield chunk
        if (now_s := clock()) >= window_end_s:
            if missing and window_bytes < patience.window_bytes:
                slow = f"only {window_bytes} bytes came in {patience.window_s:g} s"
                raise DownloadError(f"{remote.url}: {slow}. {_AGAIN}")
            window_end_s, window_bytes = now_s + patience.window_s, 0


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Raise DownloadError where the network or the server fails."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise DownloadError(f"{url}: the server answers {error.code} {error.reason}. {_BY_HAND}") from error
    except TimeoutError as error:
        raise DownloadError(f"{url}: the server is silent. {_AGAIN}") from error
    except URLError as error:
        raise UnreachableError(f"{url}: {_reason(error)}. Check the network and the proxy's settings") from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: the connection broke: {_reason(error)}. {_AGAIN}") from error


def _reason(error: BaseException) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    text = reason.strerror if isinstance(reason, OSError) else None
    return text or str(reason) or type(reason).__name__
