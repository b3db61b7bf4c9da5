"""`mosaicd chaos` as a person runs it: all kinds of events in one run, leaks that must be caught, an end by Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daemon.chaos.kinds import Kind
from tests.system.stage import processes, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]

EVENTS = 30
SEED = 20261129
DEADLINE_S = 240.0


class Run:
    """One `mosaicd chaos`, with temporary folders of its own."""

    def __init__(self, folder: Path, cache: Path, *arguments: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        environ = {**os.environ, "TMPDIR": str(self.temporary), "XDG_CACHE_HOME": str(cache)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "daemon.cli", "chaos", "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )

    def end(self) -> tuple[int, dict[str, Any]]:
        """Wait for its end; return exit code and document. Nothing of it is left in the process table."""
        try:
            out, err = self.process.communicate(timeout=DEADLINE_S)
        finally:
            self.process.kill()
        assert out, err
        assert not [command for _, command in processes() if str(self.temporary) in " ".join(command)]
        return self.process.returncode, json.loads(out)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model is built once."""
    return tmp_path_factory.mktemp("cache")


def test_all_kinds_of_events_and_every_invariant_holds(tmp_path: Path, cache: Path) -> None:
    run = Run(tmp_path, cache, "--events", str(EVENTS), "--seed", str(SEED))
    code, told = run.end()
    assert told["violations"] == []
    assert (code, told["is_well"]) == (0, True)
    # Who may not mount has no small disk to fill.
    assert set(told["left_out"]) <= {"disk"}
    often = Counter(event["event"]["kind"] for event in told["events"])
    assert set(often) == set(Kind) - set(told["left_out"])
    assert sum(often.values()) == EVENTS
    assert told["events_done"] >= EVENTS * 0.8, "the others' victims were down already"
    # What is checked was there to be checked.
    assert told["figures"]["deaths"] >= EVENTS / 3
    assert told["figures"]["sightings"] > 1000
    # Nothing is kept where nothing has to be looked at.
    assert list(run.temporary.iterdir()) == []


def test_planted_leaks_are_caught_and_nothing_else_is(tmp_path: Path, cache: Path) -> None:
    leaks = ("--leak", "512", "--leak-fd", "2")
    code, told = Run(tmp_path, cache, "--events", "5", "--seed", "1", "--kind", "stop", "--kind", "kill", *leaks).end()
    assert (code, told["is_well"]) == (1, False)
    assert {violation["invariant"] for violation in told["violations"]} == {"memory", "descriptors"}
    assert (Path(told["folder"]) / "run.log").exists()


def test_it_ends_in_order_when_it_is_told_to(tmp_path: Path, cache: Path) -> None:
    kept = tmp_path / "kept"
    run = Run(tmp_path, cache, "--events", "500", "--kind", "kill", "--keep", str(kept))
    log = kept / "run.log"
    wait_until(lambda: log.exists() and log.read_text().count("child died") >= 3, "three have died", 90.0)
    run.process.send_signal(signal.SIGINT)
    code, told = run.end()
    assert (code, told["was_interrupted"], told["violations"]) == (0, True, [])
    assert 0 < told["events_done"] < 500
    assert log.read_text().splitlines()[-1].count("stopped") == 1
