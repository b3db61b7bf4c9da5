"""From what was typed to what is tested: urls shown without secrets, one camera of a roster by itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from capture.words import DecodeMode, Transport
from daemon.cameratarget import TargetError, Typed, find_target, secret_name, shown_url, suggested_name
from daemon.cameraurl import parse_url
from daemon.problems import ConfigError
from daemon.secrets import SecretSources

ENVIRON = SecretSources(environ={"GATE_PASSWORD": "hunter2"})
ROSTER = """\
defaults: {transport: udp, idle_fps: 1}
cameras:
  gate:
    url: rtsp://192.0.2.11/stream1
    detect_url: rtsp://192.0.2.11:8554/stream2?pw=${GATE_PASSWORD}
    username: viewer
    password: ${GATE_PASSWORD}
    fps: 2
    decode: keyframes
  yard: {url: "rtsp://u:$$ecret@192.0.2.12/h264", enabled: false}
  wrong: {url: "rtsp://192.0.2.13/", password: "${NOT_THERE}", fps: many}
"""


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    roster = tmp_path / "cameras.yaml"
    roster.write_text(ROSTER)
    return Typed("gate", roster=roster)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:hunter2@192.0.2.1:554/stream1", "rtsp://192.0.2.1:554/stream1"),
        ("rtsp://h/cam/realmonitor?channel=1&subtype=0", "rtsp://h/cam/realmonitor?channel=1&subtype=0"),
        ("rtsp://h/s?user=admin&password=hunter2&channel=1", "rtsp://h/s?user=${GATE_USER}&password=${GATE_PASSWORD}&channel=1"),
        ("rtsp://h/s?channel=hunter2!&hunter2", "rtsp://h/s?channel=${GATE_CHANNEL}&${GATE_QUERY}"),
        ("rtsp://h/s?hunter%32=x", "rtsp://h/s?${GATE_QUERY}"),
        ("rtsp://h/user=admin_password=hunter2_channel=1.sdp", "rtsp://h/${GATE_PATH}"),
        ("rtsp://h/user=${U}&pass=hunter2", "rtsp://h/${GATE_PATH}"),
        ("rtsp://h/live/${TOKEN}", "rtsp://h/live/${TOKEN}"),
        ("rtsps://h:7441/Ab12Cd34Ef56Gh78?enableSrtp", "rtsps://h:7441/${GATE_PATH}?${GATE_QUERY}"),
        ("rtsp://h/h264Preview_01_main", "rtsp://h/h264Preview_01_main"),
        ("rtsp://h/Streaming/Channels/101", "rtsp://h/Streaming/Channels/101"),
        ("file:/srv/a.mp4?loop=1", "file:/srv/a.mp4?loop=1"),
    ],
)  # fmt: skip
def test_url_is_shown_without_what_may_be_a_password(url: str, shown: str) -> None:
    assert shown_url(parse_url(url), "gate") == shown


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://192.0.2.11:554/x", "camera-192-0-2-11"),
        ("rtsp://gate.example:554/x", "gate-example"),
        ("rtsp://[2001:db8::1]:554/x", "camera-2001-db8-1"),
        ("file:/srv/footage/yard.2.mp4?loop=1", "yard-2"),
        (f"rtsp://{'a' * 200}/", "a" * 63),
    ],
)
def test_name_of_a_camera_that_has_none(url: str, name: str) -> None:
    assert suggested_name(parse_url(url)) == name


def test_name_of_a_secret() -> None:
    assert secret_name("front-door", "password") == "FRONT_DOOR_PASSWORD"


def test_url_with_credentials_in_it(tmp_path: Path) -> None:
    target = find_target(Typed("rtsp://viewer:hunter%32@192.0.2.1/s", settings=None), ENVIRON)
    assert (target.order.url, target.order.username, target.order.password) == (
        "rtsp://192.0.2.1/s",
        "viewer",
        "hunter2",
    )
    assert target.is_new
    assert target.is_password_typed
    assert target.password_name == "CAMERA_192_0_2_1_PASSWORD"
    assert "hunter2" not in repr(target)


def test_url_with_credentials_beside_it() -> None:
    typed = Typed(
        "rtsp://192.0.2.1/s", username="viewer", password="hunter2", password_name="CAM", transport=Transport.UDP
    )
    target = find_target(typed, ENVIRON)
    assert (target.order.username, target.order.password, target.password_name) == ("viewer", "hunter2", "CAM")
    assert target.order.transport is target.reading.transport is Transport.UDP
    assert not target.is_password_typed
    assert "hunter2" not in repr(target) + repr(typed)


def test_camera_of_the_roster_is_read_as_the_daemon_would(typed: Typed) -> None:
    target = find_target(typed, ENVIRON)
    order = target.order
    assert (order.url, order.username, order.password) == (
        "rtsp://192.0.2.11:8554/stream2?pw=hunter2",
        "viewer",
        "hunter2",
    )
    assert (order.transport, target.reading.idle_fps, target.reading.decode) == (Transport.UDP, 1, DecodeMode.KEYFRAMES)
    assert (target.address, target.is_small, target.is_new, target.fps) == ("rtsp://192.0.2.11:8554", True, False, 2)
    assert target.shown_url == "rtsp://192.0.2.11:8554/stream2?pw=${GATE_PASSWORD}"
    assert "hunter2" not in repr(target)


def test_transport_of_the_command_line_wins(typed: Typed) -> None:
    assert find_target(replace(typed, transport=Transport.TCP), ENVIRON).order.transport is Transport.TCP


def test_disabled_camera_can_be_tested_and_others_do_not_matter(typed: Typed) -> None:
    target = find_target(replace(typed, what="yard"), ENVIRON)
    assert target.order.password == "$$ecret"
    assert target.is_password_written


def test_settings_give_timeouts_tile_and_secrets(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "GATE_PASSWORD").write_text("other\n")
    settings = tmp_path / "mosaicd.yaml"
    settings.write_text(
        "model: {name: x}\nsecrets_dir: secrets\nmosaic: {canvas: 640x640, fps: 4}\n"
        "capture: {open_timeout_s: 2, read_timeout_s: 3}\n"
    )
    target = find_target(replace(typed, settings=settings, roster=None), ENVIRON)
    assert (target.order.open_timeout_s, target.order.read_timeout_s) == (2, 3)
    assert (target.tile_wh, target.order.password) == ((320, 320), "other")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (Typed("gat"), "no camera 'gat' in"),
        (Typed("gat"), "did you mean 'gate'?"),
        (Typed("somewhere"), "it has gate, yard, wrong"),
        (Typed("rtsp://a:hunter2@h:port/"), "should be rtsp://host[:port]/path"),
        (Typed("rtmp://h/hunter2"), "rtmp is not supported"),
        (Typed("rtsp://u:hunter2@h/", username="u", password="hunter2"), "both in the url and beside it"),
        (Typed("gate", username="u", password="hunter2"), "go with a url"),
    ],
)
def test_what_makes_no_camera_is_told_without_secrets(tmp_path: Path, typed: Typed, words: str) -> None:
    (tmp_path / "cameras.yaml").write_text(ROSTER)
    roster = tmp_path / "cameras.yaml"
    with pytest.raises(TargetError) as caught:
        find_target(replace(typed, roster=roster), ENVIRON)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("roster", "words"),
    [
        ("cameras:\n  gate:\n", "cameras.gate"),
        ("cameras:\n  gate: {url: 'rtsp://h/', password: '${GONE}'}\n", "${GONE} is not in"),
        ("cameras:\n  gate: {url: 'rtsp://h/', fps: hunter2}\n", "should be a number"),
        ("cameras: [gate]\n", "should be a mapping"),
        ("[]\n", "should be a mapping"),
        ("cameras:\n  gate: {url: 'rtsp://h/'\n", ":"),
    ],
)
def test_a_camera_that_is_wrong_is_told_with_its_place(tmp_path: Path, roster: str, words: str) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(roster)
    with pytest.raises((ConfigError, TargetError)) as caught:
        find_target(Typed("gate", roster=path), ENVIRON)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_camera_of_an_included_file_is_given_its_files_defaults(typed: Typed) -> None:
    assert typed.roster is not None
    folder = typed.roster.parent / "cameras.d"
    folder.mkdir()
    typed.roster.write_text(f"include: cameras.d/*.yaml\n{ROSTER}")
    (folder / "shed.yaml").write_text("defaults: {idle_fps: 2}\ncameras:\n  shed: {url: 'rtsp://192.0.2.14/'}\n")
    (folder / "half.yaml").write_text("cameras: [")
    target = find_target(replace(typed, what="shed"), ENVIRON)
    assert (target.address, target.reading.transport, target.reading.idle_fps) == ("rtsp://192.0.2.14", "udp", 2)
    assert find_target(typed, ENVIRON).reading.idle_fps == 1
    with pytest.raises(ConfigError, match=r"half\.yaml:1:\d+: "):
        find_target(replace(typed, what="elsewhere"), ENVIRON)
    (folder / "half.yaml").unlink()
    with pytest.raises(TargetError, match=r"no camera 'elsewhere' in .*; it has gate, yard, wrong, shed"):
        find_target(replace(typed, what="elsewhere"), ENVIRON)
    typed.roster.write_text("include: none/*.yaml")
    with pytest.raises(TargetError, match=r"no camera 'gate' in .*cameras\.yaml$"):
        find_target(typed, ENVIRON)


def test_settings_that_are_named_must_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        find_target(Typed("rtsp://h/", settings=tmp_path / "none.yaml"), ENVIRON)
