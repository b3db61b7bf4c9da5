"""The sample files load, show every key with its true default, and pass `check` on a machine that is set up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import yamltext
from daemon.check import check, check_files, model_labels
from daemon.problems import KeyPath, Severity, has_errors
from daemon.rosterfile import CameraDefaults, CameraEntry
from daemon.secrets import Secret, SecretSources
from daemon.settings import Device, Settings, load_settings, parse_settings
from daemon.sinksettings import MqttBroker, WebHook
from tests.system.colours import write_model

ETC = Path(__file__).parents[2] / "etc"
REQUIRED = {("model", "name")}


def leaves(values: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, values


def written(path: Path) -> dict[KeyPath, object]:
    document = yamltext.load(path).value
    assert document is not None
    return dict(leaves(document.value))


def test_the_sample_settings_hold_every_key_with_its_default() -> None:
    minimal = "model: {name: a}"
    defaults = parse_settings(minimal, file="f", base=Path()).require().model_dump(mode="json")
    expected = {path: value for path, value in leaves(defaults) if path not in REQUIRED}
    found = written(ETC / "mosaicd.yaml")
    assert {path: value for path, value in found.items() if path not in REQUIRED} == expected
    assert found.keys() >= REQUIRED


def test_the_sample_settings_are_the_defaults() -> None:
    sample = load_settings(ETC / "mosaicd.yaml")
    assert sample == Settings.model_validate({"model": sample.model, "roster": ETC / "cameras.yaml"})
    assert sample.devices == {"auto": Device()}


def test_the_sample_roster_holds_every_key_with_its_default() -> None:
    found = {path[1]: value for path, value in written(ETC / "cameras.yaml").items() if path[0] == "defaults"}
    assert found == CameraDefaults().model_dump(mode="json")
    assert CameraEntry.model_fields.keys() - found.keys() == {"url", "detect_url"}


@pytest.mark.parametrize("name", ["mosaicd.yaml", "cameras.yaml"])
def test_every_key_of_a_sample_has_a_comment(name: str) -> None:
    """One comment may speak for several keys that follow it at once."""
    commented = False
    for line in (ETC / name).read_text().splitlines():
        if name == "cameras.yaml" and line.startswith("cameras:"):
            break
        if line.lstrip().startswith("#"):
            commented = True
        elif not line.strip():
            commented = False
        else:
            assert commented, line


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A machine that is set up: the samples with model files, a state folder and one secret."""
    text = (ETC / "mosaicd.yaml").read_text()
    text = text.replace("/var/lib/mosaicd", str(tmp_path / "state")).replace("/etc/mosaicd", str(tmp_path))
    (tmp_path / "mosaicd.yaml").write_text(text)
    roster = (ETC / "cameras.yaml").read_text()
    (tmp_path / "cameras.yaml").write_text(roster.replace("enabled: false", "enabled: true"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "FRONT_DOOR_PASSWORD").write_text("hunter2\n")
    folder = tmp_path / "state" / "models" / "yolo-fastest-1.1-xl"
    folder.mkdir(parents=True)
    model = write_model(folder)
    model.cfg.rename(folder / "model.cfg")
    model.weights.rename(folder / "model.weights")
    model.names.unlink()
    (folder / "model.names").write_text("person\ncar\ndog\ncat\nbus\ntruck\n\n")
    return tmp_path


def with_files(folder: Path) -> list[str]:
    """Overrides that name the model's files in place of its name."""
    return ["model.name=null", *(f"model.{key}={folder / f'model.{key}'}" for key in ("cfg", "weights", "names"))]


def test_the_samples_pass_on_a_machine_that_is_set_up(site: Path) -> None:
    settings, roster, problems = check(site / "mosaicd.yaml", None, ["mosaic.fps=4"], SecretSources())
    assert problems == []
    assert settings is not None
    assert settings.mosaic.fps == 4
    assert roster is not None
    assert [camera.name for camera in roster.enabled] == ["front-door", "yard", "recording"]
    assert roster.cameras[0].password == Secret("hunter2")
    assert sorted(path.name for path in settings.state_dir.iterdir()) == ["models"]


def test_the_samples_include_is_right(site: Path) -> None:
    text = (site / "cameras.yaml").read_text()
    assert text.count("\n# include: ") == 1
    (site / "cameras.yaml").write_text(text.replace("\n# include: ", "\ninclude: "))
    (site / "cameras.d").mkdir()
    (site / "cameras.d" / "shed.yaml").write_text("cameras: {shed: {url: 'rtsp://h/', labels: [persn]}}\n")
    _, roster, problems = check(site / "mosaicd.yaml", None, [], SecretSources())
    assert roster is not None
    assert roster.cameras[-1].name == "shed"
    [problem] = problems
    assert str(problem).startswith(f"{site}/cameras.d/shed.yaml:1:45: cameras.shed.labels[0]: the model has no label")


def test_the_samples_recipients_of_events_are_right(site: Path) -> None:
    head, begin, events = (site / "mosaicd.yaml").read_text().partition("\nevents:")
    events = events.replace("\n  #   ", "\n  ").replace("\n  mqtt: null", "").replace("\n  webhooks: {}", "")
    (site / "mosaicd.yaml").write_text(head + begin + events.replace("enabled: false", "enabled: true"))
    secrets = {"MQTT_PASSWORD": "a", "ALARM_URL": "https://hooks.example.org/", "ALARM_SECRET": "b"}
    settings, _, problems = check(site / "mosaicd.yaml", None, [], SecretSources(environ=secrets))
    assert problems == []
    assert settings is not None
    mqtt, hook = settings.events.mqtt, settings.events.webhooks["alarm"]
    assert mqtt == MqttBroker(host="broker.lan", username="mosaicd", password="${MQTT_PASSWORD}")
    assert mqtt.model_fields_set == MqttBroker.model_fields.keys()
    assert hook == WebHook(url=Secret("${ALARM_URL}"), secret="${ALARM_SECRET}")
    assert hook.model_fields_set == WebHook.model_fields.keys()


def test_settings_and_roster_are_judged_together(site: Path) -> None:
    broken = (site / "mosaicd.yaml").read_text().replace("port: 9109", "prot: 9109")
    (site / "mosaicd.yaml").write_text(broken)
    roster = (site / "cameras.yaml").read_text().replace("FRONT_DOOR_PASSWORD}", "FRONT}").replace("fps: 2", "fps: 9")
    (site / "cameras.yaml").write_text(roster)
    settings, cameras, problems = check(site / "mosaicd.yaml", None, ["mosaic.stale_s=x"], SecretSources())
    assert (settings, cameras) == (None, None)
    assert [(problem.path, problem.file.split("/")[-1]) for problem in problems] == [
        ("mosaic.stale_s", "--set mosaic.stale_s=x"),
        ("cameras.front-door.password", "cameras.yaml"),
        ("http.prot", "mosaicd.yaml"),
    ]
    assert f"secrets_dir ({site}/secrets)" in problems[1].message


@pytest.mark.parametrize("settings_text", ["", "- a", "mosaic: 5", "a: [", "roster: cameras.yaml\nmosaic: {fps: 3}"])
def test_broken_settings_do_not_hide_the_rosters_problems(site: Path, settings_text: str) -> None:
    (site / "mosaicd.yaml").write_text(settings_text)
    (site / "cameras.yaml").write_text("cameras: {gate: {}}")
    settings, roster, problems = check(site / "mosaicd.yaml", None, [], SecretSources())
    assert (settings, roster) == (None, None)
    assert {problem.path for problem in problems} >= {"cameras.gate.url"}
    assert {Path(problem.file).name for problem in problems} == {"mosaicd.yaml", "cameras.yaml"}


def test_the_rosters_path_may_be_given(site: Path) -> None:
    other = site / "other.yaml"
    other.write_text("cameras: {gate: {url: 'rtsp://h/', labels: [persn]}}")
    _, roster, problems = check(site / "mosaicd.yaml", other, [], SecretSources())
    assert roster is not None
    assert [str(problem) for problem in problems] == [
        f"{other}:1:45: cameras.gate.labels[0]: the model has no label 'persn', did you mean 'person'?"
    ]


def test_missing_files_are_named_with_their_keys_places(site: Path) -> None:
    folder = site / "files"
    (folder / "model.names").mkdir(parents=True)
    (site / "cameras.yaml").unlink()
    overrides = [f"state_dir={site}/none", *with_files(folder)]
    settings, roster, problems = check(site / "mosaicd.yaml", None, overrides, SecretSources())
    assert settings is not None
    assert roster is None
    assert {(problem.path, problem.message) for problem in problems} == {
        ("state_dir", f"no such folder: {site}/none"),
        ("model.cfg", f"no such file: {folder}/model.cfg"),
        ("model.weights", f"no such file: {folder}/model.weights"),
        ("model.names", f"not a file: {folder}/model.names"),
        ("", "no such file"),
    }
    assert has_errors(problems)


def test_a_model_that_was_not_fetched_is_named_with_the_command(site: Path) -> None:
    (site / "state" / "models" / "yolo-fastest-1.1-xl").rename(site / "elsewhere")
    _, _, problems = check(site / "mosaicd.yaml", None, [], SecretSources())
    [problem] = problems
    assert (problem.path, problem.line > 0) == ("model.name", True)
    assert f"mosaicd models fetch yolo-fastest-1.1-xl --state-dir {site}/state" in problem.message


def test_a_state_folder_that_is_a_file_is_a_problem(site: Path) -> None:
    folder = site / "state" / "models" / "yolo-fastest-1.1-xl"
    overrides = [f"state_dir={site}/mosaicd.yaml", *with_files(folder)]
    settings = load_settings(site / "mosaicd.yaml", overrides)
    assert [str(problem) for problem in check_files(settings)] == [
        f"settings: state_dir: not a folder: {site}/mosaicd.yaml"
    ]


def test_what_a_worker_would_refuse_at_a_look_is_a_problem(site: Path) -> None:
    weights = site / "state" / "models" / "yolo-fastest-1.1-xl" / "model.weights"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    _, _, problems = check(site / "mosaicd.yaml", None, [], SecretSources())
    assert [problem.path for problem in problems] == ["model"]
    assert f"{len(whole) - 4} bytes" in str(problems[0])
    assert str(len(whole)) in str(problems[0])


def test_nothing_at_all_is_one_problem_a_file(tmp_path: Path) -> None:
    settings, roster, problems = check(tmp_path / "none.yaml", None, [], SecretSources())
    assert (settings, roster) == (None, None)
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/cameras.yaml: no such file",
        f"{tmp_path}/none.yaml: no such file",
    ]
    assert all(problem.severity is Severity.ERROR for problem in problems)


def test_labels_of_a_model_are_its_lines(tmp_path: Path) -> None:
    (tmp_path / "a.names").write_text("person\ntraffic light\n\n")
    assert model_labels(tmp_path / "a.names") == ("person", "traffic light")
    assert model_labels(tmp_path / "none") == ()
