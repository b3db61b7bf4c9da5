"""What control groups say, in files of both versions and from a real kernel that kills."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.cgroup import ROOT, OomKills, oom_kills
from tests.daemon.test_child import environ_of

LIMIT_BYTES = 256 << 20

V2 = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"


def count(folder: Path, cgroup: str, **files: str) -> int | None:
    """What is read where these files are; ``__`` in a name stands for a slash, ``_DOT_`` for a dot."""
    (folder / "cgroup").write_text(cgroup)
    for name, text in files.items():
        path = folder / "fs" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return oom_kills(folder / "cgroup", folder / "fs")


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/a/b\n", {"a__b__memory_DOT_events": V2}, 2),
        ("4:memory:/a\n0::/\n", {"memory__a__memory_DOT_oom_control": V1}, 5),
        # That of the group above is about others.
        ("0::/a/b\n", {"a__memory_DOT_events": V2, "a__b__cgroup_DOT_procs": ""}, None),
        # A container sees its own group as the root.
        ("0::/not/seen/from/here\n", {"memory_DOT_events": V2}, 2),
        ("0::/a\n", {"a__memory_DOT_events": "oom_kill many\n"}, None),
        ("0::/a\n", {}, None),
        ("", {}, None),
    ],
)
def test_the_own_groups_kills_are_read(tmp_path: Path, cgroup: str, files: dict[str, str], expected: int | None):
    assert count(tmp_path, cgroup, **files) == expected


def test_where_there_is_no_such_file_nothing_is_counted(tmp_path: Path):
    assert oom_kills(tmp_path / "absent", tmp_path) is None


def test_each_kill_explains_one_death():
    counts = iter([7, 7, 9, 9, 9, None, 9])
    kills = OomKills(lambda: next(counts))
    assert [kills.explain() for _ in range(6)] == [0, 1, 1, 0, None, None]


STAGE = """
import os, sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
import json, time
from daemon.child import Child, ChildSpec
from daemon.crew import Crew, Died
from daemon.lifecycle import Policy

environ = json.loads(sys.argv[2])
children = [Child(ChildSpec("w1", "worker", "fake_child", environ))]
crew = Crew({"cpu": children}, {"worker": Policy(max_restarts=0)}, {}, time.monotonic, lambda: 0.0)
end = time.monotonic() + 60
while time.monotonic() < end:
    for event in crew.turn(0.1):
        if isinstance(event, Died):
            print(event.cause)
            end = 0
crew.close()
"""


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A memory control group with a limit; the test is skipped where none can be made."""
    v1 = ROOT / "memory"
    folder = (v1 if v1.is_dir() else ROOT) / f"mosaicd-test-{os.getpid()}"
    limits = {"memory.limit_in_bytes": LIMIT_BYTES} if v1.is_dir() else {"memory.max": LIMIT_BYTES}
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror} (root, and a writable {ROOT}, are needed)")
    try:
        for name, value in limits.items():
            try:
                (folder / name).write_text(str(value))
            except OSError as error:
                pytest.skip(f"the memory controller is not to be had in {folder}: {error.strerror}")
        # With swap the limit would be none.
        for name in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with suppress(OSError):
                (folder / name).write_text(str(LIMIT_BYTES if "memsw" in name else 0))
        yield folder
    finally:
        folder.rmdir()


@pytest.mark.slow
def test_a_child_that_the_kernel_killed_ran_out_of_memory(memory_group: Path, tmp_path: Path):
    environ = environ_of(tmp_path, "glutton")
    done = subprocess.run(
        [sys.executable, "-c", STAGE, memory_group, json.dumps(environ)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "host_oom\n"), done.stderr
