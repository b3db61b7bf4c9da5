"""The trackers that `bench/tracking.py` compares: ours, and each library's that can be imported, behind one function.

Libraries get the settings that serve them best here, by trial on the same footage: what counts as strong where our
detectors' scores lie (0.4 instead of 0.6 to 0.7), a patience of two seconds, told of when seen twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from events import tracker as own
from events.tracks import TrackerOptions

LOST_S = 2.0
STRONG = 0.4

Told = tuple[Sequence[int], npt.NDArray[np.floating]]
"""Ids and boxes (n, 4) of the tracks seen at this answer."""
Update = Callable[[float, npt.NDArray[np.float32], npt.NDArray[np.float32], Sequence[str]], Told]
"""Takes time, boxes, scores and labels of an answer."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to track."""

    name: str
    module: str
    """What it imports."""
    make: Callable[[float], Update]
    """A tracker for a camera with so many answers a second."""
    distribution: str
    """What is installed for it."""
    licence: str
    needs: str
    """What comes with it that mosaicd does not have otherwise."""


def ours(doubt_sigmas: float = own.DOUBT_SIGMAS) -> Callable[[float], Update]:
    """Return what makes our tracker; with 0 its boxes are matched by plain overlap."""

    def make(_rate_hz: float) -> Update:
        own.DOUBT_SIGMAS = doubt_sigmas
        tracker = own.Tracker(TrackerOptions(lost_s=LOST_S, strong_score=STRONG))

        def update(at_s: float, boxes: Any, scores: Any, labels: Sequence[str]) -> Told:
            changed = tracker.update(at_s, boxes, scores, labels)
            tracks = changed.new + changed.updated
            return [each.id for each in tracks], np.array([each.box for each in tracks]).reshape(-1, 4)

        return update

    return make


def roboflow(kind: str, buffer_ratio: float = 0.0, **settings: Any) -> Callable[[float], Update]:
    """Return what makes one of `trackers`, which is told the times; with a buffer, by boxes made larger by it.

    Its noise is by the frame: taken as ten a second at any rate, it does better than as the rate that it is.
    """

    def make(_rate_hz: float) -> Update:
        import supervision
        import trackers

        overlap = {"iou": trackers.BIoU(buffer_ratio)} if buffer_ratio else {}
        # The buffer for what is lost is in thirtieths of a second at any rate.
        tracker = getattr(trackers, kind)(
            frame_rate=10.0, lost_track_buffer=round(30 * LOST_S), minimum_consecutive_frames=2, **overlap, **settings
        )

        def update(at_s: float, boxes: Any, scores: Any, _labels: Sequence[str]) -> Told:
            found = tracker.update(supervision.Detections(xyxy=boxes, confidence=scores), timestamp=at_s)
            if found.tracker_id is None:
                return [], np.empty((0, 4))
            told = found.tracker_id >= 0
            return found.tracker_id[told].tolist(), found.xyxy[told]

        return update

    return make


def norfair(rate_hz: float) -> Update:
    """Norfair, with as little overlap asked for as it can do with."""
    import norfair as library

    tracker = library.Tracker("iou", 0.9, hit_counter_max=max(2, round(LOST_S * rate_hz)), initialization_delay=1)

    def update(_at_s: float, boxes: Any, scores: Any, _labels: Sequence[str]) -> Told:
        pairs = zip(boxes, scores, strict=True)
        seen = [library.Detection(box.reshape(2, 2).astype(float), np.array([score] * 2)) for box, score in pairs]
        told = [each for each in tracker.update(seen) if any(each.last_detection is one for one in seen)]
        return [each.id for each in told], np.array([each.last_detection.points for each in told]).reshape(-1, 4)

    return update


def trackforge(kind: str, patience: str, **settings: Any) -> Callable[[float], Update]:
    """Return what makes one of `trackforge`, which counts frames."""

    def make(rate_hz: float) -> Update:
        import trackforge as library

        tracker = getattr(library, kind)(**{patience: max(1, round(LOST_S * rate_hz))}, **settings)

        def update(_at_s: float, boxes: Any, scores: Any, _labels: Sequence[str]) -> Told:
            sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
            found = tracker.update([(box, score, 0) for box, score in zip(sides, scores.tolist(), strict=True)])
            told = [each for each in found if each[4] is not None]
            return [each[0] for each in told], boxes[[each[4] for each in told]]

        return update

    return make


def edgefirst(_rate_hz: float) -> Update:
    """ByteTrack of the EdgeFirst HAL; it is told the times, and of no track when it was seen twice."""
    from edgefirst.tracker import ByteTrack

    tracker = ByteTrack(high_conf=STRONG, iou=0.1, lifespan_ns=int(LOST_S * 1e9))
    ids: dict[str, int] = {}

    def update(at_s: float, boxes: Any, scores: Any, labels: Sequence[str]) -> Told:
        found = tracker.update(boxes, scores, np.zeros(len(labels), np.uint64), int(at_s * 1e9))
        told = [row for row, each in enumerate(found) if each is not None and each.count >= 2]
        return [ids.setdefault(found[row].uuid, len(ids)) for row in told], boxes[told]

    return update


_BYTE = {"track_activation_threshold": STRONG, "high_conf_det_threshold": STRONG}


def _of_trackers(name: str, make: Callable[[float], Update]) -> Candidate:
    needs = "supervision, matplotlib, pillow, opencv-python beside our headless one"
    return Candidate(f"trackers, {name}", "trackers", make, "trackers", "Apache-2.0", needs)


def _of_trackforge(name: str, make: Callable[[float], Update]) -> Candidate:
    return Candidate(f"trackforge, {name}", "trackforge", make, "trackforge", "MIT", "nothing (Rust)")


CANDIDATES = (
    Candidate("ours", "events.tracker", ours(), "lap", "Apache-2.0", "lap"),
    Candidate("ours, plain overlap", "events.tracker", ours(0.0), "lap", "Apache-2.0", "lap"),
    _of_trackers("ByteTrack", roboflow("ByteTrackTracker", **_BYTE)),
    _of_trackers("ByteTrack, buffer 0.5", roboflow("ByteTrackTracker", 0.5, **_BYTE)),
    _of_trackers("C-BIoU", roboflow("CBIoUTracker", **_BYTE)),
    _of_trackers("OC-SORT", roboflow("OCSORTTracker", high_conf_det_threshold=0.3, minimum_iou_threshold=0.1)),
    Candidate("norfair", "norfair", norfair, "norfair", "BSD-3-Clause", "filterpy 1, matplotlib, an older rich"),
    _of_trackforge(
        "ByteTrack",
        trackforge("BYTETRACK", "track_buffer", track_thresh=STRONG, det_thresh=STRONG, match_thresh=0.9),
    ),
    _of_trackforge("OC-SORT", trackforge("OCSORT", "max_age", min_hits=2, iou_threshold=0.1)),
    Candidate(
        "edgefirst, ByteTrack", "edgefirst.tracker", edgefirst, "edgefirst-tracker", "Apache-2.0", "nothing (Rust)"
    ),
)
