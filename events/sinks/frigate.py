"""Events as Frigate tells of them over MQTT, so that what was made for that works with this. Pure.

After docs.frigate.video/integrations/mqtt (0.16): topics below a prefix, fields by their names there, times in seconds
since 1970, boxes in whole pixels. What only mosaicd knows stands under ``mosaicd``. And how Home Assistant is told what
there is, after home-assistant.io/integrations/mqtt.
"""

import re
from typing import Any

import msgspec

from events.outbox import Letter
from events.words import Box, Event, Kind

_UNFIT = re.compile(r"[/+#\s\x00-\x1f\x7f]+")
"""What a level of a topic must not hold (MQTT 3.1.1, section 4.7), and blanks."""
_UNFIT_IN_ID = re.compile(r"[^A-Za-z0-9_-]+")


def level(name: str) -> str:
    """Return a label or camera as a level of a topic."""
    return _UNFIT.sub("_", name) or "_"


def message(letter: Letter) -> bytes:
    """Return what is published for one change. Of a new event Frigate's ``before`` is itself, not yet believed."""
    after = _state(letter.event)
    before = _state(letter.before) if letter.before else {**after, "false_positive": True}
    return msgspec.json.encode({"type": letter.event.kind.value, "before": before, "after": after})


def _state(event: Event) -> dict[str, Any]:
    box, speed = _pixels(event.best_box), event.speed
    width, height = box[2] - box[0], box[3] - box[1]
    return {
        "id": event.id,
        "camera": event.camera,
        "frame_time": event.updated_at,
        "snapshot": {
            "frame_time": event.best_at,
            "box": box,
            "area": width * height,
            "score": round(event.best_score, 4),
        },
        "label": event.label,
        "sub_label": None,
        "top_score": round(event.best_score, 4),
        "false_positive": False,
        "start_time": event.started_at,
        "end_time": event.ended_at,
        "score": round(event.best_score, 4),
        "box": box,
        "area": width * height,
        "ratio": round(width / height, 2) if height else 0.0,
        "active": not event.is_stationary and event.kind is not Kind.END,
        "stationary": event.is_stationary,
        "current_zones": [visit.zone for visit in event.zones if visit.left_at is None],
        "entered_zones": list(dict.fromkeys(visit.zone for visit in event.zones)),
        "has_clip": event.has_clip,
        "has_snapshot": event.has_snapshot,
        "average_estimated_speed": round(speed.median_kmh, 1) if speed else 0,
        "path_data": [[[point.x, point.y], event.started_at + point.after_s] for point in event.path],
        "mosaicd": {
            "revision": event.revision,
            "ending": event.ending,
            "frame_wh": event.frame_wh,
            "crossings": event.crossings,
            "speed": speed,
            "headway": event.headway,
        },
    }


def count_topic(prefix: str, camera: str, label: str) -> str:
    """Return where it is told how many of a label there are."""
    return f"{prefix}/{level(camera)}/{level(label)}"


def snapshot_topic(prefix: str, camera: str, label: str) -> str:
    """Return where the latest picture of a label is, a JPEG."""
    return f"{count_topic(prefix, camera, label)}/snapshot"


def discovery(prefix: str, own_prefix: str, camera: str, label: str, *, has_pictures: bool = True) -> dict[str, bytes]:
    """Return topics and payloads that make Home Assistant show whether there is one of a label, how many, and the
    latest picture. An empty payload takes back what was told before."""
    node = _UNFIT_IN_ID.sub("_", f"{own_prefix}_{camera}")
    thing = _UNFIT_IN_ID.sub("_", label)
    common = {
        "availability_topic": f"{own_prefix}/available",
        "device": {"identifiers": [node], "name": camera, "manufacturer": "mosaicd", "model": "camera"},
    }
    counted = {"state_topic": count_topic(own_prefix, camera, label)}
    occupancy = {
        "name": f"{label.capitalize()} occupancy",
        "unique_id": f"{node}_{thing}_occupancy",
        "device_class": "occupancy",
        "value_template": "{{ 'ON' if value | int > 0 else 'OFF' }}",
    }
    count = {
        "name": f"{label.capitalize()} count",
        "unique_id": f"{node}_{thing}_count",
        "state_class": "measurement",
        "unit_of_measurement": "objects",
    }
    picture = {
        "name": f"{label.capitalize()} picture",
        "unique_id": f"{node}_{thing}_picture",
        "image_topic": snapshot_topic(own_prefix, camera, label),
        "content_type": "image/jpeg",
    }
    return {
        f"{prefix}/binary_sensor/{node}/{thing}/config": msgspec.json.encode(occupancy | counted | common),
        f"{prefix}/sensor/{node}/{thing}/config": msgspec.json.encode(count | counted | common),
        f"{prefix}/image/{node}/{thing}/config": msgspec.json.encode(picture | common) if has_pictures else b"",
    }


def _pixels(box: Box) -> list[int]:
    return [round(number) for number in box]
