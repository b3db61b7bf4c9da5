"""What a child may say."""

import math

import msgspec
import pytest

from capture.mediamessages import Recorded, Snapped
from capture.messages import (
    Answer,
    CameraCounts,
    CameraReport,
    CaptureReport,
    LastWords,
    MosaicReport,
    Ready,
    SlotOpened,
    WorkerReport,
)
from capture.words import CameraState
from daemon.trust import UntrustworthyError, check_fits
from events.messages import EventsReport, SinkReport
from events.series import Figure, Series

CAMERA = CameraReport("a", CameraState.STREAMING, None, CameraCounts(frames=3), {}, (8, 6), 5.0)
CAPTURE = CaptureReport((CAMERA,), (MosaicReport("m1", 3, 1, 4),), steps=9, cpu_s=1.0, memory_mib=50.0)
WORKER = WorkerReport(answered=3, stale=0, torn=0, cpu_s=1.0, memory_mib=700.0)
RECORDED = Recorded("a", 0, "e1", duration_s=5.0, size_bytes=900, began_mono_s=3.0, first_pts_s=-1.0)
SNAPPED = Snapped("a", 0, "e1", size_bytes=900, picture_wh=(8, 6), captured_mono_s=3.0)
ANSWER = Answer("m1", 1, canvas_number=3, composed_mono_s=7.0, inference_s=0.04, tiles=())


CROSSINGS = Series(Figure.CROSSINGS, ("a", "drive", "in", "car"), (3.0,))
EVENTS = EventsReport(
    steps=9,
    tracks=1,
    open_events=1,
    series=(CROSSINGS,),
    held=0,
    is_kept=True,
    sinks=(SinkReport("mqtt", 4, is_well=True),),
    other_media_bytes=0,
    database_bytes=4096,
    free_bytes=9999,
    cpu_s=1.0,
    memory_mib=70.0,
)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("capture", Ready(40.0)),
        ("events", EVENTS),
        ("worker", Ready(700.0)),
        ("capture", SlotOpened("m1")),
        ("capture", CAPTURE),
        ("capture", RECORDED),
        ("capture", SNAPPED),
        ("worker", WORKER),
        ("worker", ANSWER),
        ("worker", LastWords(71, "out of memory")),
    ],
)
def test_a_child_may_say_what_its_kind_says(kind, message):
    check_fits(kind, message)


@pytest.mark.parametrize(
    ("kind", "message"), [("capture", ANSWER), ("capture", WORKER), ("worker", CAPTURE), ("worker", RECORDED)]
)
def test_a_child_may_not_speak_for_the_other_kind(kind, message):
    with pytest.raises(UntrustworthyError, match="process sent"):
        check_fits(kind, message)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize(
    ("kind", "message", "name"),
    [
        ("worker", Ready(), "memory_mib"),
        ("worker", WORKER, "cpu_s"),
        ("worker", WORKER, "memory_mib"),
        ("worker", ANSWER, "inference_s"),
        ("worker", ANSWER, "composed_mono_s"),
        ("capture", CAPTURE, "cpu_s"),
        ("capture", CAPTURE, "memory_mib"),
        ("events", EVENTS, "cpu_s"),
        ("events", EVENTS, "free_bytes"),
        ("capture", RECORDED, "duration_s"),
        ("capture", SNAPPED, "captured_mono_s"),
    ],
)
def test_numbers_that_cannot_be_are_refused(kind, message, name, number):
    with pytest.raises(UntrustworthyError, match="cannot be"):
        check_fits(kind, msgspec.structs.replace(message, **{name: number}))


@pytest.mark.parametrize(
    "series",
    [
        *(msgspec.structs.replace(CROSSINGS, numbers=(number,)) for number in (math.nan, math.inf, -1.0)),
        msgspec.structs.replace(CROSSINGS, numbers=()),
        msgspec.structs.replace(CROSSINGS, numbers=(1.0, 2.0)),
        msgspec.structs.replace(CROSSINGS, labels=("a", "drive", "in")),
        msgspec.structs.replace(CROSSINGS, figure=Figure.SPEEDS),
    ],
)
def test_a_series_that_cannot_be_is_refused(series):
    with pytest.raises(UntrustworthyError):
        check_fits("events", msgspec.structs.replace(EVENTS, series=(CROSSINGS, series)))


@pytest.mark.parametrize("counts", [CameraCounts(frames=-1), CameraCounts(damaged=-1)])
def test_negative_counts_are_refused(counts):
    camera = msgspec.structs.replace(CAMERA, counts=counts)
    with pytest.raises(UntrustworthyError):
        check_fits("capture", msgspec.structs.replace(CAPTURE, cameras=(camera,)))
