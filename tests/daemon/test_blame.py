"""Blame: real processes crash in the thread of one camera, and it is that camera which is kept away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.blame import FORGOTTEN_S, QUARANTINE, Quarantine, crashed_camera, holds_left

ROOT = Path(__file__).parents[2]
CAMERAS = ("gate", "yard-2", "7")

CRASH = """
import ctypes, faulthandler, os, signal, sys, threading
from capture.reader import mark

faulthandler.enable(all_threads=False)  # as capture.child does
barrier = threading.Barrier(4)

def read():
    barrier.wait()
    if threading.current_thread().name == {victim!r}:
        {crash}
    threading.Event().wait()

for name in ("gate", "yard-2", "7"):
    threading.Thread(target=mark(name, read), name=name).start()
barrier.wait()
if {victim!r} == "main":
    {crash}
threading.Event().wait()
"""

CRASHES = {
    "segmentation fault": ("ctypes.string_at(0)", signal.SIGSEGV),
    "abort": ("os.abort()", signal.SIGABRT),
    "illegal instruction": ("signal.pthread_kill(threading.get_ident(), signal.SIGILL)", signal.SIGILL),
}


def crash(victim: str, how: str, number: int) -> tuple[str, ...]:
    """What a process writes to stderr that crashes in this thread."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", CRASH.format(victim=victim, crash=how)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -number, done.stderr
    return tuple(done.stderr.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(("how", "number"), CRASHES.values(), ids=CRASHES.keys())
def test_the_camera_whose_thread_crashed_is_found(how: str, number: int) -> None:
    stderr = crash("yard-2", how, number)
    assert crashed_camera(stderr, CAMERAS) == "yard-2"
    assert crashed_camera(stderr, ["gate"]) is None, "it is no camera of this process"
    assert len(stderr) < 40, "as much as is kept of what a child says"


@pytest.mark.slow
def test_a_crash_of_another_thread_is_no_cameras() -> None:
    stderr = crash("main", *CRASHES["segmentation fault"])
    assert any("Segmentation fault" in line for line in stderr)
    assert crashed_camera(stderr, CAMERAS) is None


@pytest.mark.slow
def test_the_mark_shows_in_no_other_way() -> None:
    """A reader's exceptions and its thread are as they were."""
    program = "from capture.reader import mark\nimport threading\n"
    program += "t = threading.Thread(target=mark('gate', lambda: 1 / 0), name='reader gate'); t.start(); t.join()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "Exception in thread reader gate" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert crashed_camera(done.stderr.splitlines(), CAMERAS) is None, "an exception is no crash"


FATAL = "Fatal Python error: Segmentation fault"


def frame(function: str) -> str:
    return f'  File "/opt/mosaicd/capture/reader.py", line 83 in {function}'


@pytest.mark.parametrize(
    ("stderr", "camera"),
    [
        ((), None),
        ((frame("reader gate"),), None),
        ((FATAL, "", "Stack (most recent call first):", frame("marked"), frame("reader gate")), "gate"),
        ((FATAL, frame("reader gate"), frame("run"), "", "Extension modules: av._core (total: 1)"), "gate"),
        ((FATAL, frame("reader gatepost")), None),
        ((FATAL, frame("reader gate") + " "), None),
        ((FATAL, "reader gate"), None),
        ((FATAL, frame("reader gate"), frame("reader yard-2")), None),  # not of one thread
        ((frame("reader yard-2"), FATAL, frame("reader gate")), "gate"),
        ((f"[h264] {FATAL}", frame("reader gate")), None),
        ((FATAL, frame("reader yard-2"), FATAL, frame("reader gate")), "gate"),
    ],
)
def test_what_stands_on_stderr(stderr: tuple[str, ...], camera: str | None) -> None:
    assert crashed_camera(stderr, CAMERAS) == camera


@given(st.lists(st.text(max_size=80), max_size=20))
def test_only_a_camera_of_the_process_is_ever_blamed(lines: list[str]) -> None:
    assert crashed_camera([FATAL, *lines], CAMERAS) in (None, *CAMERAS)


# --- quarantine -------------------------------------------------------------------------------------------------------


def test_the_first_crash_may_be_bad_luck_and_each_further_one_waits_longer() -> None:
    quarantine = Quarantine()
    holds_s = [quarantine.note_crash("gate", 1000.0 + 100.0 * i, chance=0.0) for i in range(9)]
    assert holds_s == [0.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]


def test_each_camera_has_its_own_crashes() -> None:
    quarantine = Quarantine()
    assert quarantine.note_crash("gate", 0.0, 0.0) == 0.0
    assert quarantine.note_crash("yard-2", 1.0, 0.0) == 0.0
    assert quarantine.note_crash("gate", 2.0, 0.0) == QUARANTINE.first_s


@pytest.mark.parametrize(("later_s", "hold_s"), [(FORGOTTEN_S - 1, 60.0), (FORGOTTEN_S, 0.0)])
def test_a_crash_is_forgiven_in_time(later_s: float, hold_s: float) -> None:
    quarantine = Quarantine()
    quarantine.note_crash("gate", 1000.0, 0.0)
    assert quarantine.note_crash("gate", 1000.0 + later_s, 0.0) == hold_s


def test_crashes_are_forgiven_one_by_one() -> None:
    quarantine = Quarantine()
    for at_s in (0.0, FORGOTTEN_S / 2):
        quarantine.note_crash("gate", at_s, 0.0)
    assert quarantine.note_crash("gate", FORGOTTEN_S + 1, 0.0) == QUARANTINE.first_s


def test_chance_only_shortens() -> None:
    quarantine = Quarantine()
    quarantine.note_crash("gate", 0.0, 0.5)
    assert quarantine.note_crash("gate", 1.0, 0.5) == 60.0 * 0.875


def test_who_is_still_kept_away() -> None:
    assert holds_left({"gate": 100.0, "yard-2": 50.0, "7": 70.0}, now_s=70.0) == {"gate": 30.0}
