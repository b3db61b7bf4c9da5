"""The measuring process's other side: how it fails is told, whatever it does. Real processes, small programs."""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from inference.evaluation.arrangement import Input
from inference.evaluation.messages import Done, Failed, Load, Loaded, Look, Reply, Seen, Time, Timed
from inference.evaluation.process import Measurer, MeasurerDied, MeasurerFailed, MeasurerLate

LOAD = Load("tensorflow", "a.cfg", "a.weights", "a.names", (64, 32))
LOOK = Look(("a.jpg", "b.jpg"), "", (), Input.SINGLE, (64, 32))
LOADED = Loaded(("person",), 0.1)


def seen(picture: int) -> Seen:
    return Seen(picture, (64, 32), ((0.0, 0.0, 1.0, 2.0),), (0.5,), (0,), (False,))


def program(*parts: str) -> Measurer:
    """A measuring process that runs this Python, `orders` its stdin and `say` its way to answer."""
    start = "import os, sys, signal\norders = sys.stdin.buffer\ndef say(line): print(line, flush=True)\n"
    return Measurer((sys.executable, "-c", start + "\n".join(parts)))


def saying(*replies: Reply) -> str:
    return "\n".join(f"say({msgspec.json.encode(reply).decode()!r})" for reply in replies)


WAIT = "orders.readline()"


def test_answers_come_in_order() -> None:
    with program(WAIT, saying(LOADED), WAIT, saying(seen(1), seen(0), Done())) as measurer:
        assert measurer.ask(LOAD, Loaded) == LOADED
        assert [item.picture for item in measurer.look(LOOK)] == [1, 0]


def test_an_answer_in_pieces_is_one() -> None:
    text = msgspec.json.encode(LOADED).decode()
    halves = f"os.write(1, {text[:9].encode()!r}); orders.readline(); os.write(1, {text[9:].encode() + b'%n'!r})"
    with program(WAIT, halves.replace("%n", "\\n")) as measurer:
        with pytest.raises(MeasurerLate, match=r"no answer from the measuring process within 0.3 s"):
            measurer.ask(LOAD, Loaded, 0.3)
        assert measurer.ask(LOAD, Loaded) == LOADED


def test_what_went_wrong_there_is_told_here() -> None:
    with (
        program(WAIT, saying(Failed("OutOfMemory", "no memory for that"))) as measurer,
        pytest.raises(MeasurerFailed, match=r"^no memory for that$") as caught,
    ):
        measurer.ask(LOAD, Loaded)
    assert caught.value.kind == "OutOfMemory"


@pytest.mark.parametrize(
    ("ending", "words", "code"),
    [
        ("print('one', file=sys.stderr); print('two', file=sys.stderr); os._exit(3)", "exit code 3: one | two", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL; the machine may be out of memory", -9),
        ("os.kill(os.getpid(), signal.SIGABRT)", "signal SIGABRT", -6),
        ("sys.exit(0)", "exit code 0", 0),
    ],
)
@pytest.mark.parametrize("ask", [lambda it: it.ask(LOAD, Loaded), lambda it: list(it.look(LOOK))])
def test_a_death_is_told(ending: str, words: str, code: int, ask: Callable[[Measurer], object]) -> None:
    with program(WAIT, ending) as measurer, pytest.raises(MeasurerDied) as caught:
        ask(measurer)
    assert words in str(caught.value)
    assert caught.value.code == code


def test_one_that_is_gone_before_it_is_asked_is_dead() -> None:
    with program("os._exit(4)") as measurer, pytest.raises(MeasurerDied, match="exit code 4"):
        measurer.ask(Time(1), Timed)


@pytest.mark.parametrize("ask", [lambda it: it.ask(LOAD, Loaded), lambda it: list(it.look(LOOK))])
def test_an_answer_to_another_question_is_told(ask: Callable[[Measurer], object]) -> None:
    timed = Timed((), (), 1.0, 1.0, None, None)
    with program(WAIT, saying(timed)) as measurer, pytest.raises(MeasurerFailed, match="answered with Timed"):
        ask(measurer)


def test_it_gets_the_environment_that_it_is_given() -> None:
    names = "import os, sys; print(*sorted(os.environ), file=sys.stderr, flush=True); os._exit(7)"
    with Measurer((sys.executable, "-c", names), {"ONLY": "1", "LC_ALL": "C"}) as measurer:
        with pytest.raises(MeasurerDied) as caught:
            measurer.receive()
        assert str(caught.value).endswith("exit code 7: LC_ALL ONLY")


def test_leaving_ends_the_process() -> None:
    with program("print(os.getpid(), file=open('/dev/null', 'w'))", "signal.pause()") as measurer:
        pid = measurer.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    measurer.close()
