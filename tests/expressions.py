"""Every expression that the shipped rules, alerts, console and dashboard ask Prometheus, and the metrics in them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
CONSOLE = PROMETHEUS / "consoles" / "mosaicd.html"
DASHBOARD = DEPLOY / "grafana" / "mosaicd.json"
RULE_FILES = (PROMETHEUS / "mosaicd.rules.yml", PROMETHEUS / "mosaicd.alerts.yml")

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"\b(?:[a-z]+:)?(?:mosaicd|process)_[a-z0-9_]+(?::[a-z0-9_]+)?")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@dataclass(frozen=True, slots=True)
class Expression:
    """One, and where it stands."""

    place: str
    text: str
    """With nothing left to be filled in."""

    def metrics(self) -> set[str]:
        """Names of the metrics in it, as they are documented: a histogram has one name; recorded ones too."""
        names = _NAME.findall(_STRING.sub('""', self.text))
        return {_SUFFIX.sub("", name) if ":" not in name else name for name in names}


def rules() -> Iterator[dict[str, Any]]:
    """Yield the rules of both files."""
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def of_rules() -> Iterator[Expression]:
    for rule in rules():
        yield Expression(rule.get("alert") or rule["record"], rule["expr"])


def of_console() -> Iterator[Expression]:
    """Those between backquotes; a label is filled in with anything."""
    for text in re.findall(r"`([^`]+)`", CONSOLE.read_text()):
        yield Expression("console", text.replace("%s", 'job="mosaicd"'))


def of_dashboard() -> Iterator[Expression]:
    """Those of all panels; variables are filled in as Grafana would."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$instance", ".+").replace("$__rate_interval", "1m")
            yield Expression(f"dashboard: {panel['title']}", text)


def expressions() -> list[Expression]:
    """Return all of them."""
    return [*of_rules(), *of_console(), *of_dashboard()]
