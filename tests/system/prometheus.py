"""A real Prometheus on the stage: the shipped configuration, once a second, on a free port of this machine."""

import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.expressions import PROMETHEUS, RULE_FILES
from tests.system.stage import wait_until

FOR = "2s"
"""How long a condition holds here before its alert fires, whatever the shipped rule says: nobody waits for minutes."""


def is_here() -> bool:
    return shutil.which("prometheus") is not None


class Prometheus:
    """One server, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def api(self, path: str, **asked: str) -> Any:
        """Return the data of an answer."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression is now: metrics and values."""
        return self.api("query", query=expression)["result"]

    def value(self, expression: str) -> float:
        """Return the value of one that has one."""
        [found] = self.query(expression)
        return float(found["value"][1])

    def firing(self) -> set[tuple[str, str]]:
        """Return names of the alerts that fire, with whom they are about."""
        about = ("camera", "mosaic", "worker", "process", "sink", "device")
        return {
            (alert["labels"]["alertname"], "".join(alert["labels"].get(label, "") for label in about))
            for alert in self.api("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def write_configuration(folder: Path, daemon_port: int) -> Path:
    """Write the shipped configuration and rules with short intervals, for a daemon on this port; return its path."""
    for path in RULE_FILES:
        (folder / path.name).write_text(re.sub(r"(?m)^( +for:) \w+$", rf"\1 {FOR}", path.read_text()))
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    [job] = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{daemon_port}"]}]
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    return folder / "prometheus.yml"


def free_port() -> int:
    """Return a port that nobody listens on. It cannot be told to take any and say which."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def watching(folder: Path, daemon_port: int) -> Iterator[Prometheus]:
    """Run a server that scrapes the daemon on this port; it is ended at the end."""
    folder.mkdir()
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={write_configuration(folder, daemon_port)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.console.templates={PROMETHEUS / 'consoles'}",
        f"--web.console.libraries={PROMETHEUS / 'console_libraries'}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        server = Prometheus(port)
        wait_until(server.is_ready, lambda: f"Prometheus:\n{(folder / 'log').read_text()[-3000:]}")
        yield server
    finally:
        process.terminate()
        process.wait(20)
