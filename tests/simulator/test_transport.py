import pytest

from simulator.transport import TcpTransport, Transport, UdpTransport, choose_transport, format_transport


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3", TcpTransport(2, 3)),
        ("RTP/AVP/TCP;unicast;interleaved=4", TcpTransport(4, 5)),
        ("RTP/AVP/TCP", TcpTransport(0, 1)),
        ("RTP/AVP;unicast;client_port=5000-5001", UdpTransport(5000, 5001)),
        ("rtp/avp/udp; unicast; Client_Port=5000 ;mode=play", UdpTransport(5000, 5001)),
        ("RTP/AVP;multicast, RTP/AVP/TCP;interleaved=0-1", TcpTransport(0, 1)),
        ("RTP/SAVP;unicast;client_port=5000-5001", None),
        ("RTP/AVP;multicast;client_port=5000-5001", None),
        ("RTP/AVP;unicast", None),
        ("RTP/AVP;unicast;client_port=0-1", None),
        ("RTP/AVP;unicast;client_port=65535", None),
        ("RTP/AVP;unicast;client_port=99999-100000", None),
        ("RTP/AVP/TCP;interleaved=255-256", None),
        ("RTP/AVP/TCP;interleaved=1-1", None),
        ("RTP/AVP/TCP;interleaved=a-b", None),
        (";;,=", None),
        ("", None),
    ],
)
def test_choice(header: str, chosen: Transport | None) -> None:
    assert choose_transport(header) == chosen


def test_answers() -> None:
    assert format_transport(TcpTransport(2, 3), (0, 0), 0xAB) == "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=000000AB"
    assert format_transport(UdpTransport(5000, 5001), (6000, 6001), 1) == (
        "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc=00000001"
    )
