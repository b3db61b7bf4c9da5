"""Which devices are gone: cores by the kernel's mask, GPUs by what a real inventory child prints."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from daemon.devices import Device, DeviceKind
from daemon.devicewatch import SILENT_S, DeviceWatch
from daemon.inventory import NVML_FAILED, Gpu, Inventory

CPUS = [Device(f"cpu:{n}", DeviceKind.CPU, "", 1000, cores=1, core_ids=(n,)) for n in range(2)]
GPUS = [Device(f"gpu-{n}", DeviceKind.GPU, f"GPU-{n}", 8000) for n in range(2)]
TALKER = """
import sys, time
assert sys.argv[2] == "--every"
while True:
    sys.stdout.write(open(sys.argv[1]).read())
    sys.stdout.flush()
    time.sleep(0.02)
"""


def wait_until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.01)


def test_a_part_of_the_cpu_is_gone_with_its_last_core():
    allowed = {0, 1}
    two = Device("cpu:2", DeviceKind.CPU, "", 1000, cores=2, core_ids=(1, 2))
    watch = DeviceWatch([*CPUS, two], environ={}, affinity=lambda: allowed)
    assert watch.lost() == frozenset()
    allowed -= {1}
    assert watch.lost() == {"cpu:1", "cpu:2"}
    allowed |= {2}
    assert watch.lost() == {"cpu:1"}
    allowed |= {1}
    assert watch.lost() == frozenset()


class Recorded:
    """An inventory child that prints what was recorded, and a clock that can be set."""

    def __init__(self, folder: Path) -> None:
        self._text = folder / "inventory"
        (folder / "talker.py").write_text(TALKER)
        self.show(*GPUS)
        self.skipped_s = 0.0
        command = (sys.executable, str(folder / "talker.py"), str(self._text))
        self.watch = DeviceWatch(
            GPUS, environ={"KNOWN": "1"}, command=command, clock=lambda: time.monotonic() + self.skipped_s
        )

    def show(self, *gpus: Device, problems: tuple[str, ...] = ()) -> None:
        found = tuple(Gpu(number, gpu.uuid, "a card", 8000, 0) for number, gpu in enumerate(gpus))
        self.say(msgspec.json.encode(Inventory(found, problems)) + b"\n")

    def say(self, text: bytes) -> None:
        new = self._text.with_suffix(".new")
        new.write_bytes(text)
        new.replace(self._text)

    def lost(self) -> frozenset[str]:
        return self.watch.lost()

    @property
    def pid(self) -> int | None:
        return self.watch._child.pid if self.watch._child else None


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    found = Recorded(tmp_path)
    yield found
    found.watch.close()
    assert found.pid is None


def test_a_gpu_goes_and_comes_back(recorded: Recorded):
    assert recorded.lost() == frozenset()
    recorded.show(GPUS[1], problems=("gpu-0: GPU is lost",))
    wait_until(lambda: recorded.lost() == {"gpu-0"})
    recorded.show()
    wait_until(lambda: recorded.lost() == {"gpu-0", "gpu-1"})
    recorded.show(*GPUS)
    wait_until(lambda: recorded.lost() == frozenset())


@pytest.mark.parametrize(
    "text", [b"", b"not JSON\n", msgspec.json.encode(Inventory((), (f"{NVML_FAILED}busy",))) + b"\n"]
)
def test_an_inventory_that_says_nothing_says_nothing_of_the_gpus(recorded: Recorded, text: bytes):
    recorded.show(GPUS[0])
    wait_until(lambda: recorded.lost() == {"gpu-1"})
    recorded.say(text)
    for _ in range(20):
        time.sleep(0.02)
        assert recorded.lost() == {"gpu-1"}


def test_a_silent_child_is_replaced_after_a_while(recorded: Recorded):
    recorded.say(b"")
    recorded.lost()
    first = recorded.pid
    assert first is not None
    recorded.skipped_s += SILENT_S - 1
    recorded.lost()
    assert recorded.pid == first
    recorded.skipped_s += 2
    recorded.lost()
    assert recorded.pid is None
    recorded.lost()
    assert recorded.pid is None, "not at once"
    recorded.show(GPUS[0])
    recorded.skipped_s += SILENT_S + 1
    wait_until(lambda: recorded.lost() == {"gpu-1"})
    assert recorded.pid not in (None, first)


def test_one_that_cannot_be_started_is_no_reason_to_end(tmp_path: Path):
    watch = DeviceWatch(GPUS, environ={}, command=(str(tmp_path / "nothing"),))
    assert watch.lost() == frozenset()
    watch.close()


def test_the_child_knows_no_more_of_the_environment_than_it_is_given(recorded: Recorded):
    recorded.lost()
    assert recorded.pid is not None
    environ = Path(f"/proc/{recorded.pid}/environ")
    wait_until(lambda: b"KNOWN" in environ.read_bytes())
    assert environ.read_bytes() == b"KNOWN=1\0"
