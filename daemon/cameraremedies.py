"""What may be done about a camera that gives no video: for each reason of the daemon's, the questions to ask. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from capture.probemessages import Refusal
from capture.words import PORTS, Reason, Transport
from daemon.cameratarget import Target, secret_name

USUAL_PATHS = (
    ("Hikvision", "/Streaming/Channels/101", "102"),
    ("Dahua, Amcrest", "/cam/realmonitor?channel=1&subtype=0", "1"),
    ("Axis", "/axis-media/media.amp", ""),
    ("Reolink", "/h264Preview_01_main", "_sub"),
    ("TP-Link Tapo", "/stream1", "2"),
    ("Hanwha", "/profile1/media.smp", ""),
    ("Uniview", "/media/video1", "2"),
    ("Foscam", "/videoMain", "Sub"),
    ("Vivotek", "/live.sdp", ""),
    ("Bosch", "/rtsp_tunnel", ""),
)
"""Maker, path, and how the path of the small stream ends, if it is known to differ there."""


def remedies(refusal: Refusal, target: Target) -> tuple[str, ...]:
    """Return what may be done about it; at least one sentence."""
    scheme = urlsplit(target.address).scheme
    match scheme:
        case "file":
            found = tuple(_of_file(refusal.reason))
        case "http" | "https":
            found = tuple(_of_http(refusal.reason))
        case _:
            found = ()
    return found or tuple(_of_camera(refusal.reason, target))


def _of_file(reason: Reason) -> Iterator[str]:
    match reason:
        case Reason.NOT_FOUND:
            yield "Is the path right and absolute, and may mosaicd's user read the file?"
        case Reason.NOT_VIDEO:
            yield "It should be a video file (mp4, mkv, avi, ts, ...), not a playlist."
        case Reason.ENDED:
            yield "The file has an end: ?loop=1 behind its path begins again."


def _of_http(reason: Reason) -> Iterator[str]:
    match reason:
        case Reason.NOT_FOUND:
            yield "The camera is there, but not this path: its manual names the path of its MJPEG stream."
        case Reason.NOT_VIDEO:
            yield "Over HTTP only MJPEG is read: no web page, no single JPEG, no HLS. Has the camera an RTSP stream?"


def _of_camera(reason: Reason, target: Target) -> Iterator[str]:
    parts = urlsplit(target.address)
    scheme = parts.scheme
    over_udp = " Over UDP a firewall can do this: try --transport tcp." if _is_udp(target) else ""
    match reason:
        case Reason.REFUSED:
            usual = PORTS.get(scheme, 554)
            yield f"Is the port right? It is {parts.port or usual} here; usually {usual}."
            yield f"Is {scheme.upper()} switched on in the camera? Some makers leave it off until somebody asks for it."
        case Reason.UNREACHABLE:
            host = parts.hostname or "HOST"
            yield f"Is the address right, the camera on, its cable in? `ping {host}` tells whether it is there."
            yield "Is it in a network that this machine can reach (VLAN, firewall)?"
        case Reason.TIMEOUT:
            yield f"Is the address right, and does no firewall swallow what is sent to that port?{over_udp}"
            yield "If it is only slow (Wi-Fi, battery): raise capture.open_timeout_s in the settings."
        case Reason.UNAUTHORIZED if not target.order.username and target.is_new:
            yield "Give --username NAME and --password-env VARIABLE."
        case Reason.UNAUTHORIZED if not target.order.username:
            yield f"Give it username: and password: ${{{secret_name(target.name, 'password')}}} in the roster."
        case Reason.UNAUTHORIZED:
            yield "Check user name and password, but not often: most cameras lock an account after a few wrong tries."
            yield "Has the user the right to watch live video? Some cameras keep users of their own for RTSP or ONVIF."
            yield "In the roster a password's `$` is written `$$`."
        case Reason.NOT_FOUND:
            yield "The camera is there, but not this path. Usual ones:"
            for maker, path, second in USUAL_PATHS:
                yield f"  {maker}: {path}" + (f" (its small stream ends in {second})" if second else "")
        case Reason.REDIRECTED:
            yield "No password was sent there, and none is: whoever redirects could be anybody."
            yield "The camera's manual, or its page on streams, names the address itself; test that one."
        case Reason.NOT_VIDEO:
            yield f"Is it the port of {scheme.upper()}, not that of the camera's web page?{over_udp}"
            yield "Is video on in this stream, not only sound, as H.264, H.265 or MJPEG (no maker's own, as H.264+)?"
        case Reason.HANG:
            yield f"It answers, but sends no video: restart it, and count who else watches it.{over_udp}"
        case Reason.ENDED:
            yield "The camera hung up. Most let only a few watch at once: who does (a recorder, an app, the daemon)?"
        case Reason.BROKEN:
            yield f"It went wrong on the way: is the firmware new, the network sound?{over_udp}"
            yield "Is video on in this stream, not only sound?"
        case Reason.CRASHED:
            yield "Set another codec or profile in the camera (H.264 Main), and update its firmware."
            yield "Please report it with the camera's model: nothing that a camera sends should do this."
        case Reason.FROZEN:
            yield "Restart the camera: it shows one and the same picture."


def _is_udp(target: Target) -> bool:
    return target.order.transport is not Transport.TCP
