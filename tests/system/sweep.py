"""Finds planted passwords in what a program shows, in whatever encoding a leak would have them."""

import base64
import re
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import md5
from pathlib import Path
from typing import Any

MARK = "pl4ntedSecret"
"""In each password; letters and digits alone, so that no percent-encoding, JSON or HTML changes it."""

ANSWER = re.compile(rb"authorization['\"\\]*[:=]\W*(?:basic|digest)|nonce=|response=\\*\"[0-9a-f]{32}", re.IGNORECASE)
"""Of an RTSP or HTTP answer to a challenge, from which a password may be guessed."""


@cache
def _needles() -> re.Pattern[bytes]:
    """The mark as it is, in hexadecimal, in UTF-16, and in the three ways that base64 may have it inside something."""
    mark = MARK.encode()
    plain = [mark, mark.hex().encode(), MARK.encode("utf-16-le")]
    alike = [b"(?i:" + re.escape(form) + b")" for form in plain]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + mark)
        # What shares its four letters with what stands before or after depends on that.
        start, end = (4 if before else 0), 4 * ((before + len(mark)) // 3)
        alike += [re.escape(whole[start:end]), re.escape(whole[start:end].translate(bytes.maketrans(b"+/", b"-_")))]
    return re.compile(b"|".join(alike))


def digest_keys(users: Iterable[tuple[str, str]], realms: Iterable[str]) -> tuple[bytes, ...]:
    """Return what is worth a password to who has it: HA1 of RFC 7616, section 3.4.2, of each user and password."""
    return tuple(
        md5(f"{user}:{realm}:{password}".encode()).hexdigest().encode() for user, password in users for realm in realms
    )


def leaks(shown: Mapping[str, bytes | str], keys: Iterable[bytes] = ()) -> list[str]:
    """Return where something secret is shown, each with the words around it; ``shown`` is by where it was."""
    found = []
    for where, text in shown.items():
        content = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        for pattern in (_needles(), ANSWER, *(re.compile(re.escape(key)) for key in keys)):
            if match := pattern.search(content):
                around = content[max(0, match.start() - 60) : match.end() + 20]
                found.append(f"{where}: …{around.decode(errors='replace')}…")
    return found


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all regular files."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def below(pid: int) -> Iterator[int]:
    """Yield a process's children, and theirs."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = path.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in map(int, found):
            yield child
            yield from below(child)


def process_shows(pid: int) -> dict[str, bytes]:
    """Return what everybody, or the same user, may read of a process (proc(5))."""
    folder = Path(f"/proc/{pid}")
    paths = [folder / "cmdline", folder / "environ", *folder.glob("task/*/comm")]
    return {str(path): path.read_bytes() for path in paths if path.exists()}


def may_dump_core(limits: str) -> bool:
    """Whether a process with these limits (proc(5)) would leave a core with all that it knows when it crashes."""
    return re.search(r"^Max core file size\s+0\s+0\s", limits, re.MULTILINE) is None


def fetch(port: int, path: str, token: str, form: bytes | None = None) -> tuple[int, bytes, bytes]:
    """Ask 127.0.0.1; return status, body and headers of whatever is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", form, headers)
    opener = urllib.request.build_opener(Whatever)
    with opener.open(request, timeout=10) as answer:
        return answer.status, answer.read(), bytes(answer.headers)


class Whatever(urllib.request.HTTPErrorProcessor):
    """Takes each status for an answer."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response
