"""The roster: merging, urls, secrets; every problem at once, and no password in any of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daemon.problems import ConfigError, has_errors
from daemon.roster import Camera, Roster, check_labels, parse_roster
from daemon.rosterfile import RosterFile
from daemon.secrets import Secret, SecretSources
from inference.labels import COCO

PASSWORD = "hunter2-Xyzzy"
SOURCES = SecretSources(environ={"USER_NAME": "viewer", "GATE": PASSWORD})


def parse(text: str, sources: SecretSources = SOURCES) -> tuple[Roster | None, list[str]]:
    result = parse_roster(text, file="r", mosaic_fps=5, stale_s=2, sources=sources)
    return result.value, [str(problem) for problem in result.problems]


def camera(body: str, sources: SecretSources = SOURCES) -> Camera:
    roster, problems = parse(f"cameras:\n  gate: {body}\n", sources)
    assert problems == []
    assert roster is not None
    return roster.cameras[0]


def problems(body: str) -> list[str]:
    """What is wrong with one camera, less what is the same for all of them."""
    return [problem.removeprefix("r:2:") for problem in parse(f"cameras:\n  gate: {body}\n")[1]]


def test_a_url_is_enough() -> None:
    assert camera("{url: 'rtsp://10.0.0.7/main'}") == Camera("gate", Secret("rtsp://10.0.0.7/main"), "rtsp://10.0.0.7")


def test_everything_a_camera_may_have() -> None:
    body = (
        "{url: 'rtsp://h:8554/a?b=c', enabled: yes, fps: 2, mosaic: gates, username: u, password: '${GATE}',"
        " labels: [person, no, person], min_score: 0.5, transport: tcp}"
    )
    assert camera(body) == Camera(
        name="gate",
        url=Secret("rtsp://h:8554/a?b=c"),
        address="rtsp://h:8554",
        enabled=True,
        fps=2.0,
        mosaic="gates",
        username=Secret("u"),
        password=Secret(PASSWORD),
        labels=("person", "no"),
        min_score=0.5,
    )


def test_a_cameras_own_value_wins_over_the_default() -> None:
    roster, found = parse(
        "defaults: {fps: 1, labels: [car], password: '${GATE}', enabled: no}\n"
        "cameras:\n"
        "  a: {url: 'rtsp://a/', enabled: yes}\n"
        "  b: {url: 'rtsp://b/', enabled: yes, fps: 3, labels: null, password: null}\n"
        "  c: {url: 'rtsp://c/', password: '${MISSING}'}\n"
    )
    assert found == []
    assert roster is not None
    a, b, c = roster.cameras
    assert (a.fps, a.labels, a.password) == (1, ("car",), Secret(PASSWORD))
    assert (b.fps, b.labels, b.password) == (3, None, None)
    assert (c.enabled, c.password) == (False, None)
    assert roster.enabled == (a, b)


@pytest.mark.parametrize(
    ("password", "text"),
    [("0012", "0012"), ("no", "no"), ("true", "true"), ("1e3", "1e3"), ("12:30:00", "12:30:00"), ("$$x$", "$x$")],
)
def test_passwords_are_what_was_typed(password: str, text: str) -> None:
    assert camera(f"{{url: 'rtsp://h/', password: {password}}}").password == Secret(text)


@pytest.mark.parametrize(
    ("url", "stored", "address"),
    [
        ("rtsp://host", "rtsp://host", "rtsp://host"),
        ("RTSP://Host:554/x", "rtsp://Host:554/x", "rtsp://Host:554"),
        ("rtsp://[fe80::1]:8554/x", "rtsp://[fe80::1]:8554/x", "rtsp://[fe80::1]:8554"),
        ("rtsp://h/user=a&pass=${GATE}", f"rtsp://h/user=a&pass={PASSWORD}", "rtsp://h"),
        ("rtsp://h/x?c=1&p=$$", "rtsp://h/x?c=1&p=$$", "rtsp://h"),
        ("file:/a/b.mp4", "file:/a/b.mp4", "file:/a/b.mp4"),
        ("file:///a/b.mp4?loop=1", "file:/a/b.mp4?loop=1", "file:/a/b.mp4"),
    ],
)
def test_urls_are_kept_as_secrets_and_shown_as_addresses(url: str, stored: str, address: str) -> None:
    found = camera(f"{{url: '{url}'}}")
    assert (found.url, found.address) == (Secret(stored), address)


HOW = "or write the password as password: beside the url"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rtmp://h/x", "rtmp is not supported (use rtsp, rtsps, http, https or file)"),
        ("exec:rm -rf", "a space, '\\' or control character in the url (percent-encode it)"),
        ("exec:reboot", "exec is not supported (use rtsp, rtsps, http, https or file)"),
        ("h/x", "should begin with rtsp://, rtsps://, http://, https:// or file:/"),
        (f"admin:{PASSWORD}@h", "should begin with rtsp://, rtsps://, http://, https:// or file:/"),
        ("rtsp:h/x", "should be rtsp://host[:port]/path"),
        ("rtsp://", "should be rtsp://host[:port]/path"),
        ("rtsp://-h/x", "should be rtsp://host[:port]/path"),
        ("rtsp://h:0/x", f"should be rtsp://host[:port]/path ({HOW[3:]})"),
        (f"rtsp://u:{PASSWORD}/x", f"should be rtsp://host[:port]/path ({HOW[3:]})"),
        ("rtsp://[::g]/x", f"not a valid url ({HOW[3:]})"),
        ("rtsp://[::1/x", f"not a valid url ({HOW[3:]})"),
        (f"rtsp://u:{PASSWORD}/x@h/y", f"an '@' after the host (percent-encode '/', '?' and '@', {HOW})"),
        (f"rtsp://u:1?{PASSWORD}@h/y", f"an '@' after the host (percent-encode '/', '?' and '@', {HOW})"),
        (f"rtsp://u:1#{PASSWORD}@h/y", f"a '#' would end the url (percent-encode it as %23, {HOW})"),
        (
            f"rtsp://u:%ff{PASSWORD}@h/",
            f"credentials in the url that are not percent-encoded UTF-8 ({HOW[3:]})",
        ),
        (f"rtsp://u:%0a{PASSWORD}@h/", f"a control character in the url's credentials ({HOW[3:]})"),
        ("file:a.mp4", "should be file:/absolute/path"),
        ("file://host/a.mp4", "should be file:/absolute/path"),
        ("file:/a%00.mp4", "should be file:/absolute/path"),
        ("file:/a.mp4?speed=2", "a file has only the option ?loop=1"),
    ],
)
def test_urls_that_are_refused(url: str, message: str) -> None:
    assert problems(f"{{url: '{url}'}}") == [f"15: cameras.gate.url: {message}"]


def test_credentials_in_a_url_are_moved_out_with_a_warning() -> None:
    roster, found = parse("cameras:\n  gate: {url: 'rtsp://ad%40min:p%40:$$w@h:554/x'}\n")
    assert found == [
        "r:2:15: warning: cameras.gate.url: credentials in the url (write them as username: and password: ${NAME})"
    ]
    assert roster is not None
    assert roster.cameras == (
        Camera("gate", Secret("rtsp://h:554/x"), "rtsp://h:554", username=Secret("ad@min"), password=Secret("p@:$$w")),
    )


def test_references_in_a_urls_credentials_are_replaced_without_a_warning() -> None:
    found = camera("{url: 'rtsp://${USER_NAME}:${GATE}@h/'}")
    assert (found.username, found.password) == (Secret("viewer"), Secret(PASSWORD))


def test_credentials_in_a_url_win_over_defaults_but_not_over_the_camera() -> None:
    roster, _ = parse("defaults: {username: d, password: d}\ncameras: {a: {url: 'rtsp://u:p@h/'}}")
    assert roster is not None
    assert (roster.cameras[0].username, roster.cameras[0].password) == (Secret("u"), Secret("p"))
    assert problems("{url: 'rtsp://u:p@h/', password: x}") == [
        "15: cameras.gate.url: credentials both in the url and beside it (remove one)"
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", ["3: cameras.gate.url: missing key 'url'"]),
        ("", ["8: cameras.gate: should be a mapping (key: value), not empty"]),
        ("{url: 5}", ["15: cameras.gate.url: should be text, not a number"]),
        (
            "{url: 'rtsp://h/', usrname: u}",
            ["28: cameras.gate.usrname: unknown key 'usrname', did you mean 'username'?"],
        ),
        ("{url: 'rtsp://h/', enabled: maybe}", ["37: cameras.gate.enabled: should be true or false, not text"]),
        (
            "{url: 'rtsp://h/', fps: 6}",
            [
                "33: cameras.gate.fps: 6 fps is above the mosaics' rate of 5"
                " (lower it, or raise mosaic.fps in the settings)"
            ],
        ),
        (
            "{url: 'rtsp://h/', fps: 0.2}",
            [
                "33: warning: cameras.gate.fps: at 0.2 fps a tile is older than mosaic.stale_s (2 s) part of the time"
                " (its tile will be blank between frames)"
            ],
        ),
        ("{url: 'rtsp://h/', transport: udb}", ["39: cameras.gate.transport: should be 'tcp', 'udp' or 'auto'"]),
        ("{url: 'rtsp://h/', labels: person}", ["36: cameras.gate.labels: should be a list, not text"]),
        ("{url: 'rtsp://h/', labels: [a, 5]}", ["40: cameras.gate.labels[1]: should be text, not a number"]),
        (
            "{url: 'rtsp://h/', labels: []}",
            [
                "36: cameras.gate.labels: an empty list would drop every sighting (leave the key out for all labels)",
            ],
        ),
        ("{url: 'rtsp://h/', min_score: 40}", ["39: cameras.gate.min_score: should be less than or equal to 1"]),
        (
            "{url: 'rtsp://h/', mosaic: -a}",
            ["36: cameras.gate.mosaic: a name is 1 to 63 letters, digits, '_' and '-', not beginning with '_' or '-'"],
        ),
        (
            "{url: 'rtsp://h/', password: }",
            ["37: cameras.gate.password: is empty (quote it if it begins with '#'; null is none)"],
        ),
        ("{url: 'rtsp://h/', password: [hunter2]}", ["38: cameras.gate.password: should be text, not a list"]),
        (
            "{url: 'rtsp://h/', password: '${NIX}'}",
            [
                "38: cameras.gate.password: camera gate: ${NIX} is not in $CREDENTIALS_DIRECTORY (not set),"
                " secrets_dir (not set) or the environment"
            ],
        ),
        (
            "{url: 'rtsp://h/', password: a,hunter2}",
            ["40: cameras.gate: unknown key without a value (quote a value that holds ',' or '}')"],
        ),
    ],
)
def test_each_problem_has_its_place_and_sentence(body: str, expected: list[str]) -> None:
    assert problems(body) == expected


@pytest.mark.parametrize("name", ["a b", "ä", "-a", "a" * 64, "a/b", "<b>", ""])
def test_names_of_cameras_are_plain(name: str) -> None:
    _, found = parse(f"cameras: {{{name!r}: {{url: 'rtsp://h/'}}}}")
    assert len(found) == 1
    assert found[0].endswith("a name is 1 to 63 letters, digits, '_' and '-', not beginning with '_' or '-'")


def test_two_cameras_of_one_name_are_an_error_that_names_both_lines() -> None:
    _, found = parse("cameras:\n  a: {url: 'rtsp://h/1'}\n  b: {url: 'rtsp://h/2'}\n  a: {url: 'rtsp://h/3'}\n")
    assert found == ["r:4:3: cameras.a: duplicate key 'a', first at line 2"]


def test_a_mosaic_holds_four_enabled_cameras() -> None:
    lines = [f"  c{n}: {{url: 'rtsp://h/{n}', mosaic: m}}" for n in range(4)]
    off = "  off: {url: 'rtsp://h/x', mosaic: m, enabled: no}"
    assert parse("\n".join(["cameras:", off, *lines]))[1] == []
    lines.append("  c4: {url: 'rtsp://h/4', mosaic: m}")
    assert parse("\n".join(["cameras:", off, *lines]))[1] == [
        "r:7:35: cameras.c4.mosaic: mosaic 'm' has 5 cameras, 4 at most: c0, c1, c2, c3, c4"
    ]


def test_the_same_url_twice_is_a_warning() -> None:
    _, found = parse(
        "cameras:\n"
        "  a: {url: 'rtsp://h/1'}\n"
        "  b: {url: 'rtsp://u:p@H:554/1'}\n"
        "  c: {url: 'rtsp://h/1', enabled: no}\n"
        "  d: {url: 'rtsp://h/2'}\n"
    )
    assert [p for p in found if "same url" in p] == ["r:3:12: warning: cameras.b.url: the same url as camera a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["r:1:1: cameras: missing key 'cameras'"]),
        ("cameras: {}", ["r:1:1: warning: cameras: no camera is enabled"]),
        ("cameras: [a]", ["r:1:10: cameras: should be a mapping (key: value), not a list"]),
        ("cameras: {}\ncamera: {x: 1}", ["r:2:1: camera: unknown key 'camera', did you mean 'cameras'?"]),
        ("cameras: {}\nfps: 3", ["r:2:1: fps: unknown key 'fps' (it belongs under 'defaults')"]),
        ("cameras: {}\ndefaults: 5", ["r:2:11: defaults: should be a mapping (key: value), not a number"]),
    ],
)
def test_what_is_wrong_around_the_cameras(text: str, expected: list[str]) -> None:
    assert [p for p in parse(text)[1] if p in expected] == expected


def test_a_wrong_default_is_said_once_where_it_stands() -> None:
    cameras = "".join(f"  c{n}: {{url: 'rtsp://h/{n}'}}\n" for n in range(9))
    roster, found = parse(f"defaults: {{fps: 9, min_score: x, password: '${{NIX}}'}}\ncameras:\n{cameras}")
    assert roster is None
    assert [p.split(" (")[0] for p in found] == [
        "r:1:17: defaults.fps: 9 fps is above the mosaics' rate of 5",
        "r:1:31: defaults.min_score: should be a number, not text",
        "r:1:44: defaults.password: cameras c0, c1, c2, c3, c4, c5, c6, c7 and 1 more:"
        " ${NIX} is not in $CREDENTIALS_DIRECTORY",
    ]


def test_one_wrong_field_hides_no_other_problem() -> None:
    _, found = parse("cameras:\n  a: {url: 'rtmp://h/', fps: 9, min_score: x, password: '${NIX}', xyz: 1}\n")
    assert [p.split(": ")[1] for p in found] == [
        "cameras.a.url",
        "cameras.a.fps",
        "cameras.a.min_score",
        "cameras.a.password",
        "cameras.a.xyz",
    ]


def test_labels_are_checked_against_the_models() -> None:
    roster, _ = parse(
        "defaults: {labels: [person, crr]}\n"
        "cameras:\n  a: {url: 'rtsp://h/1', labels: [persn, car]}\n  b: {url: 'rtsp://h/2'}\n  c: {url: 'rtsp://h/3'}\n"
    )
    assert roster is not None
    assert [str(p) for p in check_labels(roster, ["person", "car"])] == [
        "r:1:29: defaults.labels[1]: the model has no label 'crr', did you mean 'car'?",
        "r:3:35: cameras.a.labels[0]: the model has no label 'persn', did you mean 'person'?",
    ]


def test_older_words_for_labels_mean_the_modern_ones() -> None:
    roster, found = parse(
        "defaults: {labels: [sofa, motorcycle, motorbike, person]}\n"
        "cameras:\n  a: {url: 'rtsp://h/1', labels: [tvmonitor]}\n  b: {url: 'rtsp://h/2'}\n"
    )
    assert found == []
    assert roster is not None
    assert [camera.labels for camera in roster.cameras] == [("tv",), ("couch", "motorcycle", "person")]
    assert check_labels(roster, COCO) == ()
    assert [str(p) for p in check_labels(roster, ["person", "motorcycle", "tv"])] == [
        "r:1:21: defaults.labels[0]: the model has no label 'sofa'"
    ]


def test_rosters_are_equal_if_their_cameras_are() -> None:
    one, _ = parse("cameras: {a: {url: 'rtsp://h/', labels: [x], password: '${GATE}'}}")
    two, _ = parse("\n\ncameras:\n  a:\n    url: rtsp://h/\n    labels: [x]\n    password: ${GATE}")
    changed, _ = parse("cameras: {a: {url: 'rtsp://h/', labels: [x], password: other}}")
    assert one == two
    assert one != changed


def test_every_key_has_a_description_and_a_schema() -> None:
    schema = RosterFile.model_json_schema()
    for name, block in schema["$defs"].items():
        for key, found in block["properties"].items():
            assert found.get("description"), f"{name}.{key}"


SAMPLE = f"""
defaults: {{fps: 2, username: viewer, password: "{PASSWORD}"}}
cameras:
  gate:
    url: rtsp://admin:{PASSWORD}@10.0.0.1:554/s?x=1
    labels: [person, car]
  yard:
    url: rtsp://10.0.0.2/s?password={PASSWORD}
    password: {PASSWORD}
    min_score: 0.4
  flow: {{url: rtsp://10.0.0.3/, password: {PASSWORD}, mosaic: a}}
"""


def shown(text: str, sources: SecretSources) -> str:
    """All that could reach a log: repr and str of whatever comes out."""
    result = parse_roster(text, file="r", mosaic_fps=5, sources=sources)
    assert (result.value is None) == has_errors(result.problems)
    error = ConfigError(result.problems)
    everything = [result, result.value, result.problems, error, error.problems, *result.problems]
    return "\n".join([*map(str, everything), *map(repr, everything)])


def test_the_sample_shows_no_password() -> None:
    assert PASSWORD not in shown(SAMPLE, SOURCES)


def cut(at: int, length: int, put: str) -> Callable[[str], str]:
    return lambda text: text[:at] + put + text[at + length :]


EDITS = st.lists(
    st.builds(
        cut,
        st.integers(0, len(SAMPLE)),
        st.integers(0, 3),
        st.sampled_from(
            ["", " ", "\n", ":", ",", "{", "}", "[", "'", '"', "#", "@", "/", "*", "&", "!", "$", "\t", "%"]
        ),
    ),
    min_size=1,
    max_size=4,
)


@hypothesis_settings(deadline=None)
@given(EDITS)
def test_a_damaged_sample_gives_errors_without_the_password(edits: list[Callable[[str], str]]) -> None:
    text = SAMPLE
    for edit in edits:
        text = edit(text)
    if text.count(PASSWORD) == SAMPLE.count(PASSWORD):
        assert PASSWORD not in shown(text, SOURCES)
    else:
        shown(text, SOURCES)


@hypothesis_settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=60))
def test_any_text_gives_a_roster_or_errors(text: str, url: str) -> None:
    shown(text, SOURCES)
    shown(f"cameras: {{a: {{url: {url}}}}}", SOURCES)
    shown(f"cameras: {{a: {{url: 'rtsp://{url.replace(chr(39), '')}'}}}}", SOURCES)


ZONE = "{corners: [[0, 0.5], [1, 0.5], [1, 1]], labels: [motorbike], dwell_s: 2}"
LINE = "{start: [0, 0], end: [1, 1], to_right: in, to_left: out}"
STRETCH = "{corners: [[0, 1], [1, 1], [0.7, 0.2], [0.3, 0.2]], width_m: 3.5, length_m: 20}"
RULES = f"zones: {{door: {ZONE}}}, lines: {{gate: {LINE}}}, speed: {{lane: {STRETCH}}}"


def test_the_rules_of_events_are_read() -> None:
    found = camera(f"{{url: 'rtsp://h/', masks: [[[0, 0], [1, 0], [1, 0.1]]], still_s: 20, {RULES}}}").rules
    [zone], [line], [stretch] = found.zones, found.lines, found.stretches
    assert (zone.name, zone.corners, zone.labels) == (
        "door",
        ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0)),
        frozenset({"motorcycle"}),
    )
    assert (zone.dwell_s, zone.loiter_s) == (2.0, None)
    assert (line.name, line.start, line.end, line.to_right, line.to_left) == ("gate", (0, 0), (1, 1), "in", "out")
    assert (stretch.name, stretch.width_m, stretch.length_m) == ("lane", 3.5, 20)
    assert (found.masks, found.still_s) == ((((0.0, 0.0), (1.0, 0.0), (1.0, 0.1)),), 20.0)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (
            "zones: {door: {corners: [[0, 0], [1, 1]]}}",
            "cameras.gate.zones.door.corners: a polygon needs three corners",
        ),
        (
            "zones: {door: {corners: [[0, 0], [1, 2], [1, 1]]}}",
            "cameras.gate.zones.door.corners: a corner lies from 0,0",
        ),
        ("zones: {door: {dwell_s: 1}}", "cameras.gate.zones.door.corners: missing key 'corners'"),
        ("zones: {'a b': {corners: [[0, 0], [1, 0], [1, 1]]}}", "a name is 1 to 63 letters"),
        ("lines: {gate: {start: [0, 0], end: [0, 0]}}", "cameras.gate.lines.gate: the line ends where it starts"),
        ("lines: {gate: {start: [0, 0], end: [0, 2]}}", "cameras.gate.lines.gate.end: a point lies from 0,0"),
        (
            "speed: {lane: {corners: [[0, 0], [1, 1], [1, 0], [0, 1]], width_m: 3, length_m: 9}}",
            "cameras.gate.speed.lane.corners: these are no rectangle's corners in turn",
        ),
    ],
)
def test_a_rule_that_cannot_be_is_told_with_its_place(rule: str, wrong: str) -> None:
    [found] = problems(f"{{url: 'rtsp://h/', {rule}}}")
    assert wrong in found


def test_labels_of_rules_are_checked_against_the_model() -> None:
    roster, _ = parse(f"cameras:\n  gate: {{url: 'rtsp://h/', {RULES.replace('motorbike', 'dragon')}}}\n")
    assert roster is not None
    [problem] = check_labels(roster, COCO)
    assert "cameras.gate.zones.door.labels[0]: the model has no label 'dragon'" in str(problem)
