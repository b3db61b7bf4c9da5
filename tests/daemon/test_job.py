"""The topology of small settings and rosters: who runs, what each is told, and what no child is told."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from capture.grouping import MosaicPlan
from daemon.devices import Device, DeviceKind, Plan, WorkerPlan
from daemon.escalation import Grant
from daemon.job import Job, inherit, plan_groups, plan_job, regrant
from daemon.modelrun import ModelRun
from daemon.placement import Wanted
from daemon.quota import MemoryMode
from daemon.roster import Roster, parse_roster
from daemon.secrets import SecretSources
from daemon.settings import Settings, parse_settings
from inference.engine import ModelFiles

PASSWORD = "hunter2-Xyzzy"
BASE = Path("/etc/mosaicd")
ENVIRON = {
    "PATH": "/usr/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": "/opt/site",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "XLA_FLAGS": "--x",
    "GATE": PASSWORD,
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "WATCHDOG_USEC": "1",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
    "AWS_SECRET_ACCESS_KEY": PASSWORD,
    "HOMEWORK": "no prefix of HOME",
}
CPU = Device("cpu", DeviceKind.CPU, "", 16_000, cores=4, core_ids=(0, 1, 2, 3))
GPU = Device("gpu-0", DeviceKind.GPU, "GPU-5c1e", 8192)
FILES = ModelFiles(BASE / "m.cfg", BASE / "m.weights", BASE / "m.names")
RUNS = {
    DeviceKind.CPU: ModelRun(FILES, "openvino", "bfloat16", "tiles", 1, 2, "measured"),
    DeviceKind.GPU: ModelRun(FILES, "tensorflow", "float16", "mosaic", 4, 1, "measured"),
}
W1 = WorkerPlan("w1", CPU, 2, MemoryMode.GROWTH, None)
W2 = WorkerPlan("w2", GPU, 1, MemoryMode.FRACTION, 2457)


def settings_of(text: str = "") -> Settings:
    model = "model: {cfg: m.cfg, weights: m.weights, names: m.names, score: 0.3, iou: 0.4}\n"
    return parse_settings(model + text, file="s", base=BASE).require()


def roster_of(text: str) -> Roster:
    return parse_roster(text, file="r", mosaic_fps=5, sources=SecretSources(environ=ENVIRON)).require()


def cameras(count: int, body: str = "") -> Roster:
    lines = (f"  c{n}: {{url: 'rtsp://10.0.0.{n}/live'{body}}}\n" for n in range(1, count + 1))
    return roster_of("cameras:\n" + "".join(lines))


def job_of(roster: Roster, text: str = "", workers: tuple[WorkerPlan, ...] = (W1, W2), cores: int = 4) -> Job:
    plans = plan_groups(roster, ())
    labels = ["dog", "cat"]
    plan = Plan(workers)
    return plan_job(settings_of(text), roster, plans, plan, labels=labels, runs=RUNS, cores=cores, environ=ENVIRON)


def test_the_highest_camera_gives_its_mosaic_its_priority_and_the_fastest_its_rate():
    roster = roster_of(
        "cameras:\n"
        "  a: {url: 'rtsp://h/a', mosaic: x, priority: low, fps: 1}\n"
        "  b: {url: 'rtsp://h/b', mosaic: y, fps: 1}\n"
        "  c: {url: 'rtsp://h/c', mosaic: z, priority: low}\n"
        "  d: {url: 'rtsp://h/d', mosaic: z, priority: high, fps: 2.5}\n"
    )
    job = job_of(roster)
    assert {name: assign.priority for name, assign in job.assignments.items()} == {"x": -1, "y": 0, "z": 1}
    assert job.wanted == (Wanted("z", 5.0), Wanted("y", 1.0), Wanted("x", 1.0))


def test_another_grant_changes_device_limit_and_batch_and_nothing_else():
    worker = job_of(cameras(1), workers=(W2,)).workers[0]
    other = Device("gpu-1", DeviceKind.GPU, "GPU-other", 8000)
    granted = regrant(worker, Grant("gpu-1", 3000, 2), other)
    assert granted.spec.environ == {**worker.spec.environ, "CUDA_VISIBLE_DEVICES": "GPU-other"}
    assert granted.plan == replace(W2, device=other, limit_mib=3000)
    assert granted.load == structs.replace(worker.load, batch=2, memory_limit_mib=3000)
    assert regrant(granted, Grant(GPU.name, 2457, worker.load.batch), GPU) == worker


def environs(job: Job) -> list[dict[str, str]]:
    specs = [spec for spec, _ in job.captures.values()] + [worker.spec for worker in job.workers]
    return [dict(spec.environ) for spec in specs]


def test_children_inherit_what_they_need_and_nothing_else():
    assert inherit(ENVIRON).keys() == {
        *("PATH", "HOME", "LC_ALL", "PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS")
    }
    assert inherit({}) == {}


def test_capture_processes_give_freed_pictures_back():
    job = job_of(cameras(1))
    [(capture, _)] = job.captures.values()
    assert capture.environ["MALLOC_ARENA_MAX"] == "2"
    assert capture.environ["MALLOC_MMAP_THRESHOLD_"] == capture.environ["MALLOC_TRIM_THRESHOLD_"] == "131072"
    assert not any("MALLOC_ARENA_MAX" in worker.spec.environ for worker in job.workers)


def test_no_child_has_a_secret_in_its_environment():
    roster = roster_of("cameras:\n  gate: {url: 'rtsp://h/x', username: viewer, password: '${GATE}'}\n")
    job = job_of(roster)
    assert len(environs(job)) == 3
    for environ in environs(job):
        assert PASSWORD not in str(environ)
        assert not environ.keys() & {"GATE", "NOTIFY_SOCKET", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"}


def test_the_rosters_digest_tells_rosters_apart_and_no_secrets():
    line = "cameras:\n  gate: {{url: 'rtsp://h/x?k={}', username: viewer, password: '{}', fps: {}}}\n"
    [one, other, slower] = [
        job_of(roster_of(line.format(*values))).roster_digest
        for values in (("a", "b", 5), ("c", "d", 5), ("a", "b", 2.5))
    ]
    assert one == other != slower
    assert len(one) == 12


def test_what_every_auto_came_to_is_shown_for_each_kind_of_device():
    shown = {config.kind: config for config in job_of(cameras(1)).config}
    assert {kind: config.engine for kind, config in shown.items()} == {
        kind.value: run.engine for kind, run in RUNS.items()
    }
    assert all(config.model for config in shown.values())


def test_only_the_opening_holds_the_password_and_its_repr_does_not():
    roster = roster_of("cameras:\n  gate: {url: 'rtsp://h/x?k=${GATE}', username: viewer, password: '${GATE}'}\n")
    job = job_of(roster)
    [opening] = job.openings.values()
    gate = opening.cameras[0]
    assert gate is not None
    assert (gate.url, gate.username, gate.password) == (f"rtsp://h/x?k={PASSWORD}", "viewer", PASSWORD)
    assert PASSWORD not in repr(job)
    for worker in job.workers:
        assert PASSWORD.encode() not in msgspec.msgpack.encode(worker.load)
    assert PASSWORD.encode() not in msgspec.msgpack.encode(list(job.assignments.values()))


def test_a_worker_sees_its_own_device_only():
    on_cpu, on_gpu = job_of(cameras(1)).workers
    assert on_cpu.spec.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert on_gpu.spec.environ["CUDA_VISIBLE_DEVICES"] == "GPU-5c1e"
    assert [w.spec.environ["OMP_NUM_THREADS"] for w in (on_cpu, on_gpu)] == ["2", "1"]
    assert {w.spec.environ["TF_CPP_MIN_LOG_LEVEL"] for w in (on_cpu, on_gpu)} == {"1"}, "else deaths lose their cause"
    assert [(w.spec.name, w.spec.kind, w.spec.module) for w in (on_cpu, on_gpu)] == [
        ("w1", "worker", "inference.worker"),
        ("w2", "worker", "inference.worker"),
    ]
    assert (on_cpu.spec.cores, on_gpu.spec.cores) == (CPU.core_ids, ())


def test_what_a_worker_loads():
    on_cpu, on_gpu = (worker.load for worker in job_of(cameras(1), "mosaic: {canvas: 640x384, stale_s: 3}\n").workers)
    assert (on_gpu.cfg, on_gpu.weights, on_gpu.names) == tuple(
        f"/etc/mosaicd/m.{end}" for end in ("cfg", "weights", "names")
    )
    assert (on_gpu.engine, on_gpu.canvas_wh, on_gpu.iou, on_gpu.stale_s) == ("tensorflow", (640, 384), 0.4, 3.0)
    assert (on_gpu.on_gpu, on_gpu.memory_mode, on_gpu.memory_limit_mib, on_gpu.threads) == (True, "fraction", 2457, 1)
    assert (on_cpu.on_gpu, on_cpu.memory_mode, on_cpu.memory_limit_mib, on_cpu.threads) == (False, "growth", None, 2)


@pytest.mark.parametrize(
    ("bodies", "score", "thresholds"),
    [
        (["", ""], 0.3, [0.3, 0.3]),
        ([", min_score: 0.6", ""], 0.3, [0.6, 0.3]),
        ([", min_score: 0.6", ", min_score: 0.5"], 0.5, [0.6, 0.5]),
        ([", min_score: 0.1", ""], 0.1, [0.1, 0.3]),
        ([", min_score: 0", ""], 0.01, [0.0, 0.3]),
        ([", min_score: 0.1, enabled: no", ""], 0.3, [0.3]),
    ],
)
def test_the_engine_gives_the_lowest_that_any_camera_wants(bodies, score, thresholds):
    lines = "".join(f"  c{n}: {{url: 'rtsp://h/{n}'{body}}}\n" for n, body in enumerate(bodies))
    job = job_of(roster_of("cameras:\n" + lines))
    assert {worker.load.score for worker in job.workers} == {score}
    [assignment] = job.assignments.values()
    assert sorted(assignment.min_score.values(), reverse=True) == sorted(thresholds, reverse=True)


def test_a_spare_does_not_make_the_others_shares_smaller():
    spare = replace(W2, name="w3", is_spare=True)
    shares = [job_of(cameras(16), workers=(W2, *more)).workers[0].load.batch for more in ((), (spare,))]
    assert shares == [4, 4]


def test_labels_are_those_that_a_camera_asks_for():
    job = job_of(roster_of("cameras:\n  a: {url: 'rtsp://h/a', labels: [dog]}\n  b: {url: 'rtsp://h/b'}\n"))
    assert job.labels == {"dog", "cat"}
    assert job.wanted_labels == {"a": ("dog",)}
    [assignment] = job.assignments.values()
    assert (assignment.mosaic, assignment.slot_id, assignment.labels) == ("m1", 0, {"a": ("dog",)})


def test_rates_are_the_cameras_own_or_the_mosaics():
    job = job_of(roster_of("cameras:\n  a: {url: 'rtsp://h/a', fps: 2}\n  b: {url: 'rtsp://h/b'}\n"))
    assert [spec and spec.fps for spec in job.openings["m1"].cameras] == [2.0, 5.0, None, None]
    assert job.setup.fps == 5.0


def test_phases_spread_the_mosaics_over_their_period():
    job = job_of(cameras(16))
    assert [opening.phase_ratio for opening in job.openings.values()] == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("count", "text", "cores", "shards"),
    [
        (0, "", 4, [0]),
        (1, "", 4, [1]),
        (32, "", 2, [4, 4]),
        (32, "", 3, [3, 3, 2]),
        (32, "", 64, [1] * 8),
        (32, "", 0, [8]),
        (32, "capture: {processes: 3}", 64, [3, 3, 2]),
        (5, "capture: {processes: 64}", 1, [1, 1]),
    ],
)
def test_whole_mosaics_are_sharded_over_capture_processes(count, text, cores, shards):
    roster = cameras(count) if count else roster_of("cameras: {off: {url: 'rtsp://h/x', enabled: no}}")
    job = job_of(roster, text, cores=cores)
    assert list(job.captures) == [f"c{n + 1}" for n in range(len(shards))]
    assert [len(mosaics) for _, mosaics in job.captures.values()] == shards
    assert sorted(m for _, mosaics in job.captures.values() for m in mosaics) == sorted(job.openings)
    assert {(spec.kind, spec.module) for spec, _ in job.captures.values()} <= {("capture", "capture.process")}


def test_every_enabled_camera_is_opened_once():
    job = job_of(cameras(10))
    opened = [spec.name for opening in job.openings.values() for spec in opening.cameras if spec]
    assert sorted(opened) == sorted(f"c{n}" for n in range(1, 11))
    assert job.openings.keys() == job.assignments.keys() == {plan.name for plan in job.plans}


def test_cameras_stay_where_they_were():
    previous = (MosaicPlan("m1", (None, "c2", None, None)),)
    assert plan_groups(cameras(2), previous) == (MosaicPlan("m1", ("c1", "c2", None, None)),)


def test_supervision_becomes_policy():
    text = (
        "supervision: {hang_s: 3, start_timeout_s: 4, stop_timeout_s: 5, stable_s: 6, max_restarts: 7,"
        " restart_window_s: 8, start_concurrency: 9}\n"
    )
    job = job_of(cameras(1), text)
    policy = job.policies["worker"]
    assert (policy.hang_s, policy.start_timeout_s, policy.stop_timeout_s, policy.stable_s) == (3, 4, 5, 6)
    assert (policy.max_restarts, policy.restart_window_s, job.start_concurrency) == (7, 8, 9)


def test_a_capture_process_starts_soon_or_not_at_all_and_is_never_given_up():
    policy = job_of(cameras(1), "supervision: {hang_s: 3, start_timeout_s: 120}\n").policies["capture"]
    assert (policy.start_timeout_s, policy.max_restarts) == (10, None)


@pytest.mark.parametrize(
    ("settings", "within_s"),
    [("", 6.0), ("mosaic: {fps: 0.2, stale_s: 20}\n", 15.0), ("mosaic: {skip_still: true}\n", 30.0)],
)
def test_a_slow_mosaic_has_three_periods_to_be_answered(settings, within_s):
    assert job_of(cameras(1), settings).answered_within_s == {"m1": pytest.approx(within_s)}
