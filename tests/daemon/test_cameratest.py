"""The measuring process as it is started: its deadline, its crashes, its nonsense; and what others can see of it."""

import sys
from pathlib import Path

import pytest

from capture.probemessages import ProbeOrder, Refusal, Step
from capture.words import Reason, Transport
from daemon.cameratest import ProbeError, deadline_s, run_probe

ORDER = ProbeOrder("rtsp://192.0.2.1/stream", "viewer", "hunter2")
REFUSED = '{"type":"Refusal","reason":"refused","detail":"nobody"}'


def child(program: str) -> tuple[str, ...]:
    """The command of a stand-in for the measuring process."""
    return (sys.executable, "-c", f"import os, signal, sys, time\n{program}")


def test_steps_are_told_and_the_last_word_is_the_outcome() -> None:
    steps: list[Step] = []
    said = '{"type":"Step","doing":"connecting","transport":"tcp","done_s":0}\\n' + REFUSED
    program = f"assert b'hunter2' in sys.stdin.buffer.read()\nprint('{said}')"
    outcome = run_probe(ORDER, {}, steps.append, command=child(program), within_s=20)
    assert outcome.answer == Refusal(Reason.REFUSED, "nobody")
    assert steps == [Step("connecting", Transport.TCP)]


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_crash_is_the_streams_doing(name: str) -> None:
    outcome = run_probe(ORDER, {}, command=child(f"os.kill(os.getpid(), signal.{name})"), within_s=20)
    assert outcome.answer == Refusal(Reason.CRASHED, f"its stream has crashed the decoder ({name})")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("time.sleep(60)", "no answer within 0.5 s"),
        ("print('hunter2', flush=True); time.sleep(60)", "does not make sense"),
        ('print(\'{"type":"Nonsense"}\')', "does not make sense"),
        ("sys.exit(3)", "ended with exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL: is the machine out of memory?"),
        ('print(\'{"type":"Broken","error":"KeyError","where":"probe.py:1"}\')', "unexpected KeyError at probe.py:1"),
    ],
)
def test_what_is_no_fault_of_the_camera_is_an_error(program: str, words: str) -> None:
    within_s = 0.5 if "within" in words else 20.0
    with pytest.raises(ProbeError) as caught:
        run_probe(ORDER, {}, command=child(program), within_s=within_s)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="cannot be started"):
        run_probe(ORDER, {}, command=(str(tmp_path / "none"),))


def test_neither_arguments_nor_environment_hold_the_password() -> None:
    seen: list[str] = []

    def look(_: Step) -> None:
        for folder in Path("/proc").iterdir():
            try:
                if f"\nPPid:\t{own}\n" in (folder / "status").read_text():
                    seen.extend((folder / name).read_text() for name in ("cmdline", "environ"))
            except OSError:
                continue

    own = Path("/proc/self").resolve().name
    said = '{"type":"Step","doing":"connecting","transport":"tcp","done_s":0}'
    program = f"sys.stdin.buffer.read()\nprint('{said}', flush=True)\ntime.sleep(60)"
    with pytest.raises(ProbeError):
        run_probe(ORDER, {"PATH": "/bin"}, look, command=child(program), within_s=2.0)
    assert any("print" in text for text in seen)
    assert not any("hunter2" in text for text in seen)


def test_auto_has_the_time_for_two_connections() -> None:
    once = deadline_s(ProbeOrder("rtsp://192.0.2.1/", seconds=10))
    assert once >= 10 + 2 * 5 + 5
    assert deadline_s(ProbeOrder("rtsp://192.0.2.1/", seconds=10, transport=Transport.AUTO)) > once + 10
