"""What is deployed, as far as that can be judged without running it."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
SCRIPTS = (DEPLOY / "install.sh", ROOT / "tests" / "system" / "systemdbox.sh")
WORST = 2.0
"""Exposure by `systemd-analyze security`; 10 is no hardening at all."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed (`make deploytools`)")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there: what it runs is not installed here."""
    path = tmp_path / "mosaicd.service"
    path.write_text((DEPLOY / "mosaicd.service").read_text().replace("/opt/mosaicd/venv/bin/mosaicd", "/bin/true"))
    return path


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / "mosaicd.service").read_text(), re.MULTILINE)


@needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs("systemd-analyze")
def test_the_unit_is_hardened(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= WORST


def test_nothing_that_would_break_a_gpu_or_hide_a_wrong_file_is_in_the_unit() -> None:
    for key in ("PrivateDevices", "MemoryDenyWriteExecute", "ExecCondition", "ExecStartPre", "DynamicUser"):
        assert (key, values(key)) == (key, [])
    assert values("Type") == ["notify"]
    assert values("RestartPreventExitStatus") == ["78"]
    assert values("OOMPolicy") == ["continue"]


def test_every_setting_that_is_not_plain_is_explained() -> None:
    text = (DEPLOY / "mosaicd.service").read_text()
    for key in ("OOMPolicy", "DeviceAllow", "SystemCallFilter", "LoadCredential", "KillMode", "PrivateTmp"):
        before = text[: text.index(f"\n{key}=")].splitlines()[-1]
        assert before.startswith(("#", f"{key}=", "DevicePolicy=", "SystemCallArchitectures=")), key


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    lines = [set(line.split()) for line in (DEPLOY / "install.sh").read_text().splitlines()]
    named = [line for line in lines if len(line & packages) > 1]
    assert len(named) == 2  # what the fingerprint is of, and what is copied
    assert all(packages <= line for line in named)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)


@needs("shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
