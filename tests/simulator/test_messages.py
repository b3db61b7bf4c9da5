import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.messages import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    BadMessageError,
    Interleaved,
    MessageReader,
    Request,
    Response,
)
from simulator.status import Status

PLAY = b"PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 4\r\nRange: npt=0-\r\n\r\n"
WITH_BODY = b"GET_PARAMETER rtsp://h/cam RTSP/1.0\r\nCSeq: 5\r\ncontent-length:  4 \r\n\r\nbody"
RECEIVER_REPORT = b"$\x01\x00\x03abc"


def test_request() -> None:
    (request,) = MessageReader().feed(PLAY)
    assert request == Request("PLAY", "rtsp://h/cam", "RTSP/1.0", {"cseq": "4", "range": "npt=0-"})


def test_body_is_as_long_as_it_says() -> None:
    first, second = MessageReader().feed(WITH_BODY + PLAY)
    assert isinstance(first, Request)
    assert first.body == b"body"
    assert isinstance(second, Request)
    assert second.method == "PLAY"


@given(st.lists(st.integers(1, 60), max_size=8))
def test_messages_do_not_depend_on_how_bytes_arrive(cuts: list[int]) -> None:
    stream = RECEIVER_REPORT + PLAY + b"\r\n" + RECEIVER_REPORT * 2 + WITH_BODY
    reader, found = MessageReader(), []
    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    found += reader.feed(stream)
    report = Interleaved(1, b"abc")
    assert [m.method if isinstance(m, Request) else m for m in found] == [
        report,
        "PLAY",
        report,
        report,
        "GET_PARAMETER",
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
        b"PLAY rtsp://h/cam\r\n\r\n",
        b"PLAY  rtsp://h/cam RTSP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        "PLÄY rtsp://h/cam RTSP/1.0\r\n\r\n".encode(),
        b"PLAY rtsp://h/cam RTSP/1.0\r\nno colon\r\n\r\n",
        b"PLAY rtsp://h/cam RTSP/1.0\r\n: nameless\r\n\r\n",
        b"PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n folded\r\n\r\n",
        b"PLAY rtsp://h/cam RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"PLAY rtsp://h/cam RTSP/1.0\r\nContent-Length: 1e3\r\n\r\n",
        b"PLAY rtsp://h/cam RTSP/1.0\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        b"PLAY rtsp://h/cam RTSP/1.0\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"PLAY rtsp://h/cam RTSP/1.0\r\nX: " + b"y" * MAX_HEAD_BYTES,
        b"PLAY rtsp://h/cam RTSP/1.0\r\nX: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
    ],
)
def test_bad_messages(text: bytes) -> None:
    with pytest.raises(BadMessageError):
        list(MessageReader().feed(text))


def test_good_messages_before_a_bad_one_are_given() -> None:
    reader = MessageReader().feed(PLAY + b"rubbish\r\n\r\n")
    assert isinstance(next(reader), Request)
    with pytest.raises(BadMessageError):
        next(reader)


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_bad(data: bytes) -> None:
    try:
        list(MessageReader().feed(data))
    except BadMessageError:
        return


def test_response() -> None:
    response = Response(Status.OK, (("Content-Type", "application/sdp"),), b"v=0")
    assert response.encode("7") == (
        b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0"
    )
    assert Response(Status.SESSION_NOT_FOUND).encode(None) == b"RTSP/1.0 454 Session not found\r\n\r\n"
