"""Whom the settings name to be told of events: judged as far as that can be, secrets resolved and never shown."""

from pathlib import Path

import pytest
import trustme

from daemon.check import check
from daemon.eventplan import expected_labels, plan_events
from daemon.recipients import NOBODY, RecipientFault, find_recipients
from daemon.roster import Camera, Roster, parse_roster
from daemon.secrets import Secret, SecretSources
from daemon.settings import Settings, parse_settings
from events.words import Kind

KNOWN = SecretSources(environ={"NAME": "1", "PASSWORD": "s3cr3t-b", "URL": "https://h/s3cr3t-u", "SIGN": "s3cr3t-s"})


def settings(events: str) -> Settings:
    return parse_settings(f"model: {{name: a}}\nevents: {{enabled: true, {events}}}", file="f", base=Path()).require()


def problems(events: str) -> list[str]:
    found = parse_settings(f"model: {{name: a}}\nevents: {{{events}}}", file="f", base=Path()).problems
    assert "s3cr3t" not in repr(found)
    return [str(problem) for problem in found]


def test_all_that_is_written_reaches_the_process_of_events() -> None:
    wanted = settings(
        "max_age_days: 3, max_database_mib: 10,"
        " media: {max_age_days: 2, max_mib: 30, camera_max_mib: 20, min_free_mib: 5},"
        " mqtt: {host: broker.lan, port: 1884, username: 'me-${NAME}', password: '${PASSWORD}', client_id: c,"
        " topic_prefix: site/a, discovery_prefix: ''},"
        " webhooks: {alarm: {url: '${URL}', secret: '${SIGN}', kinds: [new, end], timeout_s: 2.0}, b: {url: 'http://b'}}"
    )
    told = find_recipients(wanted.events, KNOWN)
    assert told.faults == ()
    assert told.names == ("mqtt", "webhook:alarm", "webhook:b")
    plan = plan_events(wanted, Roster((Camera("yard", Secret("a"), "a", labels=("car",)),)), {}, told)
    assert plan is not None
    keep, mqtt = plan.setup.keep, plan.setup.mqtt
    assert (keep.max_age_days, keep.max_database_mib, keep.media_max_age_days) == (3, 10, 2)
    assert (keep.max_media_mib, keep.camera_max_media_mib, keep.min_free_mib) == (30, 20, 5)
    assert mqtt is not None
    assert (mqtt.host, mqtt.port, mqtt.username, mqtt.password) == ("broker.lan", 1884, "me-1", "s3cr3t-b")
    assert (mqtt.client_id, mqtt.topic_prefix, mqtt.discovery_prefix) == ("c", "site/a", "")
    assert mqtt.expected == {"yard": ("car",)}
    alarm, other = plan.setup.webhooks
    assert (alarm.url, alarm.secret, alarm.timeout_s) == ("https://h/s3cr3t-u", "s3cr3t-s", 2.0)
    assert alarm.kinds == {Kind.NEW, Kind.END}
    assert (other.url, other.secret, other.kinds) == ("http://b", "", frozenset(Kind))
    for shown in (repr(wanted), wanted.model_dump_json(), repr(told), repr(plan)):
        assert "s3cr3t" not in shown


@pytest.mark.parametrize(("more", "port"), [("", 1883), (", tls: true", 8883), (", tls: true, port: 1883", 1883)])
def test_the_port_goes_by_whether_there_is_tls(more: str, port: int) -> None:
    told = find_recipients(settings(f"mqtt: {{host: h{more}}}").events, KNOWN)
    assert told.mqtt is not None
    assert told.mqtt.port == port


def test_nobody_is_told_where_no_events_are_wanted_and_no_secret_is_looked_up() -> None:
    wanted = parse_settings(
        "model: {name: a}\nevents: {enabled: false, mqtt: {host: h, username: u, password: '${NONE}'}}",
        file="f",
        base=Path(),
    ).require()
    assert find_recipients(wanted.events, KNOWN) is NOBODY


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("mqtt: {host: 'a b'}", "host: should be a host's name or IP address"),
        ("mqtt: {host: 'h:1883'}", "(the port goes into port)"),
        ("mqtt: {host: h, port: 0}", "port: should be"),
        ("mqtt: {}", "events.mqtt.host: missing key 'host'"),
        ("mqtt: {host: h, topic_prefix: 'a/#'}", "topic_prefix: should be the begin of a topic"),
        ("mqtt: {host: h, topic_prefix: ''}", "topic_prefix: should be the begin of a topic"),
        ("mqtt: {host: h, discovery_prefix: '+'}", "discovery_prefix: should be the begin of a topic"),
        ("mqtt: {host: h, password: s3cr3t, username: u}", "password: should be the name of a secret, such as ${NAME}"),
        ("mqtt: {host: h, password: '${A}'}", "password: there is a password, but no username"),
        ("mqtt: {host: h, ca_file: a.pem}", "ca_file: certificates are looked at with tls only (tls: true)"),
        ("mqtt: {host: h, pasword: s3cr3t}", "unknown key 'pasword', did you mean 'password'?"),
        ("webhooks: {a: {url: s3cr3t}}", "url: should be http:// or https:// with a host"),
        ("webhooks: {a: {url: 'http://u:s3cr3t@h/'}}", "url: a password does not belong here (write ${NAME} in its"),
        ("webhooks: {a: {url: 'http://h', secret: s3cr3t}}", "secret: should be the name of a secret"),
        ("webhooks: {a: {url: 'http://h', kinds: []}}", "kinds: an empty list would tell nothing"),
        ("webhooks: {a: {url: 'http://h', kinds: [now]}}", "kinds[0]: should be"),
        ("webhooks: {a: {url: 'http://h', timeout_s: 0}}", "timeout_s: should be"),
        ("webhooks: {a b: {url: 'http://h'}}", "a name is 1 to 63 letters"),
        ("webhooks: {a: {}}", "missing key 'url'"),
        ("webhooks: {" + ", ".join(f"a{i}: {{url: 'http://h'}}" for i in range(17)) + "}", "events.webhooks: "),
        ("media: {max_mib: 0}", "events.media.max_mib: should be"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(events: str, expected: str) -> None:
    (problem,) = problems(events)
    assert problem.startswith("f:2:")
    assert expected in problem


@pytest.mark.parametrize("url", ["https://u:${PASSWORD}@h/", "http://u@h:80/a?b=${SIGN}", "${URL}"])
def test_a_url_may_hold_secrets_by_their_names(url: str) -> None:
    told = find_recipients(settings(f"webhooks: {{a: {{url: '{url}'}}}}").events, KNOWN)
    assert told.faults == ()
    assert "s3cr3t" in told.webhooks[0].url


def test_a_url_that_turns_out_to_be_none_is_told_without_it() -> None:
    wanted = settings("webhooks: {a: {url: 'http://${SIGN} x/'}, b: {url: 'http://h/'}}")
    told = find_recipients(wanted.events, KNOWN)
    assert [each.path for each in told.faults] == [("events", "webhooks", "a", "url")]
    assert "s3cr3t" not in str(told.faults[0])
    assert told.names == ("webhook:b",)


def test_files_of_certificates_are_read(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "good.pem")
    (tmp_path / "bad.pem").write_text("nothing")

    def faults(file: str, scheme: str = "https") -> list[RecipientFault]:
        path = tmp_path / file
        hook = f"webhooks: {{a: {{url: '{scheme}://h', ca_file: {path}}}}}"
        return list(
            find_recipients(settings(f"mqtt: {{host: h, tls: true, ca_file: {path}}}, {hook}").events, KNOWN).faults
        )

    assert faults("good.pem") == []
    for file, expected in (("bad.pem", "holds no certificate"), ("none.pem", "No such file"), (".", "not a file")):
        found = faults(file)
        assert [each.path for each in found] == [("events", "mqtt", "ca_file"), ("events", "webhooks", "a", "ca_file")]
        assert all(expected in each.message for each in found)
    (fault,) = faults("good.pem", "http")
    assert str(fault) == "events.webhooks.a.ca_file: certificates are looked at with https only"


def test_check_says_where_a_secret_is_missing(tmp_path: Path) -> None:
    text = """
model: {name: a}
secrets_dir: secrets
events:
  enabled: true
  mqtt:
    host: broker.lan
    username: mosaicd
    password: ${MQTT_PASSWORD}
"""
    (tmp_path / "mosaicd.yaml").write_text(text)
    (tmp_path / "cameras.yaml").write_text("cameras: {}\n")

    def found() -> list[str]:
        all_of_them = check(tmp_path / "mosaicd.yaml", None, (), SecretSources())[2]
        return [str(problem) for problem in all_of_them if problem.path.startswith("events")]

    (problem,) = found()
    assert problem.startswith(f"{tmp_path}/mosaicd.yaml:9:15: events.mqtt.password: ${{MQTT_PASSWORD}} is not in")
    assert problem.endswith(f"(write it to the file {tmp_path}/secrets/MQTT_PASSWORD)")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "MQTT_PASSWORD").write_text("x\n")
    assert found() == []


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ("", ()),
        ("labels: [car, person]", ("car", "person")),
        ("zones: {a: {corners: C, labels: [person]}, b: {corners: C, labels: [dog]}}", ("dog", "person")),
        ("zones: {a: {corners: C, labels: [person]}, b: {corners: C}}", ()),
        ("labels: [car, dog], zones: {a: {corners: C, labels: [dog, cat]}}", ("dog",)),
        ("labels: [car], zones: {a: {corners: C}}", ("car",)),
    ],
)
def test_labels_are_expected_where_roster_and_rules_name_them(camera: str, expected: tuple[str, ...]) -> None:
    corners = camera.replace("C,", "[[0, 0], [1, 0], [1, 1]],").replace("C}", "[[0, 0], [1, 0], [1, 1]]}")
    text = f"cameras: {{a: {{url: 'rtsp://h/x', {corners}}}}}"
    roster = parse_roster(text, file="f", mosaic_fps=5.0, sources=KNOWN).require()
    assert expected_labels(roster.cameras[0]) == expected
