"""Which camera shows which video or scene, and from where. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import ShareError

_SHARE = re.compile(r"(.+):(\d{1,6})", re.DOTALL)
_SCENE = re.compile(r"([0-9]{1,12})(?::([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class VideoShare:
    """A video and how many cameras show it.

    Attributes:
        path: the file.
        count: exactly that many cameras; None for an even part of the cameras left over.
    """

    path: Path
    count: int | None = None


def parse_video_share(text: str) -> VideoShare:
    """Reads `FILE` or `FILE:4` (exactly four cameras). A file whose name ends so is written `FILE:4:1`.

    Raises:
        ShareError: no file name, or a count of zero.
    """
    match = _SHARE.fullmatch(text)
    share = VideoShare(Path(match[1]), int(match[2])) if match else VideoShare(Path(text))
    if not text or text.startswith(":"):
        raise ShareError(f"--video {text!r} names no file; give FILE or FILE:COUNT")
    if share.count == 0:
        raise ShareError(f"--video {text!r} gives the file no camera; leave it out or give a count from 1 up")
    return share


@dataclass(frozen=True, slots=True)
class SceneShare:
    """A scene of the synthetic world and how many cameras show it.

    Attributes:
        seed: which scene.
        count: exactly that many cameras; None for an even part of the cameras left over.
    """

    seed: int
    count: int | None = None


def parse_scene_share(text: str) -> SceneShare:
    """Reads `SEED` or `SEED:4` (exactly four cameras).

    Raises:
        ShareError: no number from 0 up, or a count of zero.
    """
    match = _SCENE.fullmatch(text)
    if not match:
        raise ShareError(f"--scene {text!r} names no scene; give SEED or SEED:COUNT, such as 7 or 7:4")
    count = None if match[2] is None else int(match[2])
    if count == 0:
        raise ShareError(f"--scene {text!r} gives the scene no camera; leave it out or give a count from 1 up")
    return SceneShare(int(match[1]), count)


def deal_cameras(shares: Sequence[VideoShare], cameras: int) -> list[int]:
    """For each camera the index of its video: videos take turns until each has its share.

    Raises:
        ShareError: no video, no camera, or counts that do not add up to the cameras.
    """
    if not shares or cameras < 1:
        raise ShareError("at least one video and one camera are needed")
    asked = sum(share.count or 0 for share in shares)
    open_shares = [index for index, share in enumerate(shares) if share.count is None]
    left = cameras - asked
    if left < len(open_shares) or (left and not open_shares):
        counted = f"{asked} cameras have a video by count"
        counted += f", {len(open_shares)} more videos need at least one each" if open_shares else ""
        raise ShareError(f"{counted}, but there are {cameras} cameras; change --cameras or the counts")
    room = [share.count or 0 for share in shares]
    for turn in range(left):
        room[open_shares[turn % len(open_shares)]] += 1
    dealt: list[int] = []
    while len(dealt) < cameras:
        for index in range(len(shares)):
            if room[index]:
                room[index] -= 1
                dealt.append(index)
    return dealt


def spread_starts(key_times_s: Sequence[float], cameras: int) -> list[float]:
    """Start offsets for the cameras of one video, spread evenly over its key frames.

    All differ where there are as many key frames as cameras; else as few cameras as possible share one.
    """
    return [key_times_s[turn * len(key_times_s) // cameras] for turn in range(cameras)]
