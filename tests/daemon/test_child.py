"""One real child process: spawned, heard, pressed, buried. The child's side is a small module of our own.

``FAKE`` and ``environ_of`` are used by ``test_crew.py`` too.
"""

import gc
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from capture.channel import ProtocolError, Received
from capture.exits import ExitCode
from capture.messages import FromChild, LastWords, Ready, SlotOpened, Stop, Unassign
from daemon.child import LINE_BYTES, STDERR_LINES, Child, ChildSpec, Death, tree_cpu_ticks
from daemon.lifecycle import Command

DEADLINE_S = 30.0

FAKE = '''
import os
import signal
import socket
import sys
import threading

from capture.channel import ChannelError
from capture.child import adopt, leave, wait_readable
from capture.exits import ExitCode
from capture.messages import (CameraTransition, Loading, Ready, SlotOpened, Stop, Unassign, WorkerReport)
from capture.words import CameraState

born = adopt("A fake.")
channel = born.channel
raw = socket.socket(fileno=os.dup(channel.fileno()))
flavour = os.environ["FLAVOUR"]


def pause():
    while True:
        signal.pause()


def echo():
    """Serve until Stop: every Unassign is answered with a report of its number."""
    while True:
        wait_readable([channel.fileno()], 60)
        while (received := channel.receive()) is not None:
            if isinstance(received.message, Stop):
                leave(channel, ExitCode.OK, "")
            if isinstance(received.message, Unassign):
                channel.send(WorkerReport(received.message.slot_id, 0, 0, 0.0, 0.0))
            for fd in received.fds:
                os.write(fd, b"from the child")
                os.close(fd)


def ready():
    channel.send(Ready(1.0, f"{born.name} {os.getpid()} {os.getppid()}"))


match flavour:
    case "steady":
        ready()
        echo()
    case "mute":
        echo()
    case "loading":
        channel.send(Loading("engine"))
        echo()
    case "slot":
        memory, wake = os.memfd_create("m"), os.eventfd(0)
        os.write(memory, b"canvas")
        ready()
        channel.send(SlotOpened("m1"), (memory, wake))
        echo()
    case "slots and gone":
        memory, wake = os.memfd_create("m"), os.eventfd(0)
        for _ in range(8):
            channel.send(SlotOpened("m1"), (memory, wake))
        leave(channel, ExitCode.BROKEN, "gone")
    case "too many descriptors":
        ready()
        memory = os.memfd_create("m")
        socket.send_fds(raw, [b"\\xc0"], [memory] * 9)
        pause()
    case "oom":
        ready()
        leave(channel, ExitCode.OUT_OF_MEMORY, "no memory for 9 MiB")
    case "model":
        leave(channel, ExitCode.MODEL, "weights end early")
    case "exit":
        os._exit(3)
    case "deaf words":
        told = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: told.set())
        os.write(2, b"waiting\\n")
        told.wait()
        ready()
        leave(channel, ExitCode.OUT_OF_MEMORY, "died with unread input")
    case "garbage":
        ready()
        raw.send(b"\\xc1 this is no message")
        pause()
    case "wrong direction":
        ready()
        channel.send(Stop())
        pause()
    case "empty":
        ready()
        raw.send(b"")
        pause()
    case "hangs up":
        ready()
        raw.shutdown(socket.SHUT_RDWR)
        pause()
    case "glutton":
        ready()
        eaten = []
        while True:
            eaten.append(b"x" * (8 << 20))
    case "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ready()
        pause()
    case "polite":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
        ready()
        pause()
    case "noisy":
        for n in range(50_000):
            os.write(2, b"line %d\\n" % n)
        for _ in range(64):
            os.write(2, b"x" * 65536)
        os.write(2, b"the end")
        ready()
        echo()
    case "screams":
        ready()
        while True:
            os.write(2, b"no end " * 9000)
    case "chatters":
        while True:
            if not channel.send(CameraTransition("c", 0, CameraState.BACKOFF)):
                wait_readable([channel.fileno()], 0)
    case "closes stderr":
        os.close(2)
        ready()
        echo()
    case "aborts":
        ready()
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'")
        os.abort()
    case "not utf-8":
        os.write(2, b"caf\\xe9\\x00\\x1b[31m\\n")
        ready()
        echo()
'''


def environ_of(folder: Path, flavour: str) -> dict[str, str]:
    """Write the fake into a folder and return the environment in which it runs with this flavour."""
    (folder / "fake_child.py").write_text(FAKE)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "FLAVOUR": flavour}


def open_descriptors() -> list[str]:
    """What this process holds open."""
    gc.collect()
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd))


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


@contextmanager
def living(folder: Path, flavour: str, cores: tuple[int, ...] = ()) -> Iterator[Child]:
    """A child of this flavour, spawned; killed and reaped at the end, if it still lives."""
    child = Child(ChildSpec("w1", "worker", "fake_child", environ_of(folder, flavour), cores))
    child.spawn()
    try:
        yield child
    finally:
        if child.pid is not None:
            child.obey(Command.KILL)
            bury(child)


def hear(child: Child, is_enough: Callable[[list[Received[FromChild]]], bool]) -> list[Received[FromChild]]:
    """Listen to messages and stderr until enough was heard."""
    heard: list[Received[FromChild]] = []
    deadline = time.monotonic() + DEADLINE_S
    while not is_enough(heard):
        assert time.monotonic() < deadline, f"heard only {heard}"
        select.select(child.descriptors, [], [], 1.0)
        heard += child.receive()
        child.read_stderr()
    return heard


def hear_ready(child: Child) -> Ready:
    """Listen until it is ready."""
    [received] = hear(child, lambda heard: any(isinstance(r.message, Ready) for r in heard))
    assert isinstance(received.message, Ready)
    return received.message


def has_ended(child: Child, timeout_s: float = DEADLINE_S) -> bool:
    """Wait until it has ended."""
    return bool(select.select([child.descriptors[2]], [], [], timeout_s)[0])


def bury(child: Child) -> Death:
    """Wait until it has ended, and bury it."""
    assert has_ended(child), "it lives"
    return child.bury()


def test_a_child_knows_its_name_and_its_parent_and_stops_when_asked(tmp_path):
    with living(tmp_path, "steady") as child:
        assert hear_ready(child).detail == f"w1 {child.pid} {os.getpid()}"
        assert child.send(Stop())
        death = bury(child)
        assert child.pid is None
    assert (death.returncode, death.last_words) == (0, LastWords(0, ""))


def test_it_runs_in_a_process_group_of_its_own(tmp_path):
    with living(tmp_path, "steady") as child:
        assert child.pid is not None
        assert os.getpgid(child.pid) == child.pid


def test_it_runs_on_its_cores_with_all_its_threads(tmp_path):
    core = max(os.sched_getaffinity(0))
    with living(tmp_path, "steady", (core,)) as child:
        hear(child, bool)
        tasks = os.listdir(f"/proc/{child.pid}/task")
        assert {tuple(os.sched_getaffinity(int(task))) for task in tasks} == {(core,)}


def test_a_core_that_is_gone_keeps_no_child_from_running(tmp_path):
    with living(tmp_path, "steady", (max(os.sched_getaffinity(0)) + 1000,)) as child:
        hear(child, bool)


def test_its_environment_is_what_the_spec_says_and_no_more(tmp_path):
    with living(tmp_path, "steady") as child:
        hear_ready(child)
        texts = Path(f"/proc/{child.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
        assert {text.partition(b"=")[0] for text in texts} == {b"PATH", b"PYTHONPATH", b"FLAVOUR"}
        names = Path(f"/proc/{child.pid}/fd").iterdir()
        assert len(list(names)) == 5, "three standard ones, the channel, and the fake's copy of it"


def test_a_folder_in_the_working_directory_is_not_run_in_its_place(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "fake_child.py").write_text("import os; os._exit(99)")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with living(tmp_path, "exit") as child:
        assert bury(child).returncode == 3


def test_messages_go_both_ways(tmp_path):
    with living(tmp_path, "steady") as child:
        for number in range(100):
            assert child.send(Unassign(number))
        heard = hear(child, lambda heard: len(heard) == 101)
        assert [r.message.answered for r in heard[1:]] == list(range(100))


def test_descriptors_come_with_a_message_and_close_on_exec(tmp_path):
    with living(tmp_path, "slot") as child:
        [_, opened] = hear(child, lambda heard: len(heard) == 2)
        assert opened.message == SlotOpened("m1")
        memory, wake = opened.fds
        assert os.pread(memory, 10, 0) == b"canvas"
        assert not os.get_inheritable(memory)
        assert not os.get_inheritable(wake)
        os.close(memory)
        os.close(wake)


def test_descriptors_go_with_a_message(tmp_path):
    with living(tmp_path, "steady") as child:
        ours, theirs = os.pipe()
        assert child.send(Unassign(1), (theirs,))
        os.close(theirs)
        assert select.select([ours], [], [], DEADLINE_S)[0]
        assert os.read(ours, 100) == b"from the child"
        os.close(ours)


def test_a_message_to_nobody_is_not_sent(tmp_path):
    child = Child(ChildSpec("w1", "worker", "fake_child", environ_of(tmp_path, "exit")))
    assert not child.send(Stop())
    child.obey(Command.KILL)
    assert child.read_stderr() == []
    assert list(child.receive()) == []


def test_a_child_that_does_not_read_makes_send_false_and_never_blocks(tmp_path):
    with living(tmp_path, "polite") as child:
        hear_ready(child)
        sent = 0
        while child.send(Unassign(sent)):
            sent += 1
            assert sent < 100_000
        assert sent > 10


def test_what_it_said_before_its_death_is_in_its_death(tmp_path):
    with living(tmp_path, "oom") as child:
        death = bury(child)
    assert [type(r.message) for r in death.received] == [Ready]
    assert death.returncode == ExitCode.OUT_OF_MEMORY
    assert death.last_words == LastWords(71, "no memory for 9 MiB")


def test_last_words_are_heard_though_it_died_with_unread_input(tmp_path):
    with living(tmp_path, "deaf words") as child:
        for number in range(50):
            assert child.send(Unassign(number))
        deadline = time.monotonic() + DEADLINE_S
        while "waiting" not in child.read_stderr():
            assert time.monotonic() < deadline
            select.select([child.descriptors[1]], [], [], 1.0)
        os.kill(child.pid or 0, signal.SIGUSR1)
        death = bury(child)
    assert death.last_words == LastWords(71, "died with unread input")
    assert [type(r.message) for r in death.received] == [Ready]


@pytest.mark.parametrize(
    ("flavour", "returncode", "said"), [("exit", 3, ""), ("aborts", -signal.SIGABRT, "std::bad_alloc")]
)
def test_how_it_ended_without_a_word(tmp_path, flavour, returncode, said):
    with living(tmp_path, flavour) as child:
        death = bury(child)
    assert (death.returncode, death.last_words) == (returncode, None)
    assert said in "\n".join(death.stderr)


@pytest.mark.parametrize("flavour", ["garbage", "wrong direction", "too many descriptors"])
def test_nonsense_is_a_protocol_error_and_leaves_no_descriptor(tmp_path, flavour):
    with living(tmp_path, flavour) as child:
        before = open_descriptors()
        with pytest.raises(ProtocolError):
            hear(child, lambda _: False)
        assert open_descriptors() == before


@pytest.mark.parametrize("flavour", ["hangs up", "empty"])
def test_a_child_without_its_channel_is_killed(tmp_path, flavour):
    with living(tmp_path, flavour) as child:
        hear_ready(child)
        hear(child, lambda _: child.has_hung_up)
        assert bury(child).returncode == -signal.SIGKILL


def test_the_next_generation_hears_nothing_of_the_last(tmp_path):
    with living(tmp_path, "hangs up") as child:
        hear_ready(child)
        hear(child, lambda _: child.has_hung_up)
        bury(child)
        child.spawn()
        assert not child.has_hung_up
        assert hear_ready(child).detail.startswith(f"w1 {child.pid}")
        child.obey(Command.KILL)
        assert bury(child).last_words is None


@pytest.mark.slow
def test_megabytes_of_stderr_block_nobody(tmp_path):
    with living(tmp_path, "noisy") as child:
        hear_ready(child)
        child.send(Stop())
        death = bury(child)
    assert death.returncode == 0
    assert len(death.stderr) == STDERR_LINES
    assert death.stderr[-2] == "line 49999", "lines before the one without an end"
    assert death.stderr[-1].endswith("xxxthe end")
    assert max(map(len, death.stderr)) <= LINE_BYTES


def test_one_look_at_stderr_ends_however_fast_it_is_written(tmp_path):
    with living(tmp_path, "screams") as child:
        hear_ready(child)
        for _ in range(20):
            child.read_stderr()  # a loop until it is empty would not come back
        child.obey(Command.KILL)
        assert bury(child).returncode == -signal.SIGKILL


def test_stderr_is_read_as_text_whatever_it_is(tmp_path):
    with living(tmp_path, "not utf-8") as child:
        hear_ready(child)
        child.obey(Command.KILL)
        assert bury(child).stderr == ("caf\N{REPLACEMENT CHARACTER}\0\x1b[31m",)


def test_what_python_says_of_a_missing_module_is_kept(tmp_path):
    child = Child(ChildSpec("w1", "worker", "no_such_module", environ_of(tmp_path, "steady")))
    child.spawn()
    death = bury(child)
    assert death.returncode == 1
    assert "No module named no_such_module" in death.stderr[-1]


def test_terminate_and_kill_are_signals(tmp_path):
    with living(tmp_path, "polite") as child:
        hear_ready(child)
        child.obey(Command.TERMINATE)
        assert bury(child).returncode == 5
    with living(tmp_path, "stubborn") as child:
        hear_ready(child)
        child.obey(Command.TERMINATE)
        assert not has_ended(child, timeout_s=0.2)
        child.obey(Command.KILL)
        assert bury(child).returncode == -signal.SIGKILL


def test_a_stopped_child_can_be_killed(tmp_path):
    with living(tmp_path, "steady") as child:
        hear_ready(child)
        os.kill(child.pid or 0, signal.SIGSTOP)
        child.obey(Command.KILL)
        assert bury(child).returncode == -signal.SIGKILL


def test_a_child_that_cannot_be_spawned_is_an_oserror_and_leaves_nothing(tmp_path):
    environ = environ_of(tmp_path, "steady") | {"TOO_LONG": "x" * (1 << 18)}  # execve(2): E2BIG over 128 KiB
    child = Child(ChildSpec("w1", "worker", "fake_child", environ))
    before = open_descriptors()
    with pytest.raises(OSError, match="too long"):
        child.spawn()
    assert open_descriptors() == before
    assert child.pid is None


@contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Let this process open so many descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    fillers = [os.dup(2)]
    while fillers[-1] < highest:
        fillers.append(os.dup(2))
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + descriptors, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fillers:
            os.close(fd)


def test_wherever_descriptors_run_out_nothing_is_left(tmp_path):
    child = Child(ChildSpec("w1", "worker", "fake_child", environ_of(tmp_path, "exit")))
    before = open_descriptors()
    refused = []
    for room in range(12):
        with room_for(room):
            try:
                child.spawn()
            except OSError as error:
                refused.append(error.strerror)
        if child.pid is not None:
            bury(child)
        assert open_descriptors() == before
    assert set(refused) == {"Too many open files"}
    assert 3 <= len(refused) < 12, "both was tried"


@pytest.mark.slow
def test_twenty_generations_leave_no_descriptor(tmp_path):
    child = Child(ChildSpec("w1", "worker", "fake_child", environ_of(tmp_path, "slots and gone")))
    before = open_descriptors()
    for _ in range(20):
        child.spawn()
        death = bury(child)
        assert len(death.received) == 8
        assert death.last_words == LastWords(ExitCode.BROKEN, "gone")
        for received in death.received:
            for fd in received.fds:
                os.close(fd)
    assert open_descriptors() == before


SUPERVISOR = """
import signal, sys
from daemon.child import Child, ChildSpec
from tests.daemon.test_child import hear_ready

children = [Child(ChildSpec(name, "worker", "fake_child", {environ!r})) for name in ("w1", "w2")]
for child in children:
    child.spawn()
for child in children:
    hear_ready(child)
print(*(child.pid for child in children), flush=True)
signal.pause()
"""


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["steady", "stubborn"])
def test_a_supervisor_that_is_killed_leaves_no_child(tmp_path, flavour):
    text = SUPERVISOR.format(environ=environ_of(tmp_path, flavour))
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in pids]
        supervisor.kill()
    assert len(pidfds) == 2
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], DEADLINE_S)[0], "it outlived its supervisor"
        os.close(pidfd)


def test_a_child_whose_parent_is_another_refuses_to_live(tmp_path):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fake_child", "w1", "--fd", str(theirs.fileno()), "--parent", "1"],
            env=environ_of(tmp_path, "steady"),
            pass_fds=[theirs.fileno()],
            timeout=DEADLINE_S,
            check=False,
        )
    assert done.returncode == ExitCode.ORPHANED


def test_the_time_of_what_a_child_waits_for_is_its_own_time():
    """As while a worker has its model's graph built."""
    busy = "import os; print(os.getpid(), flush=True)\nwhile True: pass"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        grandchild = int(waiting.stdout.readline())
        try:
            before, end = tree_cpu_ticks(waiting.pid), time.monotonic() + DEADLINE_S
            while tree_cpu_ticks(waiting.pid) < before + 10:
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            os.kill(grandchild, signal.SIGKILL)
    assert tree_cpu_ticks(waiting.pid) == 0
