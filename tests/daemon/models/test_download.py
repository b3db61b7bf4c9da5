"""One file over real HTTP: whole or not there, resumed, bounded, and what is said when it fails."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.models.download import Patience, download
from daemon.models.errors import DigestError, DownloadError, NoSpaceError, StoreError
from tests.daemon.models.fileserver import FileServer, Served, remote_of, some_bytes

CONTENT = some_bytes(700_000)
IMPATIENT = Patience(silence_s=0.2, window_s=0.2, window_bytes=1000)


def serve(server: FileServer, served: Served, content: bytes = CONTENT) -> Callable[[Path], list[int]]:
    """Serve something as `/x.weights`, which should be `content`; return what downloads it to a path and gives the
    progress that was reported."""
    server.files["/x.weights"] = served
    remote = remote_of(f"{server.url}/x.weights", content)

    def run(path: Path) -> list[int]:
        progress: list[int] = []
        download(remote, path, progress.append, patience=IMPATIENT, user_agent="mosaicd/test")
        return progress

    return run


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def test_a_file_is_fetched_whole_and_readable_by_all(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    before = os.umask(0o077)
    try:
        progress = serve(server, Served(CONTENT))(path)
    finally:
        os.umask(before)
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert progress[0] == 0 and progress[-1] == len(CONTENT) and progress == sorted(progress)
    assert server.requests[0].user_agent == "mosaicd/test"


@pytest.mark.parametrize("resets", [False, True])
def test_a_cut_connection_leaves_a_part_and_the_next_try_goes_on(
    server: FileServer, tmp_path: Path, resets: bool
) -> None:
    path, served = tmp_path / "x", Served(CONTENT, cut_at=300_000, resets=resets)
    run = serve(server, served)
    with pytest.raises(DownloadError, match="Run it again: it goes on where it stopped"):
        run(path)
    come = part_of(path).read_bytes()
    assert CONTENT.startswith(come)
    assert resets or len(come) == 300_000  # a reset may take bytes along that were under way
    assert not path.exists()
    served.cut_at = None
    progress = run(path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/x.weights") == [None, f"bytes={len(come)}-" if come else None]
    assert progress[0] == len(come)


def test_a_server_without_ranges_is_asked_again_from_the_start(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    part_of(path).write_bytes(CONTENT[:1000])
    assert serve(server, Served(CONTENT, knows_ranges=False))(path)[0] == 0
    assert path.read_bytes() == CONTENT
    assert server.ranges("/x.weights") == ["bytes=1000-"]


def test_a_page_in_place_of_the_file_does_not_cost_the_part(server: FileServer, tmp_path: Path) -> None:
    path, page = tmp_path / "x", b"<html>Sign in to the hotel's network</html>"
    part_of(path).write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match=f"the server has a file of {len(page)} bytes"):
        serve(server, Served(page, knows_ranges=False))(path)
    assert part_of(path).read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("content_range", ["bytes 5-699999/700000", "bytes 1000-1/5", "rubbish"])
def test_another_range_than_asked_for_is_refused(server: FileServer, tmp_path: Path, content_range: str) -> None:
    path = tmp_path / "x"
    part_of(path).write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match="asked for bytes from 1000, the server sends"):
        serve(server, Served(CONTENT, content_range=content_range))(path)
    assert part_of(path).read_bytes() == CONTENT[:1000]


def test_a_part_that_is_complete_needs_no_server(tmp_path: Path) -> None:
    path = tmp_path / "x"
    part_of(path).write_bytes(CONTENT)
    download(remote_of("http://127.0.0.1:1/x", CONTENT), path, print)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_begun_anew(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    part_of(path).write_bytes(CONTENT + b"more")
    serve(server, Served(CONTENT))(path)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/x.weights") == [None]


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_a_wrong_digest_deletes_the_part(server: FileServer, tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "x"
    server.files["/x"] = Served(CONTENT[:-1] + b"?")
    remote = remote_of(f"{server.url}/x", CONTENT, algorithm)
    with pytest.raises(DigestError, match=f"the file's {algorithm} is [0-9a-f]+, not {remote.digest.value}"):
        download(remote, path, print)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_file_does_not_get_the_name(server: FileServer, tmp_path: Path) -> None:
    path, run = tmp_path / "x", serve(server, Served(CONTENT))
    part_of(path).write_bytes(b"x" * 1000)
    with pytest.raises(DigestError, match=r"so it was deleted. Run it again"):
        run(path)
    run(path)
    assert path.read_bytes() == CONTENT


def test_a_longer_file_is_refused_before_a_byte_is_written(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(DownloadError, match="the server has a file of 700001 bytes, it should be 700000"):
        serve(server, Served(CONTENT + b"!"))(path)
    assert part_of(path).read_bytes() == b""


def test_no_more_is_written_than_expected(server: FileServer, tmp_path: Path) -> None:
    path, small, much = tmp_path / "x", CONTENT[:1000], bytes(50_000_000)
    with pytest.raises(DigestError):
        serve(server, Served(much, states_length=False), small)(path)
    progress = serve(server, Served(small + much, states_length=False), small)(path)
    assert progress[-1] == 1000
    assert path.read_bytes() == small


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (403, "403 Forbidden"), (503, "503")])
def test_a_refusal_names_status_and_remedy(server: FileServer, tmp_path: Path, status: int, words: str) -> None:
    path = tmp_path / "x"
    part_of(path).write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match=f"the server answers {words}.*mosaicd models add"):
        serve(server, Served(CONTENT, status=status))(path)
    assert part_of(path).read_bytes() == CONTENT[:1000]


def test_a_redirect_is_followed_with_the_range(server: FileServer, tmp_path: Path) -> None:
    path, content = tmp_path / "x", CONTENT
    server.files["/there"] = Served(content)
    part_of(path).write_bytes(content[:1000])
    serve(server, Served(b"", redirects_to=f"{server.url}/there"))(path)
    assert path.read_bytes() == content
    assert server.ranges("/there") == ["bytes=1000-"]


def test_a_redirect_to_a_local_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    path, secret = tmp_path / "x", tmp_path / "secret"
    secret.write_bytes(CONTENT)
    with pytest.raises(DownloadError, match="302"):
        serve(server, Served(b"", redirects_to=f"file://{secret}"))(path)
    assert not path.exists()


def test_a_silent_server_is_left(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(DownloadError, match=r"the server is silent. Run it again"):
        serve(server, Served(CONTENT, hold_at=100_000))(path)
    assert part_of(path).read_bytes() == CONTENT[:100_000]


def test_a_server_that_trickles_is_left(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(DownloadError, match=r"only \d+ bytes came in 0.2 s. Run it again"):
        serve(server, Served(CONTENT, trickles=True))(path)
    come = part_of(path).read_bytes()
    assert 0 < len(come) < 1000 and CONTENT.startswith(come)


def test_a_file_that_has_come_was_not_too_slow(server: FileServer, tmp_path: Path) -> None:
    path, small = tmp_path / "x", b"small"
    server.files["/x"] = Served(small)
    strict = Patience(window_s=0.0, window_bytes=1000)
    download(remote_of(f"{server.url}/x", small), path, print, patience=strict)
    assert path.read_bytes() == small


def test_nobody_there_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match=r"Connection refused. Check the network and the proxy's settings"):
            download(remote_of(url, CONTENT), tmp_path / "x", print)


def test_a_proxy_of_the_environment_is_used(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    url = "http://models.example/x"
    server.files[url] = Served(CONTENT)  # a proxy is asked for the whole URL
    download(remote_of(url, CONTENT), tmp_path / "x", print)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_an_interruption_leaves_the_part(server: FileServer, tmp_path: Path) -> None:
    path, remote = tmp_path / "x", remote_of(f"{server.url}/x", CONTENT)
    server.files["/x"] = Served(CONTENT, hold_at=400_000)

    def interrupt(done: int) -> None:
        if done >= 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(remote, path, interrupt)
    assert part_of(path).read_bytes() == CONTENT[:400_000]


def test_a_disk_without_room_is_refused_before_it_is_filled(server: FileServer, small_disk: Path) -> None:
    content = some_bytes(2 << 20)
    path = small_disk / "x"
    with pytest.raises(NoSpaceError, match=r"2\.0 MiB more are needed, 1\.0 MiB are free. Make room") as caught:
        serve(server, Served(content), content)(path)
    assert (caught.value.needed_bytes, caught.value.free_bytes) == (2 << 20, 1 << 20)
    assert server.requests == []


def test_a_disk_that_fills_up_meanwhile_leaves_a_part_to_go_on_with(server: FileServer, small_disk: Path) -> None:
    path, ballast = small_disk / "x", small_disk / "ballast"
    served = Served(CONTENT, hold_at=300_000)
    server.files["/x"] = served
    remote = remote_of(f"{server.url}/x", CONTENT)

    def fill(done: int) -> None:
        if done >= 300_000 and not ballast.exists():
            ballast.write_bytes(bytes(600_000))
            served.released.set()

    with pytest.raises(NoSpaceError, match="Make room and run it again") as caught:
        download(remote, path, fill)
    come = part_of(path).read_bytes()
    assert 300_000 <= len(come) < len(CONTENT) and CONTENT.startswith(come)
    assert caught.value.needed_bytes <= len(CONTENT) - 300_000
    assert not path.exists()
    ballast.unlink()
    download(remote, path, print)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/x") == [None, f"bytes={len(come)}-"]


def test_a_full_device_is_no_space(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "x"
    part_of(path).symlink_to("/dev/full")
    with pytest.raises(NoSpaceError):
        serve(server, Served(CONTENT))(path)


def test_a_folder_that_is_none_is_an_error_of_the_disk(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("none", "file"):
        with pytest.raises(StoreError, match=r"x\.part: N.* directory. Check the folder and its disk"):
            serve(server, Served(CONTENT))(tmp_path / folder / "x")
