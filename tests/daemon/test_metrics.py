"""Metrics: exact text for a small snapshot, names and labels, and the page that documents them."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from capture.messages import CameraCounts
from capture.words import CameraState, Flaw, Reason, Shortfall
from daemon.lifecycle import Phase
from daemon.metrics import CAUSES, CONTENT_TYPE, make_registry, parse, render
from daemon.statistics import (
    APART,
    ENDINGS,
    SINK_DROPS,
    CameraStatistics,
    ChildStatistics,
    ConfigStatistics,
    DisabledCamera,
    DiskSpace,
    Histogram,
    MosaicStatistics,
    Reloads,
    SinkStatistics,
    Statistics,
)
from events.mediapaths import SUFFIXES
from events.retention import Cause as RemovalCause
from events.series import DISCARDS
from events.words import Kind
from tests.daemon.test_eventmetrics import EVENTS

DROPS = ("rate", "undecoded", "behind", "damaged", "superseded", "still", "unread", "outdated")
ROOT = Path(__file__).parents[2]
LABELS = {
    "camera",
    "mosaic",
    "worker",
    "process",
    "device",
    "sink",
    "cause",
    "reason",
    "flaw",
    "how",
    "result",
    "state",
    "step",
    "label",
    "line",
    "direction",
    "version",
    "kind",
    "model",
    "engine",
    "precision",
    "input",
    "roster",
    "le",
}

FRONT = CameraStatistics(
    name="front",
    mosaic="m1",
    tile=0,
    state=CameraState.STREAMING,
    reason=None,
    since_s=12.0,
    counts=CameraCounts(
        connects=2,
        packets=900,
        bytes=123456,
        frames=300,
        rate=200,
        superseded=3,
        damaged=4,
        undecoded=7,
        jumps=8,
        unkept=9,
    ),
    failures={Reason.REFUSED: 1},
    analyzed=80,
    unread=5,
    outdated=6,
    sightings={"person": 7, "car": 1},
    source_wh=(1920, 1080),
    last_frame_at=1700000000.5,
    flaws=(Flaw.LONG_GOP,),
    motion_ratio=0.25,
    gop_s=2.5,
    cpu_s=1.5,
    ring_bytes=4096,
    ring_s=7.5,
)
MOSAIC = MosaicStatistics(
    name="m1",
    cameras=("front", None, None, None),
    composed=100,
    skipped=2,
    answered=90,
    live_tiles=1,
    worker="cpu-0",
    last_answer_age_s=0.1,
    is_answered=True,
    shed_ratio=0.25,
    apart="held",
    tile_age=Histogram(bounds=(0.3,), counts=(60,), total=80, sum=40.0),
)
CAPTURE = ChildStatistics(
    name="capture-0",
    kind="capture",
    phase="up",
    generation=1,
    pid=10,
    is_up=True,
    restarts={"crash": 1},
    cpu_s=5.5,
    memory_mib=2.0,
)
WORKER = ChildStatistics(
    name="cpu-0",
    kind="worker",
    phase="given_up",
    generation=2,
    pid=11,
    is_up=False,
    restarts={"gpu_oom": 2},
    cpu_s=9.0,
    memory_mib=1.0,
    device="cpu",
    memory_limit_mib=3,
    overhead_mib=2,
    answered=90,
    stale=1,
    memory_used_mib=2.5,
    memory_peak_mib=2.75,
    last_answer_at=1700000050.0,
    inference=Histogram(bounds=(0.1,), counts=(88,), total=90, sum=4.5),
    wait=Histogram(bounds=(0.2,), counts=(89,), total=90, sum=3.5),
    steps=("larger_limit",),
    steps_taken={"same": 2, "larger_limit": 1},
    capacity=25.0,
    recovery=Histogram(bounds=(0.5, 120.0), counts=(1, 2), total=3, sum=130.5),
)
SNAPSHOT = Statistics(
    cameras=(FRONT,),
    mosaics=(MOSAIC,),
    children=(CAPTURE, WORKER, replace(CAPTURE, name="e1", kind="events")),
    events=EVENTS,
    sinks=(SinkStatistics(name="jsonl", written=8, dropped={"disk": 1}, disk=DiskSpace(5, 100)),),
    latency=Histogram(bounds=(0.1, 1.0), counts=(3, 5), total=6, sum=4.25),
    started_at=1700000000.0,
    loop_lag_s=0.002,
    mosaic_recovery=Histogram(bounds=(0.5, 120.0), counts=(2, 2), total=2, sum=0.5),
    reloads=Reloads(3, 2, False, 1700000100.0),
    devices={"cpu:0": True, "cpu:1": False},
    roster="0123456789ab",
    config=(ConfigStatistics("cpu", "yolov4-tiny", "openvino", "bfloat16", "tiles"),),
    disabled=(DisabledCamera("yard", by_hand=True), DisabledCamera("roof", by_hand=False)),
    notices=("running on the last good roster",),
)
NO_EVENTS = replace(SNAPSHOT, events=None)
"""Theirs are tested in test_eventmetrics.py."""
EMPTY = Statistics(
    cameras=(), mosaics=(), children=(), sinks=(), latency=Histogram((), (), 0, 0.0), started_at=0.0, loop_lag_s=0.0
)


def own_lines(snapshot: Statistics) -> list[str]:
    """Sample lines of our own metrics, without help and type."""
    text = render(make_registry(lambda: snapshot, version="1.2.3")).decode()
    return [line for line in text.splitlines() if line.startswith("mosaicd_")]


def test_one_camera_by_value() -> None:
    lines = [line for line in own_lines(SNAPSHOT) if 'camera="front"' in line]
    assert lines == [
        'mosaicd_camera_up{camera="front"} 1.0',
        'mosaicd_camera_state{camera="front",state="connecting"} 0.0',
        'mosaicd_camera_state{camera="front",state="streaming"} 1.0',
        'mosaicd_camera_state{camera="front",state="stalled"} 0.0',
        'mosaicd_camera_state{camera="front",state="backoff"} 0.0',
        'mosaicd_camera_state{camera="front",state="stopped"} 0.0',
        *(f'mosaicd_camera_reason{{camera="front",reason="{reason.value}"}} 0.0' for reason in Reason),
        'mosaicd_camera_connects_total{camera="front"} 2.0',
        'mosaicd_camera_failures_total{camera="front",reason="refused"} 1.0',
        *(
            f'mosaicd_camera_failures_total{{camera="front",reason="{reason.value}"}} 0.0'
            for reason in ENDINGS
            if reason is not Reason.REFUSED
        ),
        'mosaicd_camera_received_bytes_total{camera="front"} 123456.0',
        'mosaicd_camera_frames_received_total{camera="front"} 900.0',
        'mosaicd_camera_frames_total{camera="front"} 300.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="rate"} 200.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="undecoded"} 7.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="behind"} 0.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="damaged"} 4.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="superseded"} 3.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="still"} 0.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="unread"} 5.0',
        'mosaicd_camera_frames_dropped_total{camera="front",reason="outdated"} 6.0',
        'mosaicd_camera_frames_analyzed_total{camera="front"} 80.0',
        'mosaicd_camera_last_frame_timestamp_seconds{camera="front"} 1.7000000005e+09',
        *(f'mosaicd_camera_flaw{{camera="front",flaw="{flaw.value}"}} {float(flaw is Flaw.LONG_GOP)}' for flaw in Flaw),
        'mosaicd_camera_asleep{camera="front"} 0.0',
        'mosaicd_camera_motion_ratio{camera="front"} 0.25',
        'mosaicd_camera_key_frame_interval_seconds{camera="front"} 2.5',
        'mosaicd_camera_clock_jumps_total{camera="front"} 8.0',
        'mosaicd_camera_cpu_seconds_total{camera="front"} 1.5',
        'mosaicd_camera_crashes_total{camera="front"} 0.0',
        'mosaicd_camera_ring_bytes{camera="front"} 4096.0',
        'mosaicd_camera_ring_seconds{camera="front"} 7.5',
        'mosaicd_camera_ring_dropped_total{camera="front"} 9.0',
        'mosaicd_sightings_total{camera="front",label="car"} 1.0',
        'mosaicd_sightings_total{camera="front",label="person"} 7.0',
    ]


def test_all_else_by_value() -> None:
    lines = [line for line in own_lines(NO_EVENTS) if 'camera="front"' not in line and not line.endswith(" 0.0")]
    assert lines == [
        'mosaicd_mosaic_up{mosaic="m1"} 1.0',
        'mosaicd_mosaic_composed_total{mosaic="m1"} 100.0',
        'mosaicd_mosaic_skipped_total{mosaic="m1"} 2.0',
        'mosaicd_mosaic_answered_total{mosaic="m1"} 90.0',
        'mosaicd_mosaic_shed_ratio{mosaic="m1"} 0.25',
        'mosaicd_mosaic_apart{how="held",mosaic="m1"} 1.0',
        'mosaicd_mosaic_live_tiles{mosaic="m1"} 1.0',
        'mosaicd_mosaic_tile_age_seconds_bucket{le="0.3",mosaic="m1"} 60.0',
        'mosaicd_mosaic_tile_age_seconds_bucket{le="+Inf",mosaic="m1"} 80.0',
        'mosaicd_mosaic_tile_age_seconds_count{mosaic="m1"} 80.0',
        'mosaicd_mosaic_tile_age_seconds_sum{mosaic="m1"} 40.0',
        'mosaicd_mosaic_recovery_seconds_bucket{le="0.5"} 2.0',
        'mosaicd_mosaic_recovery_seconds_bucket{le="120.0"} 2.0',
        'mosaicd_mosaic_recovery_seconds_bucket{le="+Inf"} 2.0',
        "mosaicd_mosaic_recovery_seconds_count 2.0",
        "mosaicd_mosaic_recovery_seconds_sum 0.5",
        'mosaicd_capture_up{process="capture-0"} 1.0',
        'mosaicd_capture_state{process="capture-0",state="up"} 1.0',
        'mosaicd_capture_generation{process="capture-0"} 1.0',
        'mosaicd_capture_restarts_total{cause="crash",process="capture-0"} 1.0',
        'mosaicd_capture_cpu_seconds_total{process="capture-0"} 5.5',
        'mosaicd_capture_resident_memory_bytes{process="capture-0"} 2.097152e+06',
        'mosaicd_worker_state{state="given_up",worker="cpu-0"} 1.0',
        'mosaicd_worker_generation{worker="cpu-0"} 2.0',
        'mosaicd_worker_restarts_total{cause="gpu_oom",worker="cpu-0"} 2.0',
        'mosaicd_worker_cpu_seconds_total{worker="cpu-0"} 9.0',
        'mosaicd_worker_resident_memory_bytes{worker="cpu-0"} 1.048576e+06',
        'mosaicd_worker_memory_limit_bytes{worker="cpu-0"} 3.145728e+06',
        'mosaicd_worker_memory_used_bytes{worker="cpu-0"} 2.62144e+06',
        'mosaicd_worker_memory_peak_bytes{worker="cpu-0"} 2.883584e+06',
        'mosaicd_worker_overhead_bytes{worker="cpu-0"} 2.097152e+06',
        'mosaicd_worker_answered_total{worker="cpu-0"} 90.0',
        'mosaicd_worker_stale_total{worker="cpu-0"} 1.0',
        'mosaicd_worker_last_answer_timestamp_seconds{worker="cpu-0"} 1.70000005e+09',
        'mosaicd_worker_inference_seconds_bucket{le="0.1",worker="cpu-0"} 88.0',
        'mosaicd_worker_inference_seconds_bucket{le="+Inf",worker="cpu-0"} 90.0',
        'mosaicd_worker_inference_seconds_count{worker="cpu-0"} 90.0',
        'mosaicd_worker_inference_seconds_sum{worker="cpu-0"} 4.5',
        'mosaicd_worker_wait_seconds_bucket{le="0.2",worker="cpu-0"} 89.0',
        'mosaicd_worker_wait_seconds_bucket{le="+Inf",worker="cpu-0"} 90.0',
        'mosaicd_worker_wait_seconds_count{worker="cpu-0"} 90.0',
        'mosaicd_worker_wait_seconds_sum{worker="cpu-0"} 3.5',
        'mosaicd_worker_capacity{worker="cpu-0"} 25.0',
        'mosaicd_worker_escalations_total{step="same",worker="cpu-0"} 2.0',
        'mosaicd_worker_escalations_total{step="larger_limit",worker="cpu-0"} 1.0',
        'mosaicd_worker_escalated{worker="cpu-0"} 1.0',
        'mosaicd_worker_recovery_seconds_bucket{le="0.5",worker="cpu-0"} 1.0',
        'mosaicd_worker_recovery_seconds_bucket{le="120.0",worker="cpu-0"} 2.0',
        'mosaicd_worker_recovery_seconds_bucket{le="+Inf",worker="cpu-0"} 3.0',
        'mosaicd_worker_recovery_seconds_count{worker="cpu-0"} 3.0',
        'mosaicd_worker_recovery_seconds_sum{worker="cpu-0"} 130.5',
        'mosaicd_event_process_up{process="e1"} 1.0',
        'mosaicd_event_process_state{process="e1",state="up"} 1.0',
        'mosaicd_event_process_generation{process="e1"} 1.0',
        'mosaicd_event_process_restarts_total{cause="crash",process="e1"} 1.0',
        'mosaicd_event_process_cpu_seconds_total{process="e1"} 5.5',
        'mosaicd_event_process_resident_memory_bytes{process="e1"} 2.097152e+06',
        'mosaicd_sink_lines_written_total{sink="jsonl"} 8.0',
        'mosaicd_sink_lines_dropped_total{reason="disk",sink="jsonl"} 1.0',
        'mosaicd_sink_disk_free_bytes{sink="jsonl"} 5.0',
        'mosaicd_sink_disk_size_bytes{sink="jsonl"} 100.0',
        'mosaicd_sighting_latency_seconds_bucket{le="0.1"} 3.0',
        'mosaicd_sighting_latency_seconds_bucket{le="1.0"} 5.0',
        'mosaicd_sighting_latency_seconds_bucket{le="+Inf"} 6.0',
        "mosaicd_sighting_latency_seconds_count 6.0",
        "mosaicd_sighting_latency_seconds_sum 4.25",
        'mosaicd_build_info{version="1.2.3"} 1.0',
        'mosaicd_config_info{engine="openvino",input="tiles",kind="cpu",model="yolov4-tiny",precision="bfloat16",'
        'roster="0123456789ab"} 1.0',
        "mosaicd_start_time_seconds 1.7e+09",
        "mosaicd_loop_lag_seconds 0.002",
        "mosaicd_ready 1.0",
        'mosaicd_device_up{device="cpu:0"} 1.0',
        'mosaicd_config_reloads_total{result="applied"} 3.0',
        'mosaicd_config_reloads_total{result="refused"} 2.0',
        "mosaicd_config_last_reload_success_timestamp_seconds 1.7000001e+09",
        "mosaicd_cameras_switched_off 1.0",
        "mosaicd_notices 1.0",
    ]


def test_series_known_in_advance_start_at_zero() -> None:
    zeros = Counter(re.split(r"[{ ]", line)[0] for line in own_lines(NO_EVENTS) if line.endswith(" 0.0"))
    assert zeros == {
        "mosaicd_camera_state": len(CameraState) - 1,
        "mosaicd_camera_reason": len(Reason),
        "mosaicd_camera_failures_total": len(ENDINGS) - 1,
        "mosaicd_camera_frames_dropped_total": 2,
        "mosaicd_camera_flaw": len(Flaw) - 1,
        "mosaicd_camera_asleep": 1,
        "mosaicd_camera_crashes_total": 1,
        "mosaicd_mosaic_still_total": 1,
        "mosaicd_mosaic_missing_tiles": 1,
        "mosaicd_mosaic_apart": len(APART) - 1,
        "mosaicd_device_up": 1,
        "mosaicd_event_process_state": len(Phase) - 1,
        "mosaicd_event_process_restarts_total": len(CAUSES) - 1,
        "mosaicd_config_last_reload_successful": 1,
        "mosaicd_capture_state": len(Phase) - 1,
        "mosaicd_worker_state": len(Phase) - 1,
        "mosaicd_capture_restarts_total": len(CAUSES) - 1,
        "mosaicd_worker_restarts_total": len(CAUSES) - 1,
        "mosaicd_worker_up": 1,
        "mosaicd_sink_lines_dropped_total": len(SINK_DROPS) - 1,
    }


def test_every_drop_has_a_known_reason() -> None:
    samples = parse("\n".join(own_lines(SNAPSHOT)) + "\n")
    reasons = [s.labels["reason"] for s in samples if s.name == "mosaicd_camera_frames_dropped_total"]
    assert tuple(reasons) == DROPS


def test_unforeseen_cause_is_shown_not_hidden() -> None:
    registry = make_registry(lambda: SNAPSHOT, causes=("hang",))
    restarts = {
        (s.labels["worker"], s.labels["cause"]): s.value
        for s in parse(render(registry).decode())
        if s.name == "mosaicd_worker_restarts_total"
    }
    assert restarts == {("cpu-0", "hang"): 0.0, ("cpu-0", "gpu_oom"): 2.0}


def test_each_scrape_reads_one_new_snapshot() -> None:
    reads: list[Statistics] = []

    def read() -> Statistics:
        reads.append(EMPTY)
        return EMPTY

    registry = make_registry(read)
    assert reads == []
    render(registry)
    render(registry)
    assert len(reads) == 2


def test_daemon_without_anything_yet_renders() -> None:
    assert "mosaicd_ready 0.0" in own_lines(EMPTY)
    assert 'mosaicd_sighting_latency_seconds_bucket{le="+Inf"} 0.0' in own_lines(EMPTY)


def test_text_is_read_back_with_the_same_values() -> None:
    text = render(make_registry(lambda: SNAPSHOT)).decode()
    values = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in parse(text)}
    assert values["mosaicd_camera_received_bytes_total", (("camera", "front"),)] == 123456.0
    assert values["mosaicd_worker_up", (("device", "cpu"), ("worker", "cpu-0"))] == 0.0
    assert values["mosaicd_sighting_latency_seconds_bucket", (("le", "+Inf"),)] == 6.0
    assert len(values) == sum(not line.startswith("#") for line in text.splitlines()), "a series is there twice"


def test_names_follow_the_rules_of_prometheus() -> None:
    for family in text_string_to_metric_families(render(make_registry(lambda: SNAPSHOT)).decode()):
        assert re.fullmatch(r"(mosaicd|process)_[a-z0-9_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
            assert sample.labels.keys() <= LABELS, sample
            assert not re.search(r"_(ms|mib|kb|minutes|percent)(_|$)", sample.name), "base units only"


def test_content_type_names_the_text_format() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_every_metric_is_documented() -> None:
    documented: dict[str, tuple[str, set[str]]] = {}
    for line in (ROOT / "deploy" / "METRICS.md").read_text().splitlines():
        if match := re.fullmatch(r"\| `([a-z_]+)` \| (\w+) \| (.*?) ?\| (.+) \|", line):
            documented[match[1]] = (match[2], set(re.findall(r"`(\w+)`", match[3])))
    rendered: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(render(make_registry(lambda: SNAPSHOT)).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        rendered[name] = (family.type, {label for s in family.samples for label in s.labels} - {"le"})
    assert documented == rendered


def test_every_value_of_a_closed_set_is_documented() -> None:
    page = (ROOT / "deploy" / "METRICS.md").read_text()
    words = (
        *CAUSES,
        *DROPS,
        "queue_full",
        "disk",
        *(r.value for r in Reason),
        *(flaw.value for flaw in Flaw),
        *(s.value for s in CameraState),
        *(p.value for p in Phase),
        *(kind.value for kind in Kind),
        *(cause.value for cause in RemovalCause),
        *DISCARDS,
        *SUFFIXES,
        *(shortfall.value for shortfall in Shortfall),
    )
    assert [word for word in words if f"`{word}`" not in page] == []
