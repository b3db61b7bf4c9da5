"""The Transport header: what a client offers, what it gets (RFC 2326, 12.39). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TcpTransport:
    """Packets inside the RTSP connection, on two of its channels."""

    rtp_channel: int
    rtcp_channel: int


@dataclass(frozen=True, slots=True)
class UdpTransport:
    """Packets as datagrams to two ports of the client."""

    rtp_port: int
    rtcp_port: int


Transport = TcpTransport | UdpTransport

_PAIR = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def choose_transport(header: str) -> Transport | None:
    """The first offer that the server can serve; None if there is none (multicast, RAW, ports that are none).

    A client's `destination` is ignored: packets go to whoever asked, or the server could be turned on others.
    """
    for offer in header.split(","):
        protocol, *parameters = (part.strip() for part in offer.split(";"))
        values = {name.lower(): value for name, _, value in (part.partition("=") for part in parameters)}
        if "multicast" in values:
            continue
        chosen: Transport | None = None
        if protocol.upper() == "RTP/AVP/TCP":
            pair = _pair(values.get("interleaved", "0-1"), 255)
            chosen = TcpTransport(*pair) if pair else None
        elif protocol.upper() in {"RTP/AVP", "RTP/AVP/UDP"}:
            pair = _pair(values.get("client_port", ""), 65535)
            chosen = UdpTransport(*pair) if pair and pair[0] else None
        if chosen:
            return chosen
    return None


def format_transport(transport: Transport, server_ports: tuple[int, int], ssrc: int) -> str:
    """The Transport header of the answer; `server_ports` are RTP's and RTCP's."""
    if isinstance(transport, TcpTransport):
        channels = f"{transport.rtp_channel}-{transport.rtcp_channel}"
        return f"RTP/AVP/TCP;unicast;interleaved={channels};ssrc={ssrc:08X}"
    return (
        f"RTP/AVP;unicast;client_port={transport.rtp_port}-{transport.rtcp_port}"
        f";server_port={server_ports[0]}-{server_ports[1]};ssrc={ssrc:08X}"
    )


def _pair(text: str, highest: int) -> tuple[int, int] | None:
    """`a-b`, or `a` for `a-(a+1)`; None if it is neither or out of bounds."""
    match = _PAIR.fullmatch(text)
    if match is None:
        return None
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if first != second and max(first, second) <= highest else None
