"""Settings: defaults, every rule with its sentence, all problems at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from daemon.fieldtypes import CanvasSize, Strict
from daemon.problems import ConfigError, has_errors
from daemon.settings import Device, Settings, load_settings, parse_settings

MODEL = "model: {cfg: m.cfg, weights: m.weights, names: /n/m.names}\n"
BASE = Path("/etc/mosaicd")


def settings(text: str, *overrides: str) -> Settings:
    return parse_settings(MODEL + text, file="f", base=BASE, overrides=overrides).require()


def problems(text: str, *overrides: str) -> list[str]:
    return [str(p) for p in parse_settings(MODEL + text, file="f", base=BASE, overrides=overrides).problems]


def test_model_paths_alone_are_enough() -> None:
    found = settings("")
    assert found.model.cfg == Path("/etc/mosaicd/m.cfg")
    assert found.model.names == Path("/n/m.names")
    assert found.roster == Path("/etc/mosaicd/cameras.yaml")
    assert found.mosaic.canvas == CanvasSize(832, 512)
    assert found.mosaic.canvas.tile_wh == (416, 256)
    assert dict(found.devices) == {"auto": Device()}
    assert found.devices["auto"].memory.fraction is None


def test_a_models_name_alone_is_enough() -> None:
    found = parse_settings("model: {name: demo}", file="f", base=BASE).require()
    assert (found.model.name, found.model.cfg) == ("demo", None)
    assert (found.model.engine, found.model.precision, found.model.input, found.model.batch) == ("auto",) * 4
    assert found.devices["auto"].threads == "auto"
    assert found.cache_folder == Path("/var/lib/mosaicd/cache")
    assert settings("cache_dir: /tmp/c").cache_folder == Path("/tmp/c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "model: {name: a, cfg: b}",
            "f:1:23: model.cfg: name stands for all three files, but cfg is given too (leave one out)",
        ),
        (
            "model: {score: 0.5}",
            "f:1:8: model: no model is named (give name, or cfg, weights and names; `mosaicd models list` knows names)",
        ),
        ("model: {name: a, batch: 17}", "f:1:25: model.batch: should be auto or a whole number from 1 to 16"),
        (
            "model: {name: a, precision: int8}",
            "f:1:29: model.precision: should be 'auto', 'float32', 'bfloat16' or 'float16'",
        ),
    ],
)
def test_a_model_is_named_once(text: str, expected: str) -> None:
    assert [str(p) for p in parse_settings(text, file="f", base=BASE).problems] == [expected]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        settings("").http.port = 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("htpp: {}", ["f:2:1: htpp: unknown key 'htpp', did you mean 'http'?"]),
        ("fps: 5", ["f:2:1: fps: unknown key 'fps' (it belongs under 'mosaic')"]),
        (
            "logging:\n  colour: red",
            ["f:3:3: logging.colour: unknown key 'colour' (known here: level, format)"],
        ),
        ("sinks: {jsonl: {max_mb: 5}}", ["f:2:17: sinks.jsonl.max_mb: unknown key 'max_mb', did you mean 'max_mib'?"]),
        (
            "devices: {cpu: {memory: {fracton: 0.1}}}",
            ["f:2:26: devices.cpu.memory.fracton: unknown key 'fracton', did you mean 'fraction'?"],
        ),
        ("mosaic: {fps: abc}", ["f:2:15: mosaic.fps: should be a number, not text"]),
        ("mosaic: {fps: true}", ["f:2:15: mosaic.fps: should be a number, not true or false"]),
        ("mosaic: {fps: 12:30:00}", ["f:2:15: mosaic.fps: should be a number, not text"]),
        ("mosaic: {fps: .inf}", ["f:2:15: mosaic.fps: should be a finite number"]),
        ("mosaic: {fps: 0}", ["f:2:15: mosaic.fps: should be greater than 0"]),
        ("mosaic: {fsp}", ["f:2:10: mosaic: unknown key without a value (quote a value that holds ',' or '}')"]),
        ("mosaic:\n  fps:\n", ["f:3:7: mosaic.fps: should be a number, not empty"]),
        ("mosaic: 5", ["f:2:9: mosaic: should be a mapping (key: value), not a number"]),
        (
            "mosaic: {fps: 2, stale_s: 0.3}",
            [
                "f:2:27: mosaic.stale_s: 0.3 s is shorter than one frame at 2 fps: every tile would be blank"
                " (at least 0.5)"
            ],
        ),
        ("http: {port: 9109.5}", ["f:2:14: http.port: should be a whole number, not a decimal number"]),
        ("http: {port: 70000}", ["f:2:14: http.port: should be less than or equal to 65535"]),
        (
            "http: {address: 0.0.0.0}",
            [
                "f:2:17: http.address: whoever reaches this address could read and change all: a token is needed"
                " (token: ${HTTP_TOKEN}, and `openssl rand -hex 32` in the file HTTP_TOKEN in secrets_dir;"
                " or 127.0.0.1)"
            ],
        ),
        (
            "http: {token: hunter2}",
            [
                "f:2:15: http.token: should be the name of a secret, such as ${NAME}"
                " (the secret itself belongs into a file of that name in secrets_dir)"
            ],
        ),
        (
            "http: {hosts: ['https://cams.example.org/']}",
            [
                "f:2:16: http.hosts[0]: should be a host's name or IP address, such as cams.example.org"
                " (without scheme, port and path)"
            ],
        ),
        ("http: {address: example.org}", ["f:2:17: http.address: should be an IP address"]),
        ("logging: {level: loud}", ["f:2:18: logging.level: should be 'debug', 'info', 'warning' or 'error'"]),
        ("capture: {processes: 0}", ["f:2:22: capture.processes: should be auto or a whole number from 1 to 64"]),
        ("state_dir: 5", ["f:2:12: state_dir: should be a path"]),
        ("state_dir: ''", ["f:2:12: state_dir: should be a path of printable characters"]),
        ("sinks: {jsonl: {enabled: maybe}}", ["f:2:26: sinks.jsonl.enabled: should be true or false, not text"]),
    ],
)
def test_each_problem_has_its_place_and_sentence(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(
    ("canvas", "expected"),
    [
        ("832x512", []),
        ("64x4096", []),
        (
            "800x500",
            [
                "a tile is half the canvas and should be a multiple of 32 pixels both ways (nearest: 768x512)",
            ],
        ),
        ("832", ["should be WIDTHxHEIGHT in pixels, such as 832x512"]),
        ("832x", ["should be WIDTHxHEIGHT in pixels, such as 832x512"]),
        ("0x0", ["should be between 64 and 4096 pixels both ways"]),
        ("99999x64", ["should be between 64 and 4096 pixels both ways"]),
        ("[832, 512]", ["should be WIDTHxHEIGHT in pixels, such as 832x512"]),
    ],
)
def test_tiles_fit_the_stride(canvas: str, expected: list[str]) -> None:
    assert problems(f"mosaic: {{canvas: {canvas}}}") == [f"f:2:18: mosaic.canvas: {message}" for message in expected]


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("{workers: 4}", []),
        ("{workers: 10, memory: {fraction: 0.1}}", []),
        ("{workers: 3, memory: {fraction: 0.3333}}", []),
        ("{workers: 1, memory: {mode: all}}", []),
        ("{workers: 1, memory: {mode: growth}}", []),
        ("{memory: {reserve_mib: 0, overhead_mib: 700}}", []),
        (
            "{memory: {reserve_mib: -1}}",
            ["f:2:39: devices.cpu.memory.reserve_mib: should be greater than or equal to 0"],
        ),
        (
            "{memory: {overhead_mib: some}}",
            ["f:2:40: devices.cpu.memory.overhead_mib: should be auto or a whole number of MiB from 0 to 16777216"],
        ),
        (
            "{workers: 3, memory: {fraction: 0.4}}",
            [
                "f:2:48: devices.cpu.memory.fraction: 3 workers of 0.4 each are 1.2 of the device"
                " (at most fraction: 0.3333, or workers: 2)"
            ],
        ),
        ("{workers: 8}", []),
        (
            "{workers: 2, memory: {mode: all}}",
            [
                "f:2:44: devices.cpu.memory.mode: mode all gives the whole device to one worker, but there are 2"
                " (use mode fraction, or workers: 1)"
            ],
        ),
        (
            "{workers: 2, memory: {mode: growth}}",
            [
                "f:2:44: warning: devices.cpu.memory.mode: with mode growth one worker can take the memory of all"
                " others (use mode fraction, or workers: 1)"
            ],
        ),
    ],
)
def test_quotas_fit_on_a_device(device: str, expected: list[str]) -> None:
    assert problems(f"devices: {{cpu: {device}}}") == expected


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ("auto", []),
        ("{auto: {workers: 2}}", []),
        ("{cpu: {}, GPU-5f2c1a9e-12ab-34cd-56ef-0123456789ab: {workers: 3}}", []),
        (
            "{auto: {}, cpu: {}}",
            [
                "f:2:10: devices: auto stands for every device and cannot stand beside others"
                " (name them all, or only auto)"
            ],
        ),
        (
            "{gpu0: {}}",
            [
                "f:2:11: devices.gpu0: a device is auto, cpu, a part of it (cpu:0, cpu:1, …), or a GPU's UUID (GPU-…)"
                " (`nvidia-smi -L` lists the UUIDs)"
            ],
        ),
        (
            "{MIG-GPU-5f2c/1/0: {}}",
            [
                "f:2:11: devices.MIG-GPU-5f2c…: slices of a GPU (MIG) are not supported: their memory is not in the"
                " inventory, so no quota would hold (switch MIG off (`nvidia-smi -mig 0`) and name the GPU: its workers"
                " share it by memory.fraction)"
            ],
        ),
        ("{'cpu:0': {}, 'cpu:1': {workers: 2}}", []),
        (
            "{cpu: {}, 'cpu:0': {}}",
            [
                "f:2:10: devices: cpu is the whole of which cpu:0 is a part (name cpu alone, or only its parts)",
            ],
        ),
        (
            "{'cpu:0': {}, 'cpu:2': {}}",
            [
                "f:2:10: devices: 2 parts of the CPU are named, but not cpu:1 (number them from cpu:0 on)",
            ],
        ),
        ("[cpu]", ["f:2:10: devices: should be auto, or a mapping of devices: auto, cpu, or a GPU's UUID"]),
        ("{}", ["f:2:10: devices: should be auto, or a mapping of devices: auto, cpu, or a GPU's UUID"]),
    ],
)
def test_devices_are_auto_the_cpu_or_uuids(devices: str, expected: list[str]) -> None:
    assert problems(f"devices: {devices}") == expected


def test_all_problems_come_at_once() -> None:
    text = "http: {port: x}\nmosaic: {fps: no, stale: 1}\nlogging: {level: loud}\n"
    assert [p.split(": ")[1] for p in problems(text)] == ["http.port", "mosaic.fps", "mosaic.stale", "logging.level"]


def test_missing_model_is_named() -> None:
    result = parse_settings("", file="f", base=BASE)
    assert [str(p) for p in result.problems] == ["f:1:1: model: missing key 'model'"]
    result = parse_settings("http: {}\nmodel: {cfg: a, names: b}", file="f", base=BASE)
    assert [str(p) for p in result.problems] == ["f:2:1: model.weights: missing key 'weights'"]


@pytest.mark.parametrize("text", ["- a", "text", "5"])
def test_settings_are_a_mapping(text: str) -> None:
    (problem,) = parse_settings(text, file="f", base=BASE, overrides=["mosaic.fps=5"]).problems
    assert problem.message.startswith("should be a mapping")


@pytest.mark.parametrize(("word", "value"), [("yes", True), ("no", False), ("Off", False), ("true", True)])
def test_switches_take_the_words_of_old_yaml(word: str, value: bool) -> None:
    assert settings(f"sinks: {{jsonl: {{enabled: {word}}}}}").sinks.jsonl.enabled is value


def test_overrides_win_over_the_file() -> None:
    found = settings("mosaic: {fps: 3}\ndevices: auto", "mosaic.fps=4", "devices.cpu.workers=2", "state_dir=state")
    assert found.mosaic.fps == 4
    assert found.devices["cpu"].workers == 2
    assert found.state_dir == BASE / "state"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("mosaic.fps=abc", "--set mosaic.fps=abc: mosaic.fps: should be a number, not text"),
        ("mosaic.fsp=5", "--set mosaic.fsp=5: mosaic.fsp: unknown key 'fsp', did you mean 'fps'?"),
        ("mosiac.fps=5", "--set mosiac.fps=5: mosiac: unknown key 'mosiac', did you mean 'mosaic'?"),
        ("mosaic.fps=", "--set mosaic.fps=: mosaic.fps: should be a number, not empty"),
        ("logging.level=[", "--set logging.level=[: not valid YAML"),
    ],
)
def test_a_bad_override_is_reported_as_typed(override: str, problem: str) -> None:
    assert problems("", override) == [problem]


def test_load_settings_reads_a_file_or_raises_all(tmp_path: Path) -> None:
    path = tmp_path / "mosaicd.yaml"
    path.write_text(MODEL + "http: {port: 80}")
    assert load_settings(path, ["http.port=81"]).http.port == 81
    assert load_settings(path).model.cfg == tmp_path / "m.cfg"
    path.write_text(MODEL + "http: {port: x}")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, ["mosaic.fps=x"])
    assert [problem.path for problem in caught.value.problems] == ["mosaic.fps", "http.port"]
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "none.yaml")


def blocks(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for inner in Strict.__subclasses__():
        if any(inner.__name__ in str(info.annotation) for info in model.model_fields.values()):
            yield from blocks(inner)


def test_every_key_has_a_description_and_a_schema() -> None:
    found = set(blocks(Settings))
    assert len(found) >= 10
    for block in found:
        for name, info in block.model_fields.items():
            assert info.description, f"{block.__name__}.{name}"


def test_the_json_schema_says_defaults_as_they_are_written() -> None:
    schema = Settings.model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["required"] == ["model"]
    assert schema["$defs"]["Mosaic"]["properties"]["canvas"]["default"] == "832x512"
    assert schema["properties"]["devices"]["anyOf"][0] == {"const": "auto"}


@hypothesis_settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=30))
def test_any_text_gives_settings_or_errors(text: str, override: str) -> None:
    for whole in (text, MODEL + text):
        result = parse_settings(whole, file="f", base=BASE, overrides=[override])
        assert (result.value is None) <= has_errors(result.problems)
