from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ShareError
from simulator.shares import (
    SceneShare,
    VideoShare,
    deal_cameras,
    parse_scene_share,
    parse_video_share,
    spread_starts,
)

A, B, C = Path("a.mp4"), Path("b.mp4"), Path("c.mp4")


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("shop.mp4", VideoShare(Path("shop.mp4"))),
        ("shop.mp4:4", VideoShare(Path("shop.mp4"), 4)),
        ("/videos/12:30.mp4", VideoShare(Path("/videos/12:30.mp4"))),
        ("/videos/at 12:30:1", VideoShare(Path("/videos/at 12:30"), 1)),
        ("shop.mp4:", VideoShare(Path("shop.mp4:"))),
    ],
)
def test_parse(text: str, share: VideoShare) -> None:
    assert parse_video_share(text) == share


@pytest.mark.parametrize(("text", "reason"), [("", "no file"), (":4", "no file"), ("shop.mp4:0", "no camera")])
def test_parse_refuses(text: str, reason: str) -> None:
    with pytest.raises(ShareError, match=reason):
        parse_video_share(text)


@pytest.mark.parametrize(
    ("text", "share"), [("7", SceneShare(7)), ("0", SceneShare(0)), ("1000012:4", SceneShare(1_000_012, 4))]
)
def test_parse_scene(text: str, share: SceneShare) -> None:
    assert parse_scene_share(text) == share


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no scene"),
        ("street", "no scene"),
        ("-1", "no scene"),
        ("7:", "no scene"),
        (":4", "no scene"),
        ("7:4:2", "no scene"),
        ("\u0667", "no scene"),
        ("7:0", "no camera"),
    ],
)
def test_parse_scene_refuses(text: str, reason: str) -> None:
    with pytest.raises(ShareError, match=reason):
        parse_scene_share(text)


@pytest.mark.parametrize(
    ("shares", "cameras", "dealt"),
    [
        ([VideoShare(A)], 3, [0, 0, 0]),
        ([VideoShare(A), VideoShare(B)], 5, [0, 1, 0, 1, 0]),
        ([VideoShare(A, 4), VideoShare(B), VideoShare(C)], 8, [0, 1, 2, 0, 1, 2, 0, 0]),
        ([VideoShare(A, 1), VideoShare(B, 2)], 3, [0, 1, 1]),
    ],
)
def test_videos_take_turns(shares: list[VideoShare], cameras: int, dealt: list[int]) -> None:
    assert deal_cameras(shares, cameras) == dealt


@pytest.mark.parametrize(
    ("shares", "cameras", "reason"),
    [
        ([], 4, "at least one"),
        ([VideoShare(A)], 0, "at least one"),
        ([VideoShare(A), VideoShare(B)], 1, "2 more videos need at least one each, but there are 1 cameras"),
        ([VideoShare(A, 4), VideoShare(B)], 4, "4 cameras have a video by count, 1 more"),
        ([VideoShare(A, 4)], 8, "4 cameras have a video by count, but there are 8 cameras"),
        ([VideoShare(A, 9)], 8, "9 cameras have a video by count, but there are 8 cameras"),
    ],
)
def test_shares_that_do_not_add_up(shares: list[VideoShare], cameras: int, reason: str) -> None:
    with pytest.raises(ShareError, match=reason):
        deal_cameras(shares, cameras)


@given(st.integers(1, 40), st.integers(1, 40))
def test_starts_differ_where_they_can(keys: int, cameras: int) -> None:
    starts = spread_starts([float(key) for key in range(keys)], cameras)
    assert len(starts) == cameras
    assert starts == sorted(starts)
    assert len(set(starts)) == min(keys, cameras)
    most = max(starts.count(start) for start in starts)
    assert most == -(-cameras // keys)


def test_starts_are_spread_evenly() -> None:
    assert spread_starts([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 4) == [0.0, 2.0, 4.0, 6.0]
