"""What is read from outside: lines of files that are cut and rotated, the daemon's log, processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from daemon.chaos.look import Lines, Log, processes, sample
from daemon.chaos.observations import Birth, Death, Return
from daemon.chaos.strike import fill, is_child
from daemon.verdict import Cause
from tests.system.stage import wait_until


def test_only_whole_lines_are_read_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = Lines(path)
    assert lines.read() == []
    path.write_bytes(b"one\ntwo\nthr")
    assert lines.read() == [b"one", b"two"]
    with path.open("ab") as file:
        file.write(b"ee\n")
    assert lines.read() == [b"three"]
    assert lines.read() == []
    lines.close()


def test_half_a_line_that_is_cut_off_again_was_never_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\nhal")
    lines = Lines(path)
    assert lines.read() == [b"one"]
    os.truncate(path, 4)
    with path.open("ab") as file:
        file.write(b"two\n")
    assert lines.read() == [b"two"]
    lines.close()


def test_a_rotated_file_is_read_to_its_end_first(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n")
    lines = Lines(path)
    assert lines.read() == [b"one"]
    with path.open("ab") as file:
        file.write(b"two\n")
    path.rename(tmp_path / "old")
    assert lines.read() == [b"two"]
    path.write_bytes(b"three\n")
    assert lines.read() == [b"three"]
    lines.close()


def test_the_log_tells_who_was_born_ready_and_dead(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    said = [
        {"message": "started", "http": "http://127.0.0.1:4711"},
        {"message": "child started", "child": "w1", "pid": 7},
        {"message": "child ready", "child": "w1"},
        {"message": "child died", "child": "w1", "cause": "host_oom"},
        {"message": "child given up", "child": "w1", "cause": "host_oom"},
        {"message": "camera up", "camera": "cam-01"},
    ]
    path.write_text("what a library says\n" + "".join(json.dumps(each) + "\n" for each in said) + '"text"\n')
    log = Log(path)
    told = log.read()
    log.close()
    assert [type(each) for each in told] == [Birth, Return, Death, Death]
    assert {(each.child, each.pid) for each in told} == {("w1", 7)}
    first, for_good = [each for each in told if isinstance(each, Death)]
    assert (first.cause, first.is_for_good, for_good.is_for_good) == (Cause.HOST_OOM, False, True)
    assert log.port == 4711


def test_processes_are_found_by_a_mark_in_their_environment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tmp_path)}) as process:
        wait_until(lambda: [each.pid for each in processes(str(tmp_path), os.getpid())] == [process.pid], "it is found")
        assert is_child(process.pid, os.getpid())
        seen = sample(os.getpid(), {"w1": process.pid})
        assert seen is not None and seen.memory_kib > 1000 and seen.descriptors > 2 and seen.children_descriptors > 2
        process.kill()
        # Not waited for yet: a zombie, whose environment is gone.
        wait_until(
            lambda: [(p.pid, p.is_zombie) for p in processes(str(tmp_path), os.getpid())] == [(process.pid, True)],
            "a zombie",
        )
        assert not is_child(process.pid, os.getpid())


def test_a_disk_without_space_is_filled_and_that_is_no_error(tmp_path: Path) -> None:
    fill(Path("/dev/full"))
