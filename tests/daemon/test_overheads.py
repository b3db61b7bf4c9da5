"""Overheads measured of real processes, kept in real files, decided upon in the supervisor's thread."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from capture.child import wait_readable
from daemon.devices import Device, DeviceKind, DeviceWish, InventoryError, plan_workers
from daemon.overhead import Overhead, Subject, Watched, watch_each
from daemon.overheads import FILE_NAME, Overheads, load, measure, save

GPU = Device("gpu-0", DeviceKind.GPU, "GPU-aaaa", 8192)
CPU = Device("cpu", DeviceKind.CPU, "", 16000, cores=4)
SUBJECT = Subject("GPU-aaaa", "d1", "tensorflow", "float16")
PIDS = {"w1": 11, "w2": 12, "w3": 13}


def watched(device: Device, wish: DeviceWish) -> Watched:
    planned = plan_workers((device,), {device.name: wish}, mosaics=8)
    return watch_each(planned.workers, {device.name: wish}, {device.name: SUBJECT}, mosaics=8)[0]


THREE = watched(GPU, DeviceWish(3, fraction=0.23))
PLANS = {worker.name: worker for worker in THREE.workers}

Begin = Callable[..., Overheads]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Makes overheads whose measurements are those given, in turn; closed at the end."""
    begun: list[Overheads] = []

    def make(*found: Mapping[str, int] | Exception, subject: Watched = THREE) -> Overheads:
        left = iter(found)

        def give(_watched: Watched, _pids: Mapping[str, int]) -> Mapping[str, int]:
            each = next(left)
            if isinstance(each, Exception):
                raise each
            return each

        begun.append(Overheads(tmp_path, (subject,), give))
        return begun[-1]

    yield make
    for each in begun:
        each.close()


def take(overheads: Overheads) -> tuple[str, ...]:
    assert wait_readable([overheads.fileno()], 10.0)
    return overheads.take()


def test_nothing_is_measured_before_all_workers_of_a_device_are_up(begin, tmp_path):
    overheads = begin({"w1": 500, "w2": 510, "w3": 520})
    overheads.ask({"w1": 11, "w2": 12}, PLANS)
    assert not wait_readable([overheads.fileno()], 0.1)
    overheads.ask(PIDS, PLANS)
    assert take(overheads) == ()
    assert overheads.by_worker == {"w1": 500, "w2": 510, "w3": 520}
    assert overheads.notices == ()
    assert load(tmp_path) == (Overhead(SUBJECT, 520),)
    # The same processes again are no news.
    overheads.ask(PIDS, PLANS)
    assert not wait_readable([overheads.fileno()], 0.1)


def test_too_large_a_one_retires_the_last_worker_and_is_told_until_it_is_mended(begin, tmp_path, caplog):
    overheads = begin({"w1": 700, "w2": 690, "w3": 610}, {"w1": 650, "w2": 640}, {"w1": 700, "w2": 600, "w3": 600})
    overheads.ask(PIDS, PLANS)
    assert take(overheads) == ("w3",)
    [notice] = overheads.notices
    assert "workers do not fit" in caplog.text
    assert "no room for w3" in notice
    # Another dies and is back: that one is not waited for.
    overheads.ask({"w1": 11, "w2": 99}, PLANS)
    assert take(overheads) == ()
    assert overheads.notices == ()
    assert load(tmp_path) == (Overhead(SUBJECT, 650),)
    # A person starts it again, and there is no more room than before.
    overheads.ask({**PIDS, "w3": 100}, PLANS)
    assert take(overheads) == ("w3",)


def test_a_device_with_a_worker_that_is_not_as_planned_is_not_measured(begin):
    overheads = begin({"w1": 1})
    overheads.ask(PIDS, PLANS | {"w3": replace(PLANS["w3"], limit_mib=3000)})
    assert not wait_readable([overheads.fileno()], 0.1)


def test_what_cannot_be_measured_is_a_line_of_log_and_the_next_is(begin, caplog):
    overheads = begin(InventoryError("gave no answer"), {}, {"w1": 1, "w2": 1, "w3": 1})
    for pid in (1, 2, 3):
        overheads.ask({**PIDS, "w1": pid}, PLANS)
    assert take(overheads) == ()
    assert overheads.by_worker["w1"] == 1
    assert caplog.text.count("overhead not measured") == 1


def test_one_that_was_never_asked_closes_at_once(begin):
    begin()


@pytest.mark.parametrize("content", [b"", b"{", b'[{"subject": 1}]', b"[" * 100_000, bytes(20)])
def test_a_broken_file_is_no_obstacle(begin, tmp_path, content, caplog):
    (tmp_path / FILE_NAME).write_bytes(content)
    assert load(tmp_path) == ()
    assert "forgotten" in caplog.text
    overheads = begin({"w1": 500, "w2": 500, "w3": 500})
    overheads.ask(PIDS, PLANS)
    take(overheads)
    assert load(tmp_path) == (Overhead(SUBJECT, 500),)


def test_without_a_file_nothing_is_known_and_nothing_said(tmp_path, caplog):
    assert load(tmp_path) == ()
    assert not caplog.text


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path, caplog):
    save(tmp_path / "absent", (Overhead(SUBJECT, 500),))
    assert "not kept" in caplog.text


def test_a_process_on_the_cpu_is_measured_by_its_mappings():
    code = "import mmap, sys; m = mmap.mmap(-1, 64 << 20); m.write(b'x' * len(m)); print(flush=True); sys.stdin.read()"
    plain = code.replace("64 << 20", "1 << 20")
    cpu = watched(CPU, DeviceWish(2))
    with (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as large,
        subprocess.Popen([sys.executable, "-c", plain], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as small,
    ):
        assert large.stdout.readline() == small.stdout.readline() == b"\n"
        found = measure(cpu, {"w1": large.pid, "w2": small.pid}, environ={})
        assert found["w1"] - found["w2"] == pytest.approx(63, abs=3)
        large.communicate()
        small.communicate()
    assert measure(cpu, {"w1": large.pid}, environ={}) == {}, "who is gone is left out"


@pytest.fixture
def inventory_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``daemon.inventory`` says what was recorded."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'daemon.inventory' in sys.orig_argv:\n"
        f"    print(open({str(tmp_path / 'said')!r}).read(), flush=True)\n"
        "    os._exit(0)\n"
    )
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}


def test_a_process_on_a_gpu_is_measured_by_nvml_less_its_limit(tmp_path, inventory_path):
    """On a recorded inventory: no GPU was there."""
    said = {
        "gpus": [{"index": 0, "uuid": "GPU-aaaa", "name": "L4", "total_mib": 8192, "used_mib": 300}],
        "used_mib_by_pid": {"11": 2437, "12": 1884},
    }
    (tmp_path / "said").write_text(json.dumps(said))
    assert {worker.limit_mib for worker in THREE.workers} == {1884}
    # The third is not known to it: another process namespace, say.
    assert measure(THREE, PIDS, environ=inventory_path) == {"w1": 553, "w2": 0}
    (tmp_path / "said").write_text("no JSON")
    with pytest.raises(ValueError, match="JSON"):
        measure(THREE, PIDS, environ=inventory_path)


def test_workers_without_a_limit_are_not_measured(begin):
    growing = replace(THREE, workers=tuple(replace(worker, limit_mib=None) for worker in THREE.workers))
    overheads = begin({"w1": 1}, subject=growing)
    overheads.ask(PIDS, PLANS)
    assert not wait_readable([overheads.fileno()], 0.1)
