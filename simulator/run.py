"""`mosaicd simulate`: videos, scenes and a number of cameras to a server and its roster. Shell: a process' entry point.

return run(SimulateOptions(cameras=32, videos=(parse_video_share("shop.mp4:4"), parse_video_share("street.mp4"))))
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.camera import CameraSpec
from simulator.control import control_app
from simulator.demux import load_footage
from simulator.errors import ShareError, SimulatorError, UnusableFootageError
from simulator.footage import Footage, retime
from simulator.mjpeg import HttpMjpegServer
from simulator.perform import load_schedule, perform
from simulator.server import RtspServer
from simulator.shares import SceneShare, VideoShare, deal_cameras, parse_video_share, spread_starts
from simulator.web import WebServer
from simulator.world import SHOWCASE
from simulator.world.clip import ClipSpec
from simulator.world.studio import provide_clips

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What `mosaicd simulate` was asked for.

    Attributes:
        cameras: how many, named cam-01 and so on.
        videos: files with their shares; a plain path may end in `:COUNT`, too.
        host: address to listen on.
        port: TCP port; 0 takes any free one.
        username: who may watch; None lets anybody.
        password: their password.
        password_name: the roster says `${password_name}` in place of the password.
        roster: file to write the roster to; None prints it on stdout.
        fps: frames a second for every video, in place of its own.
        scenes: scenes of the synthetic world with their shares; with no video either, a few that show what there is.
        scenes_folder: where rendered scenes are kept; needed where there are scenes.
        own_ports: every camera has a TCP port of its own, so that it can refuse connections.
        faults: a schedule of what goes wrong when; None for nothing.
        mjpeg: port of 127.0.0.1 where cameras with JPEG footage are over HTTP, too; 0 takes any free one.
        control: port of 127.0.0.1 where faults are set over HTTP; 0 takes any free one, None for no control.
    """

    cameras: int
    videos: tuple[VideoShare | Path, ...]
    host: str = "127.0.0.1"
    port: int = 8554
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_name: str = "SIM_PASSWORD"
    roster: Path | None = None
    fps: float | None = None
    scenes: tuple[SceneShare, ...] = ()
    scenes_folder: Path | None = None
    own_ports: bool = False
    faults: Path | None = None
    mjpeg: int | None = None
    control: int | None = None


class RosterFileError(SimulatorError):
    """The roster cannot be written."""


def run(options: SimulateOptions) -> int:
    """Serves until SIGINT or SIGTERM. Main thread only.

    Returns:
        The exit code: 0 after a signal; 1 for what the operator can mend, which is said on stderr.
    """
    try:
        specs = plan_cameras(options)
        asyncio.run(_serve(options, specs))
    except SimulatorError as error:
        print(f"mosaicd simulate: {error}", file=sys.stderr)
        return 1
    return 0


def plan_cameras(options: SimulateOptions) -> list[CameraSpec]:
    """Renders the scenes that are not there yet, loads each video once and deals the videos out.

    Raises:
        ShareError: shares that cannot be dealt.
        FootageError: a video that cannot be served.
        ClipError: a scene that cannot be rendered.
    """
    scenes = options.scenes
    if not scenes and not options.videos and options.scenes_folder is not None:
        scenes = tuple(SceneShare(seed) for seed in SHOWCASE[: options.cameras])
    shares = [_share(video) for video in options.videos]
    deal_cameras([*shares, *(VideoShare(Path(), scene.count) for scene in scenes)], options.cameras)  # before the work
    shares += _render(scenes, options.scenes_folder)
    dealt = deal_cameras(shares, options.cameras)
    loaded: dict[Path, Footage] = {}
    for share in shares:
        if share.path not in loaded:
            loaded[share.path] = _load(share.path, options.fps)
    footages = [loaded[share.path] for share in shares]
    starts = {
        id(footage): iter(spread_starts(footage.key_times_s, sum(footages[index] is footage for index in dealt)))
        for footage in loaded.values()
    }
    digits = max(2, len(str(options.cameras)))
    return [
        CameraSpec(
            name=f"cam-{turn:0{digits}d}",
            footage=footages[index],
            start_offset_s=next(starts[id(footages[index])]),
            username=options.username,
            password=options.password,
            own_port=options.own_ports,
        )
        for turn, index in enumerate(dealt, start=1)
    ]


def format_roster(urls: Sequence[tuple[str, str]], username: str | None, password_name: str) -> str:
    """The roster in YAML; the password stands there as `${password_name}` only. Pure.

    Args:
        urls: name and URL of each camera.
        username: who may watch.
        password_name: the environment variable that holds the password for mosaicd.
    """
    secret = ""
    if username is not None:
        # Any JSON string is a YAML string; `$` is doubled because rosters expand ${NAME}.
        quoted = json.dumps(username.replace("$", "$$"))
        secret = f', username: {quoted}, password: "${{{password_name}}}"'
    lines = [f"  {name}: {{url: {json.dumps(url)}{secret}}}" for name, url in urls]
    return "\n".join(("cameras:", *lines, ""))


async def _serve(options: SimulateOptions, specs: list[CameraSpec]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = RtspServer(specs, options.host, options.port)
    schedule = load_schedule(options.faults, server) if options.faults is not None else ()
    async with contextlib.AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        said = [f"{len(specs)} cameras on {server.url(specs[0].name)} and so on; stop with Ctrl-C"]
        if options.mjpeg is not None:
            mjpeg = HttpMjpegServer(server, options.mjpeg)
            await mjpeg.start()
            stack.push_async_callback(mjpeg.stop)
            said.insert(0, f"cameras with JPEG footage on {mjpeg.url(specs[0].name)} and so on")
        if options.control is not None:
            control = WebServer(control_app(server), options.control)
            await control.start()
            stack.push_async_callback(control.stop)
            said.insert(0, f"control on http://127.0.0.1:{control.port}/cameras")
        _publish_roster(options, server, specs)
        for line in said:
            print(f"mosaicd simulate: {line}", file=sys.stderr, flush=True)
        async with asyncio.TaskGroup() as group:
            performing = group.create_task(perform(schedule, server))
            await stop.wait()
            performing.cancel()


def _publish_roster(options: SimulateOptions, server: RtspServer, specs: list[CameraSpec]) -> None:
    """Runs between listening and the loop's next round: nobody is served before the roster is out."""
    named = _WILDCARDS.get(server.host, server.host)
    urls = [(spec.name, server.url(spec.name, named)) for spec in specs]
    text = format_roster(urls, options.username, options.password_name)
    try:
        if options.roster is not None:
            _write_atomically(options.roster, text)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    except OSError as error:
        there = options.roster or "to stdout"
        raise RosterFileError(f"cannot write the roster {there}: {error.strerror}") from error


def _write_atomically(path: Path, text: str) -> None:
    """Whoever reads the file sees the old or the whole new one."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)  # it holds no secret, and mosaicd may run as another user
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _render(scenes: Sequence[SceneShare], folder: Path | None) -> list[VideoShare]:
    """The scenes as videos."""
    if not scenes:
        return []
    if folder is None:
        raise ShareError("scenes need a folder to be kept in; give --scenes-folder")
    clips = provide_clips([ClipSpec(scene.seed) for scene in scenes], folder)
    return [VideoShare(clip, scene.count) for clip, scene in zip(clips, scenes, strict=True)]


def _share(video: VideoShare | Path) -> VideoShare:
    """A plain path is the file of that name if there is one, else it may end in a count."""
    if isinstance(video, VideoShare):
        return video
    return VideoShare(video) if video.is_file() else parse_video_share(str(video))


def _load(path: Path, fps: float | None) -> Footage:
    footage = load_footage(path)
    if fps is None:
        return footage
    try:
        return retime(footage, fps)
    except ValueError as error:
        raise UnusableFootageError(path, str(error)) from error
