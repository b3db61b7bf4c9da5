"""Clips in a real browser: length, every moment, and the end."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from capture.clip import Clip
from capture.mediamessages import Record
from tests.capture.rings import FRAME_S, ring_of_file
from tests.simulator.clips import BITS, SIZE_WH, encode_clip

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: make clients")]

LOOK = """
async ([source, moments]) => {
  const video = document.querySelector("video")
  const happens = (what) => new Promise((resolve, reject) => {
    video.addEventListener(what, resolve, {once: true})
    video.addEventListener("error", () => reject(video.error.message), {once: true})
  })
  const loaded = happens("loadeddata")
  video.src = source
  await loaded
  const canvas = document.createElement("canvas")
  canvas.width = video.videoWidth
  canvas.height = video.videoHeight
  const context = canvas.getContext("2d", {willReadFrequently: true})
  const shown = []
  for (const moment of moments) {
    const sought = happens("seeked")
    video.currentTime = moment
    await sought
    context.drawImage(video, 0, 0)
    const [w, h] = [canvas.width, canvas.height]
    const pixels = context.getImageData(0, 0, w, h).data
    const bars = [...Array(BITS).keys()].map((bit) => pixels[4 * (h / 2 * w + (bit + 0.5) * w / BITS)] > 128 ? 1 : 0)
    shown.push(parseInt(bars.join(""), 2))
  }
  const ended = happens("ended")
  video.playbackRate = 4
  await video.play()
  await ended
  return {duration: video.duration, wh: [canvas.width, canvas.height], shown}
}
""".replace("BITS", str(BITS))


class Folder(ThreadingHTTPServer):
    """Serves a folder's files with ranges, as the daemon does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.folder = folder


class Request(BaseHTTPRequestHandler):
    server: Folder

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if not self.path.endswith(".mp4"):
            self.answer(200, "text/html", b"<video muted></video>")
            return
        content = (self.server.folder / self.path.lstrip("/")).read_bytes()
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(content)) + 1, len(content))
        self.answer(206, "video/mp4", content[begin:end], f"bytes {begin}-{end - 1}/{len(content)}")

    def answer(self, status: int, kind: str, content: bytes, place: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if place:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", place)
        self.end_headers()
        with suppress(ConnectionError):  # a browser drops what it does not want any more
            self.wfile.write(content)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_clip_plays_in_a_browser_whether_it_was_ended_or_killed(folder: Folder, tmp_path: Path) -> None:
    ring = ring_of_file(encode_clip(tmp_path / "source.mp4"))
    path = tmp_path / "ended.mp4"
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    clip = Clip(Record("cam", 1, "e1", 0.0, 100.0), ring, fd, (0, 0))
    assert clip.step(0.0) is None
    fragments = path.read_bytes()
    assert clip.end(None).reason is None
    last = fragments.rindex(b"moof") - 4
    (tmp_path / "killed.mp4").write_bytes(fragments[:last] + bytes(8) + fragments[last + 8 : last + 200])
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{folder.server_port}/")
        for name, frames in (("ended.mp4", 100), ("killed.mp4", 60)):
            numbers = [0, 57, 21, frames - 1]
            moments = [(number + 0.5) * FRAME_S for number in numbers]
            seen = page.evaluate(LOOK, [f"/{name}", moments])
            assert seen["shown"] == numbers
            assert seen["duration"] == pytest.approx(frames * FRAME_S, abs=2 * FRAME_S)
            assert tuple(seen["wh"]) == SIZE_WH
        browser.close()
