"""What ships for Prometheus and Grafana is valid, asks for nothing that is not documented, and says what to do."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from daemon.cli import app
from daemon.metrics import make_registry, render
from tests.daemon.test_metrics import SNAPSHOT
from tests.expressions import CONSOLE, DASHBOARD, DEPLOY, PROMETHEUS, RULE_FILES, expressions, of_dashboard, rules

ROOT = DEPLOY.parent
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTS = [rule for rule in rules() if "alert" in rule]
PANELS = json.loads(DASHBOARD.read_text())["panels"]

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool: make clients")


def promtool(*arguments: object) -> None:
    """Run it; what it complains of is the failure."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def documented() -> set[str]:
    """Names of the metrics that deploy/METRICS.md documents."""
    return set(
        re.findall(r"^\| `([a-z_]+)` \| (?:gauge|counter|histogram) ", (DEPLOY / "METRICS.md").read_text(), re.M)
    )


@needs_promtool
def test_promtool_accepts_configuration_and_rules():
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


@needs_promtool
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_unit_tests_of_rules_pass(path: Path):
    promtool("test", "rules", path)


@needs_promtool
def test_every_expression_of_console_and_dashboard_can_be_parsed(tmp_path):
    asked = sorted({each.text for each in expressions()})
    made = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": made}]}))
    promtool("check", "rules", tmp_path / "asked.yml")


def test_every_rule_has_a_unit_test():
    text = "\n".join(path.read_text() for path in UNIT_TESTS)
    missing = [rule for rule in rules() if rule.get("alert", rule.get("record")) not in text]
    assert missing == []


def test_no_expression_is_on_a_metric_that_is_not_documented():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = documented() | recorded
    asked = {name: each.place for each in expressions() for name in each.metrics()}
    assert {name: place for name, place in asked.items() if name not in known} == {}
    # The reverse, as far as it holds: what operators are shown is most of what there is, and what is recorded is shown.
    assert recorded <= asked.keys()
    assert len(documented() & asked.keys()) > len(documented()) / 2


def test_an_alert_says_what_to_do_with_a_command_that_there_is():
    commands = get_command(app).commands
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, alert
        assert alert["annotations"]["summary"], alert
        said = alert["annotations"]["description"]
        assert said.endswith(".") and "`" in said, said
        for first, second in re.findall(r"`mosaicd (\w+)(?: (\w+))?", said):
            assert first in commands and (not second or second in commands[first].commands), said
        assert re.fullmatch(r"Mosaicd[A-Za-z]+", alert["alert"])


def test_alerts_cover_what_operators_are_woken_for():
    assert {alert["alert"] for alert in ALERTS} >= {
        "MosaicdAbsent",
        "MosaicdCameraDown",
        "MosaicdCameraFrozen",
        "MosaicdDisk",
        "MosaicdMosaicUnanswered",
        "MosaicdReloadFailed",
        "MosaicdWorkerCrashLoop",
        "MosaicdWorkerOutOfMemory",
        "MosaicdWorkerQuotaNearLimit",
    }


def test_nothing_is_fetched_from_elsewhere():
    for path in (CONSOLE, *(PROMETHEUS / "console_libraries").iterdir()):
        found = re.findall(
            r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", path.read_text(), flags=re.S)
        )
        assert set(found) <= {"http://www.w3.org"}, path  # the name of SVG


def test_panels_of_the_dashboard_are_whole():
    dashboard = json.loads(DASHBOARD.read_text())
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "instance"}
    assert dashboard["uid"] and dashboard["schemaVersion"] >= 36
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["Overview", "Workers and memory", "Latency and drops", "Events", "Restarts by cause"]
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["w"] >= 1 and place["h"] >= 1 and place["x"] >= 0 and place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["type"] in {"stat", "timeseries", "state-timeline", "heatmap"}
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    assert not any("$" in each.text for each in of_dashboard()), "a variable that is not known"


def test_panels_of_the_dashboard_do_not_overlap():
    def cells(panel: dict) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}

    assert not any(cells(one) & cells(other) for one, other in combinations(PANELS, 2))


def test_grafana_is_told_where_prometheus_and_the_dashboard_are():
    folder = DEPLOY / "grafana" / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "mosaicd.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    [provider] = yaml.safe_load((folder / "dashboards" / "mosaicd.yaml").read_text())["providers"]
    assert provider["type"] == "file" and provider["options"]["path"] in (ROOT / "README.md").read_text()


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_metrics():
    text = render(make_registry(lambda: SNAPSHOT, version="1.2.3"))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
