"""``mosaicd plan``: quotas of this machine, plans from measurements, what is refused."""

import json
from pathlib import Path

import pytest

from daemon.cli_plan import FPS
from daemon.devices import Device, DeviceKind, FoundDevices, Plan, Unplannable
from daemon.settings import Mosaic, parse_settings
from daemon.site import plan_site
from tests.daemon.test_cli import invoke, write_site

GTX_1080 = Path(__file__).parent / "data" / "gtx1080.json"


def table_of(output: str) -> list[str]:
    """The quota table's lines."""
    lines = output.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("Memory of the workers"))
    last = next(place for place, line in enumerate(lines) if line.startswith("needed = "))
    return lines[first : last + 1]


def test_the_conclusion_of_2019_is_printed() -> None:
    code, output = invoke("plan", "--measured", f"{GTX_1080}:3", "--cameras", "32", "--fps", "3")
    assert code == 0
    assert output.count("fraction 0.25 │       3 │       - │      2048") == 3
    assert "3 workers of 0.30 of 8192 MiB need 9383 MiB" in output
    assert "refused: largest fraction 0.25" in output
    assert "Every mosaic is answered 3 times a second; memory is nearest to its end" in output
    assert "decoding not measured, memory 100 %" in output
    assert all(f"cam-{number:02}" in output for number in range(1, 33))


def test_without_settings_the_rate_is_that_of_settings_that_say_nothing() -> None:
    assert Mosaic.model_fields["fps"].default == FPS


def test_as_json_it_is_one_object() -> None:
    args = ("plan", "--measured", str(GTX_1080), "--cameras", "32", "--fps", "3", "--decode-ms", "30", "--cores", "2")
    code, output = invoke(*args, "--json")
    told = json.loads(output)
    assert code == 1  # one card is not enough
    assert told["needs"] == [{"kind": "GTX 1080", "devices": 3, "slowest_hz": 3.0}]
    assert (told["is_met"], told["binds"], told["mosaics"]) == (False, "arithmetic", 8)
    assert told["load"]["decoding"] == pytest.approx(32 * 0.03 / 2)
    assert told["losses"] == [{"device": "gtx1080-0", "slowest_hz": 0.0, "is_met": False}]
    assert [quota["largest_fraction"] for quota in told["quotas"] if not quota["fits"]] == [0.25]
    assert len(told["cameras"]) == 32


def test_the_roster_of_a_site_is_planned_at_its_own_rates(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    (tmp_path / "cameras.yaml").write_text(
        "cameras:\n  gate: {url: 'rtsp://192.0.2.1/', fps: 1}\n  yard: {url: 'rtsp://192.0.2.2/'}\n"
    )
    args = ("--settings", str(settings), "--set", "mosaic.fps=4", "--measured", str(GTX_1080), "--json")
    code, output = invoke("plan", *args)
    rates = [(rate["camera"], rate["wanted_hz"], rate["expected_hz"]) for rate in json.loads(output)["cameras"]]
    assert (code, rates) == (0, [("gate", 1.0, 1.0), ("yard", 4.0, 4.0)])


def test_without_a_measurement_check_and_plan_print_the_same_table(tmp_path: Path) -> None:
    settings = str(write_site(tmp_path))
    for override in ("devices.cpu.workers=1", "devices.cpu={workers: 2, memory: {mode: fraction, fraction: 0.5}}"):
        _, checked = invoke("check", "--settings", settings, "--set", override)
        code, planned = invoke("plan", "--settings", settings, "--set", override)
        assert table_of(planned) == table_of(checked)
        assert code == (1 if "refused" in planned else 0)
        assert "5 cameras, 2 mosaics. How fast they are answered was not measured: mosaicd bench share" in planned


def test_without_a_measurement_json_has_the_quotas(tmp_path: Path) -> None:
    settings = str(write_site(tmp_path))
    args = ("plan", "--settings", settings, "--set", "devices.cpu.workers=1", "--cameras", "40", "--json")
    code, output = invoke(*args)
    told = json.loads(output)
    assert (code, told["cameras_wanted"], told["mosaics"], told["problems"]) == (0, 40, 10, [])
    assert [(quota["device"], quota["workers"], quota["fits"]) for quota in told["quotas"]] == [("cpu", 1, True)]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ("none.json", "none.json: No such file or directory"),
        ("mosaicd.yaml", "mosaicd.yaml: no measurement of `mosaicd bench share --json`"),
        (f"{GTX_1080}:0", "the count must be from 1 to 1000"),
    ],
)
def test_a_measurement_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: str, words: str
) -> None:
    write_site(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, output = invoke("plan", "--measured", measured, "--cameras", "4")
    assert code == 2
    assert words in " ".join(output.replace("│", " ").split())


def test_broken_settings_are_named_with_what_would_do_without(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    settings.write_text("htttp: {}\n")
    code, output = invoke("plan", "--settings", str(settings))
    assert code == 78
    assert "htttp" in output
    assert "give --measured FILE and --cameras N" in output


def test_a_roster_without_cameras_is_no_demand(tmp_path: Path) -> None:
    settings = write_site(tmp_path)
    (tmp_path / "cameras.yaml").write_text("cameras:\n  gate: {url: 'rtsp://192.0.2.1/', enabled: false}\n")
    code, output = invoke("plan", "--settings", str(settings))
    assert code == 78
    assert "camera" in output


@pytest.mark.parametrize(
    ("memory", "outcome"), [("{mode: growth}", Plan), ("{mode: fraction, fraction: 0.3}", Unplannable)]
)
def test_a_site_is_planned_on_the_devices_that_were_found(memory: str, outcome: type) -> None:
    card = Device("gpu-0", DeviceKind.GPU, "GPU-aaaa", 8192)
    found = FoundDevices((card, Device("cpu", DeviceKind.CPU, "", 16000, cores=4)), ("gpu-1: GPU is lost",))
    text = f"model: {{name: demo}}\ndevices: {{GPU-aaaa: {{workers: 3, memory: {memory}}}}}\n"
    settings = parse_settings(text, file="mosaicd.yaml", base=Path("/")).require()
    planned = plan_site(settings, 8, {}, lambda: found)
    assert isinstance(planned.workers, outcome)
    assert [quota.device for quota in planned.workers.quotas] == ["gpu-0"]
    assert planned.notices[0] == "gpu-1: GPU is lost"
    assert any("starve" in notice for notice in planned.notices) == (outcome is Plan)
