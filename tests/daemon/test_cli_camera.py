"""`mosaicd camera test` against the simulator's cameras: what is printed, the exit code, and that no password shows."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.roster import parse_roster
from daemon.secrets import SecretSources
from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.faults import Black, Close, Fault, Hang, NotVideo, Redirect, Refuse, Silent
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, GOP, encode_clip

CONSOLE_SCRIPT = Path(sys.executable).with_name("mosaicd")
USER, PASSWORD = "viewer", "s3:cr@t/pass %41"
ENVIRON = {"CAM_PASSWORD": PASSWORD, "COLUMNS": "200"}
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return load_footage(encode_clip(tmp_path_factory.mktemp("camera") / "numbers.mp4", preset="veryfast"))


@pytest.fixture(scope="module")
def server(footage: Footage) -> Iterator[ServerThread]:
    cameras = [
        CameraSpec("open", footage),
        CameraSpec("small", footage, username=USER, password=PASSWORD),
        CameraSpec("locked", footage, username=USER, password=PASSWORD),
    ]
    with ServerThread(cameras) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ServerThread) -> Path:
    """The working directory, with settings and a roster."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mosaicd.yaml").write_text(
        "model: {name: x}\nsecrets_dir: secrets\ncapture: {open_timeout_s: 2, read_timeout_s: 1}\n"
    )
    (tmp_path / "cameras.yaml").write_text(
        "defaults: {username: viewer, password: '${CAM_PASSWORD}'}\n"
        "cameras:\n"
        f"  gate: {{url: '{server.url('locked')}', fps: 2}}\n"
        f"  yard: {{url: 'rtsp://192.0.2.1/none', detect_url: '{server.url('small')}', enabled: false}}\n"
        "  wrong: {url: 'rtsp://192.0.2.3/', password: '${GONE}'}\n"
    )
    return tmp_path


def invoke(*args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mosaicd camera test ARGS``; the password is in neither."""
    result = CliRunner().invoke(app, ["camera", "test", *args], terminal_width=200, env=ENVIRON)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not [text for text in ("s3:cr", "s3%3A") if text in result.output]
    return result.exit_code, result.stdout, result.stderr


def test_help_has_examples() -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    assert out.count("mosaicd camera test") >= 3
    assert "Exit code" in out


@pytest.mark.slow
def test_a_camera_of_the_roster(site: Path) -> None:
    code, out, err = invoke("gate", "--settings", "mosaicd.yaml", "--seconds", "1")
    assert (code, err) == (0, "")
    address = "rtsp://127.0.0.1:"
    assert out.startswith(f"gate: {address}")
    assert "H.264 High" in out
    assert f"every {GOP} frames" in out
    assert "sleeps while nothing moves" in out
    assert "gate-snapshot.jpg" in out
    assert (site / "gate-snapshot.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (site / "gate-snapshot.jpg").stat().st_mode & 0o077 == 0
    assert "Its lines in the roster may stay as they are." in out


@pytest.mark.slow
def test_a_disabled_cameras_detect_url_as_json(site: Path) -> None:
    code, out, err = invoke("yard", "--settings", "mosaicd.yaml", "--seconds", "1", "--json", "--snapshot", "y.jpg")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["camera"], told["is_detect_url"], told["would_sleep"]) == ("yard", True, True)
    assert told["report"]["key_frames"]["frames"] == GOP
    assert told["report"]["rhythm"]["fps"] == pytest.approx(FPS, rel=0.2)
    assert told["report"]["transport"] == "tcp"
    assert told["snapshot"] == "y.jpg"
    assert "reason" not in told


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in the url", "beside it"])
def test_the_lines_for_the_roster_are_ready(site: Path, server: ServerThread, where: str) -> None:
    url, args = server.url("locked"), ("--seconds", "1", "--transport", "udp", "--json")
    if where == "in the url":
        host = url.removeprefix("rtsp://")
        code, out, _ = invoke(f"rtsp://viewer:s3%3Acr%40t%2Fpass%20%2541@{host}", *args)
    else:
        code, out, _ = invoke(url, "--username", USER, "--password-env", "CAM_PASSWORD", *args)
    assert code == 0
    told = json.loads(out)
    assert told["report"]["transport"] == "udp"
    environ = {"CAM_PASSWORD": PASSWORD, "CAMERA_127_0_0_1_PASSWORD": PASSWORD}
    roster = parse_roster(told["roster"], file="r", mosaic_fps=5, sources=SecretSources(environ=environ)).require()
    [camera] = roster.cameras
    assert camera.password is not None
    assert (camera.url.reveal(), camera.password.reveal(), camera.reading.transport) == (url, PASSWORD, "udp")
    assert (where == "in the url") == any("process list" in sentence for sentence in told["advice"])


@pytest.mark.slow
def test_a_snapshot_that_is_there_is_kept_unless_told(site: Path, server: ServerThread) -> None:
    there = site / "camera-127-0-0-1-snapshot.jpg"
    there.write_bytes(b"mine")
    code, _, err = invoke(server.url("open"), "--seconds", "1")
    assert code == 2
    assert "--force replaces it" in err
    assert there.read_bytes() == b"mine"
    code, out, _ = invoke(server.url("open"), "--seconds", "1", "--force")
    assert code == 0
    assert there.read_bytes() != b"mine"
    assert there.name in out
    assert sorted(path.name for path in site.iterdir() if "snapshot" in path.name) == [there.name]


FAULTS: list[tuple[str, Fault | None, str]] = [
    ("refused", Refuse(), "Is the port right?"),
    ("timeout", Silent(), "capture.open_timeout_s"),
    ("redirected", Redirect(location="rtsp://192.0.2.9/x"), "No password was sent"),
    ("broken", NotVideo(), "not only sound"),  # it has SETUP refused, and FFmpeg plays on
    ("hang", Hang(), "restart it"),
    ("ended", Close(after_s=0.4), "The camera hung up"),
    ("unauthorized", None, "lock an account"),
    ("not_found", None, "Hikvision: /Streaming/Channels/101"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("reason", "fault", "remedy"), FAULTS, ids=[reason for reason, *_ in FAULTS])
def test_each_fault_has_its_reason_and_a_remedy(
    site: Path, footage: Footage, reason: str, fault: Fault | None, remedy: str
) -> None:
    password = "another" if reason == "unauthorized" else PASSWORD
    path = "moved" if reason == "not_found" else "bad"
    camera = CameraSpec("bad", footage, path=path, username=USER, password=password, own_port=reason == "refused")
    args = ("bad", "--settings", "mosaicd.yaml", "--roster", "bad.yaml", "--seconds", "10")
    with ServerThread([camera]) as faulty:
        url = faulty.url("bad").replace("/moved", "/bad")
        faulty.set_fault("bad", fault)
        (site / "bad.yaml").write_text(
            f"cameras:\n  bad: {{url: '{url}', username: viewer, password: '${{CAM_PASSWORD}}'}}\n"
        )
        code, out, err = invoke(*args)
        assert code == 1
        assert f"mosaicd camera: bad at rtsp://127.0.0.1:{url.split(':')[2].split('/')[0]}: {reason}: " in err
        assert remedy in err
        assert ("first packet" in out) == (reason == "ended")
        if reason in ("refused", "not_found"):
            code, out, err = invoke(*args, "--json")
            assert (code, err) == (1, "")
            assert json.loads(out)["reason"] == reason


@pytest.mark.slow
def test_a_black_picture_is_advised_on(site: Path, footage: Footage) -> None:
    with ServerThread([CameraSpec("bad", footage, fault=Black())]) as faulty:
        code, out, _ = invoke(faulty.url("bad"), "--seconds", "1")
    assert code == 0
    assert ": black" in out
    assert "- Its picture is black" in out


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("gat", "--settings", "mosaicd.yaml"), 2, "did you mean 'gate'?"),
        (("gate",), 78, "/etc/mosaicd/mosaicd.yaml: no such file"),
        (("gate", "--settings", "none.yaml"), 78, "none.yaml: no such file"),
        (("gate", "--roster", "none.yaml"), 78, "none.yaml: no such file"),
        (("wrong", "--settings", "mosaicd.yaml"), 78, "cameras.yaml:5:"),
        (("rtmp://h/",), 2, "rtmp is not supported"),
        (("rtsp://h/", "--transport", "carrier-pigeon"), 2, "is none of tcp, udp, auto"),
        (("rtsp://h/", "--seconds", "0"), 2, "--seconds"),
        (("rtsp://h/", "--username", "u"), 2, "needs --password-env NAME as well"),
        (("rtsp://h/", "--password-env", "CAM_PASSWORD"), 2, "needs --username NAME as well"),
        (("rtsp://h/", "--username", "u", "--password-env", "NOT_SET"), 2, "NOT_SET is empty or not set"),
        (("gate", "--roster", "cameras.yaml", "--username", "u", "--password-env", "CAM_PASSWORD"), 2, "go with a url"),
        (("rtsp://h/", "--snapshot", "none/x.jpg"), 2, "is its folder there?"),
        (("rtsp://h/", "--password", "x"), 2, "No such option"),
    ],
)
def test_what_cannot_be_meant_ends_before_anybody_is_asked(
    site: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    found, out, err = invoke(*args)
    assert (found, out) == (code, "")
    assert words in err


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_and_no_process_shows_the_password(site: Path, server: ServerThread) -> None:
    """The real script: standard error is a terminal; meanwhile all processes are looked through."""
    leader, follower = pty.openpty()
    shown, seen = bytearray(), set[bytes]()
    args = [str(CONSOLE_SCRIPT), "camera", "test", server.url("locked"), "--seconds", "2"]
    process = subprocess.Popen(
        [*args, "--username", USER, "--password-env", "CAM_PASSWORD"],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, **ENVIRON},
    )
    os.close(follower)

    def read() -> None:
        with suppress(OSError):  # the terminal's other end is closed
            while chunk := os.read(leader, 4096):
                shown.extend(chunk)
                for folder in Path("/proc").iterdir():
                    with suppress(OSError):
                        seen.add((folder / "cmdline").read_bytes())
                        if b"capture.probe" in (folder / "cmdline").read_bytes():
                            assert PASSWORD.encode() not in (folder / "environ").read_bytes()

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=DEADLINE_S)
    reader.join(DEADLINE_S)
    os.close(leader)
    assert process.returncode == 0
    assert b"measuring" in shown
    assert any(b"capture.probe" in line for line in seen)
    assert not any(PASSWORD.encode() in line for line in seen)
    assert PASSWORD.encode() not in bytes(shown) + out
