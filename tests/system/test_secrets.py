"""A password is shown to nobody: planted in each way that a roster has, and looked for wherever somebody may look."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from daemon.cli import app as cli
from simulator.auth import AuthScheme
from simulator.camera import CameraSpec
from simulator.connection import REALM
from simulator.faults import NotVideo, Redirect, Silent
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.events.hookserver import HookServer, answer
from tests.system.colours import Model
from tests.system.planted import in_query, rosters, secret, settings_that_are_refused, told
from tests.system.stage import Daemon, moving_clip, processes, running, settings_text, small_settings, wait_until
from tests.system.sweep import MARK, below, digest_keys, fetch, files_below, leaks, may_dump_core, process_shows

pytestmark = pytest.mark.slow

GOOD = ("basic", "digest", "literal", "in-url", "in-url-from", "query", "query-from", "detect", "http")
REFUSED = ("wrong", "wrong-basic", "wrong-http")
FAILING = (*REFUSED, "closed", "absent", "sound", "elsewhere", "silent")
TOKEN = f"{MARK}-0123456789-0123456789-0123456789"
"""Of the daemon's own HTTP."""


@dataclass
class Scene:
    """The daemon, and all that it and the commands have shown so far."""

    daemon: Daemon
    cameras: dict[str, dict[str, Any]]
    environ: Mapping[str, str]
    cores: set[str] = field(default_factory=set)
    """Processes that would leave a core."""
    shown: dict[str, Any] = field(default_factory=dict)

    def look(self) -> bool:
        """Look at all processes."""
        for pid, command in processes():
            self.shown[f"command line of {pid}"] = "\0".join(command)
        main = self.daemon.process.pid
        for pid in (main, *below(main)):
            try:
                self.shown |= process_shows(pid)
                if may_dump_core(Path(f"/proc/{pid}/limits").read_text()):
                    self.cores.add(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
            except (FileNotFoundError, ProcessLookupError, ValueError):
                continue  # it has just ended
        # What it was given there stays there; what it found elsewhere does not come there.
        own = f"/proc/{main}/environ"
        self.shown[own] = bytes(self.shown[own]).replace(secret("environ").encode(), b"")
        return True

    def ask(self, path: str, token: str = TOKEN, form: bytes | None = None) -> int:
        """Take in what is answered, headers and all; return the status."""
        status, body, headers = fetch(self.daemon.port, path, token, form)
        self.shown[f"{path} ({status}, {token == TOKEN})"] = headers + body
        return status

    def tell(self, cameras: Mapping[str, Any] | str) -> None:
        """Save another roster."""
        whole = {"include": "cameras.d/*.yaml", "defaults": {"decode": "all"}, "cameras": cameras}
        text = cameras if isinstance(cameras, str) else json.dumps(whole)
        (self.daemon.folder / "cameras.yaml").write_text(text)


def specs(small: Footage, jpeg: Footage) -> list[CameraSpec]:
    """The simulator's cameras."""

    def one(name: str, footage: Footage = small, way: str = "", **more: Any) -> CameraSpec:
        return CameraSpec(name, footage, username="viewer", password=secret(way or name), **more)

    there = f"rtsp://viewer:{quote(secret('theirs'), safe='')}@127.0.0.1:1/?{in_query('theirs')}"
    return [
        one("basic", auth=AuthScheme.BASIC),
        one("digest"),
        one("literal"),
        one("in-url"),
        one("in-url-from", way="environ"),
        CameraSpec("query", small, path=f"cgi/main?{in_query('query')}"),
        CameraSpec("query-from", small, path=f"cgi/main?key={MARK}-from"),
        CameraSpec("detect", small, path=f"cgi/small?{in_query('detect')}"),
        one("http", jpeg, auth=AuthScheme.BASIC),
        one("wrong", way="another"),
        one("wrong-basic", way="another", auth=AuthScheme.BASIC),
        one("wrong-http", jpeg, way="another", auth=AuthScheme.BASIC),
        one("sound", fault=NotVideo()),
        one("elsewhere", fault=Redirect(location=there)),
        CameraSpec("silent", small, path=f"silent?{in_query('silent')}", fault=Silent()),
    ]


def roster(server: ServerThread, closed: int) -> dict[str, dict[str, Any]]:
    """The same as a person would write them down."""

    def literal(name: str) -> dict[str, str]:
        return {"url": server.url(name), "username": "viewer", "password": secret(name)}

    def given(name: str, reference: str) -> dict[str, str]:
        return {"url": server.url(name), "username": "viewer", "password": f"${{{reference}}}"}

    def in_url(name: str, user: str) -> dict[str, str]:
        return {"url": server.url(name).replace("//", f"//{user}@")}

    port = urllib.parse.urlsplit(server.url("basic")).port
    return {
        "basic": given("basic", "BASIC"),
        "digest": given("digest", "DIGEST"),
        "literal": literal("literal"),
        "in-url": in_url("in-url", f"viewer:{quote(secret('in-url'), safe='')}"),
        "in-url-from": in_url("in-url-from", "viewer:${ENVIRON}"),
        "query": {"url": server.url("query")},
        "query-from": {"url": f"rtsp://127.0.0.1:{port}/cgi/main?key=${{QUERY}}"},
        "detect": {"url": f"rtsp://127.0.0.1:{port}/x?{in_query('main')}", "detect_url": server.url("detect")},
        "http": literal("http") | {"url": server.mjpeg_url("http")},
        "wrong": given("wrong", "ENVIRON"),
        "wrong-basic": given("wrong-basic", "BASIC"),
        "wrong-http": literal("wrong-http") | {"url": server.mjpeg_url("wrong-http")},
        "closed": literal("literal") | {"url": f"rtsp://127.0.0.1:{closed}/?{in_query('closed')}"},
        "absent": {"url": f"rtsp://127.0.0.1:{port}/none?{in_query('absent')}"},
        "sound": literal("sound"),
        "elsewhere": literal("elsewhere"),
        "silent": literal("silent") | {"url": server.url("silent")},
    }


def sources(folder: Path) -> dict[str, str]:
    """Lay secrets down in each place where one is looked up; return the daemon's environment."""
    for place, name, text in (
        ("credentials", "BASIC", secret("basic")),
        ("secrets", "DIGEST", secret("digest")),
        ("secrets", "QUERY", f"{MARK}-from"),
        ("secrets", "TOKEN", TOKEN),
        ("credentials", "BROKER", secret("broker")),
        ("secrets", "HOOK", quote(secret("hook"), safe="")),
        ("secrets", "SIGNS", secret("signs")),
    ):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / name).write_text(text + "\n")
    (folder / "tmp").mkdir()
    return {
        "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
        "ENVIRON": secret("environ"),
        "TMPDIR": str(folder / "tmp"),
    }


@contextmanager
def staged(folder: Path, model: Model) -> Iterator[Scene]:
    """A daemon that reads all of these cameras, at its most talkative."""
    clips = moving_clip(folder / "small.mp4", "red"), moving_clip(folder / "jpeg.mkv", "red", codec="mjpeg")
    settings = small_settings(model, open_timeout_s=1) | {
        "devices": {"cpu": {"workers": 1, "threads": 1}},
        "secrets_dir": str(folder / "secrets"),
        "http": {"port": 0, "token": "${TOKEN}"},
        "logging": {"level": "debug", "format": "json"},
        "sinks": {"jsonl": {"empty": True}},
    }
    environ = sources(folder)
    with ExitStack() as stack:
        server = stack.enter_context(ServerThread(specs(*clips)))
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        hooks = stack.enter_context(HookServer())
        hooks.behaviours = [answer(404)] * 1000
        settings["events"] = told(nobody.getsockname()[1], hooks.port)
        cameras = roster(server, nobody.getsockname()[1])
        daemon = stack.enter_context(running(folder, model, cameras, settings=settings, environ=environ))
        daemon.token = TOKEN
        yield Scene(daemon, cameras, environ)


def test_a_password_is_shown_to_nobody(tmp_path: Path, colour_model: Model) -> None:
    with staged(tmp_path, colour_model) as scene:
        daemon = scene.daemon
        wait_until(
            lambda: scene.look() and all_have_come(daemon) and daemon.log.count('"sink cannot be told"') >= 3,
            lambda: daemon.log[-5000:],
        )
        scene.cores.clear()  # of those that had only just begun
        crash(scene)
        reload_roster(scene)
        look_at_http(scene)
        scene.shown |= commands(scene)
        scene.look()
        assert daemon.stop() == 0
    scene.shown["log"] = daemon.log
    scene.shown |= files(tmp_path)
    scene.shown |= refusal(tmp_path, colour_model, scene.environ)

    users = [
        ("viewer", secret(way))
        for way in (*scene.cameras, "environ", "another", "literal-changed", "more", "typed", "broker", "hook")
    ]
    assert leaks(scene.shown, digest_keys(users, [REALM])) == []
    assert scene.cores == set()


def all_have_come(daemon: Daemon) -> bool:
    """Whether all cameras are up that can be, and all others have failed as they should."""
    up = daemon.by("camera", "mosaicd_camera_up")
    failed = [name for name in FAILING if daemon.total("mosaicd_camera_failures_total", camera=name)]
    refused = daemon.by("camera", "mosaicd_camera_failures_total", reason="unauthorized")
    return (
        all(up.get(name) for name in GOOD)
        and all(refused.get(name) for name in REFUSED)
        and len(failed) == len(FAILING)
        and daemon.total("mosaicd_mosaic_answered_total") > 0
    )


def crash(scene: Scene) -> None:
    """A process that knows passwords says its last words."""
    daemon = scene.daemon
    was = daemon.children("capture")["c1"]
    os.kill(was, signal.SIGSEGV)
    wait_until(
        lambda: scene.look() and daemon.children("capture").get("c1", was) != was and all_have_come(daemon),
        lambda: daemon.log[-5000:],
    )
    assert "Segmentation fault" in daemon.log


def reload_roster(scene: Scene) -> None:
    """Rosters are refused, whatever is wrong with them; one with other passwords is taken on."""
    daemon = scene.daemon
    for text in rosters()[:2]:
        refused = daemon.total("mosaicd_config_reloads_total", result="refused")
        scene.tell(text)
        wait_until(
            lambda before=refused: daemon.total("mosaicd_config_reloads_total", result="refused") > before,
            lambda: daemon.log[-5000:],
        )
    other = {name: {**camera, "fps": 1} for name, camera in scene.cameras.items()}
    other["literal"]["password"] = secret("literal-changed")
    included = daemon.folder / "cameras.d"
    included.mkdir()
    (included / "more.yaml").write_text(
        json.dumps({"cameras": {"more": {**other["wrong"], "password": secret("more")}}})
    )
    scene.tell(other)
    wait_until(lambda: daemon.total("mosaicd_config_reloads_total", result="applied"), lambda: daemon.log[-5000:])
    wait_until(
        lambda: daemon.total("mosaicd_camera_failures_total", camera="literal", reason="unauthorized"),
        lambda: daemon.log[-5000:],
    )


def look_at_http(scene: Scene) -> None:
    """Ask for everything that there is, and for what there is not."""
    port = scene.daemon.port
    described = json.loads(fetch(port, "/api/v1/openapi.json", TOKEN)[1])
    paths = [path for path, ways in described["paths"].items() if "get" in ways and not path.endswith("/stream")]
    assert "/api/v1/cameras/{name}" in paths
    names = [*scene.cameras, "m1", "m4", "nobody"]
    for path in ("/", "/page.css", "/page.js", "/metrics", "/healthz", "/readyz", "/api/v1/openapi.json", *paths):
        for name in names if "{" in path else [""]:
            scene.ask(re.sub(r"\{\w+\}", name, path))
    scene.ask("/api/v1/sightings?limit=x")
    other = TOKEN.replace("0", "1")
    assert scene.ask("/api/v1/status", other) == 401
    assert scene.ask("/login", other, f"token={other}".encode()) >= 400
    for name in scene.cameras:
        assert scene.shown[f"/api/v1/cameras/{name} (200, True)"]


def commands(scene: Scene) -> dict[str, str]:
    """Return what commands print that speak of cameras."""
    folder = scene.daemon.folder
    settings = ("--settings", str(folder / "mosaicd.yaml"))
    bad = [folder / f"bad-{number}.yaml" for number in range(len(rosters()))]
    for path, text in zip(bad, rosters(), strict=True):
        path.write_text(text)
    unfit = folder / "unfit.yaml"
    unfit.write_text(settings_that_are_refused())
    typed = f"rtsp://viewer:{quote(secret('typed'), safe='')}@127.0.0.1:{{}}/?{in_query('typed')}"
    here = urllib.parse.urlsplit(scene.cameras["basic"]["url"]).port
    there = urllib.parse.urlsplit(scene.cameras["closed"]["url"]).port
    url = ("--token-env", "HTTP", "--url", f"http://127.0.0.1:{scene.daemon.port}")
    environ = {**scene.environ, "HTTP": TOKEN}
    scene.tell({**scene.cameras, "new": {"url": typed.format(here)}})
    camera, typing = ("camera", "test", "--seconds", "1", *settings), ("camera", "test", "--seconds", "1")
    quick = [
        ("status", *url),
        ("status", "--json", *url),
        ("check", *settings),
        ("check", "--json", *settings),
        *(("check", "--roster", str(path), *settings) for path in bad),
        ("check", "--json", "--roster", str(bad[0]), *settings),
        ("reload", "--dry-run", "--json", *settings),
        ("check", "--settings", str(unfit)),
        ("check", "--json", "--settings", str(unfit)),
        ("worker", "list", *settings),
        (*camera, "--roster", str(bad[0]), "basic"),
        (*typing, typed.format("x")),
    ]
    slow = [
        ("tail", "--json", *url),
        (*camera, "query-from"),
        (*camera, "wrong-basic"),
        (*camera, "--json", "elsewhere"),
        (*typing, "--json", typed.format(here)),
        (*typing, typed.format(there)),
    ]
    (folder / "typed").mkdir()
    return type_here(quick, environ) | type_apart(slow, folder / "typed", environ)


def type_here(lines: Sequence[Sequence[str]], environ: Mapping[str, str]) -> dict[str, str]:
    """Run commands in this process; return what they printed."""
    shown = {}
    for line in lines:
        result = CliRunner(env=environ).invoke(cli, list(line), obj={**os.environ, **environ})
        assert result.exception is None or isinstance(result.exception, SystemExit), line
        assert result.output, line
        shown[f"mosaicd {' '.join(line)}"] = result.output
    return shown


def type_apart(lines: Sequence[Sequence[str]], folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Run commands as a person does, in a folder and all at once; return what they printed, `tail`'s first line."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "daemon.cli", *line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, **environ},
        )
        for line in lines
    ]
    shown = {}
    for line, process in zip(lines, started, strict=True):
        said = ""
        if line[0] == "tail":
            assert process.stdout is not None
            said = process.stdout.readline()
            process.terminate()
        said += process.communicate(timeout=60)[0]
        assert said, line
        shown[f"mosaicd {' '.join(line)}"] = said
    return shown


def files(folder: Path) -> dict[str, bytes]:
    """Return the files that the daemon and the commands wrote. What they may hold of the roster stays its owner's."""
    kept = folder / "state" / "last-good.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    text = kept.read_text()
    assert "${BASIC}" in text and f"{MARK}-literal" in text and f"{MARK}-more" in text
    assert not any(f"{MARK}-{way}" in text for way in ("basic", "digest", "environ", "from", "broker", "hook", "signs"))
    written = [path for place in ("state", "tmp", "typed") for path in files_below(folder / place) if path != kept]
    assert written
    return {str(path): path.read_bytes() for path in written}


def refusal(folder: Path, model: Model, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a start says, as text, that is refused for the roster."""
    (folder / "other" / "state").mkdir(parents=True)
    (folder / "other" / "mosaicd.yaml").write_text(settings_text(folder / "other", model, {}))
    (folder / "other" / "cameras.yaml").write_text(rosters()[0])
    return type_apart([("run", "--settings", str(folder / "other" / "mosaicd.yaml"))], folder / "other", environ)
