"""Everything that can be wrong with a camera: a closed set of kinds, as they stand in a schedule and over HTTP. Pure.

`Fault` is what all kinds share; each kind is a class, and its word in text is the class's name in lower case
(`NotFound` is `not_found`). Limits hold for what is read from text (`read_fault`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, ValidationError, convert

Seconds = Annotated[float, Meta(gt=0, le=1e6)]
Delay = Annotated[float, Meta(ge=0, le=1e6)]
Ratio = Annotated[float, Meta(gt=0, le=1)]
Seed = Annotated[int, Meta(ge=0)]


class FaultError(ValueError):
    """A fault that no camera, or not this camera, can have; its text says what would do."""


def _word(class_name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", class_name).lower()


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=_word):
    """A camera's misbehaviour, one at a time.

    Attributes:
        for_s: it ends by itself after so many seconds; None: when it is taken back.
    """

    for_s: Seconds | None = None

    @property
    def kind(self) -> str:
        """Its word in text."""
        return _word(type(self).__name__)


# -- the way to the stream: sessions that run are closed, new ones meet the fault ------------------------------------


class AccessFault(Fault, frozen=True, kw_only=True):
    """Nobody gets at the stream any more: connections that are the camera's end when it begins."""


class Refuse(AccessFault, frozen=True, kw_only=True):
    """Nobody listens. For cameras with a port of their own."""


class Unauthorized(AccessFault, frozen=True, kw_only=True):
    """The right password is refused, as after somebody changed it."""


class NotFound(AccessFault, frozen=True, kw_only=True):
    """404, as after a firmware's update changed the paths."""


class Redirect(AccessFault, frozen=True, kw_only=True):
    """302, before any password is asked for.

    Attributes:
        location: URL that the client is sent to.
    """

    location: str


class NotVideo(AccessFault, frozen=True, kw_only=True):
    """The camera offers sound and no video."""


class Silent(Fault, frozen=True, kw_only=True):
    """Connections are accepted, but no request for the camera is ever answered; streams that run go on."""


# -- the stream ------------------------------------------------------------------------------------------------------


class StreamFault(Fault, frozen=True, kw_only=True):
    """Goes wrong in mid-stream.

    Attributes:
        after_s: seconds from PLAY; for a session that plays when the fault is set, from then.
    """

    after_s: Delay = 0.0


class Hang(StreamFault, frozen=True, kw_only=True):
    """Stops sending and answering, and keeps the connection."""


class Close(StreamFault, frozen=True, kw_only=True):
    """Closes the connection, each time."""


class Drip(StreamFault, frozen=True, kw_only=True):
    """No video, but now and then something, so that no read ever times out.

    Attributes:
        every_s: between signs of life.
        bytewise: single bytes of an RTCP packet, and no answers (TCP only); else whole RTCP packets.
    """

    every_s: Seconds = 1.0
    bytewise: bool = False


class Loss(StreamFault, frozen=True, kw_only=True):
    """Packets get lost, on TCP too.

    Attributes:
        ratio: of the RTP packets.
        seed: of the choice, which starts anew in each session.
    """

    ratio: Ratio = 0.05
    seed: Seed = 0


class Reorder(StreamFault, frozen=True, kw_only=True):
    """Packets overtake each other.

    Attributes:
        ratio: of the RTP packets that come late.
        by: how many packets overtake a late one, at most.
        seed: of the choice.
    """

    ratio: Ratio = 0.1
    by: Annotated[int, Meta(ge=1, le=1000)] = 3
    seed: Seed = 0


class Jitter(StreamFault, frozen=True, kw_only=True):
    """Each frame comes late by chance; their order stays.

    Attributes:
        up_to_ms: the largest delay, below what counts as a standstill; all up to it are as likely.
        seed: of the choice.
    """

    up_to_ms: Annotated[float, Meta(gt=0, le=1900)] = 200.0
    seed: Seed = 0


class Corrupt(StreamFault, frozen=True, kw_only=True):
    """Bits flip in payloads.

    Attributes:
        ratio: of the RTP packets that are hit, each in one bit.
        seed: of the choice.
    """

    ratio: Ratio = 0.02
    seed: Seed = 0


class Freeze(StreamFault, frozen=True, kw_only=True):
    """The last key frame again and again, as from a sensor that hangs; times and numbers go on."""


class Black(StreamFault, frozen=True, kw_only=True):
    """A black picture in the camera's codec, size and rate."""


class Blind(StreamFault, frozen=True, kw_only=True):
    """A grey picture with faint noise, as from a covered or defocused lens."""


class Switch(StreamFault, frozen=True, kw_only=True):
    """Another picture in mid-stream, perhaps of another size or codec.

    Attributes:
        to: name of the camera (of the same server) whose footage is shown.
    """

    to: str


class Jump(StreamFault, frozen=True, kw_only=True):
    """RTP timestamps jump once, in each session that plays.

    Attributes:
        by_s: how far, forwards or backwards.
    """

    by_s: Annotated[float, Meta(ge=-40_000, le=40_000)] = 3600.0


class Wrap(StreamFault, frozen=True, kw_only=True):
    """RTP timestamps wrap around soon. New sessions start there; those that run jump there.

    Attributes:
        in_s: seconds of the stream until they wrap.
    """

    in_s: Delay = 3.0


class Fast(StreamFault, frozen=True, kw_only=True):
    """The camera's clock runs fast (or slow).

    Attributes:
        ratio: seconds of its timestamps to one of wall time.
        frames_too: frames come faster by as much; else they come at their usual pace.
    """

    ratio: Annotated[float, Meta(ge=0.1, le=10)] = 1.25
    frames_too: bool = False


class Pause(StreamFault, frozen=True, kw_only=True):
    """A pause before each key frame, then a burst of what was due.

    Attributes:
        ms: how long.
    """

    ms: Annotated[float, Meta(gt=0, le=60_000)] = 500.0


class Flood(StreamFault, frozen=True, kw_only=True):
    """A bit rate far above normal: filler data in each frame of H.264 and H.265.

    Attributes:
        times: a frame's size in those it would have.
    """

    times: Annotated[float, Meta(ge=1, le=1000)] = 10.0


KINDS: Final[Mapping[str, type[Fault]]] = {
    _word(kind.__name__): kind
    for kind in (
        *(Refuse, Silent, Hang, Close, Drip, Unauthorized, NotFound, Redirect, NotVideo),
        *(Loss, Reorder, Jitter, Corrupt, Freeze, Black, Blind, Switch, Jump, Wrap, Fast, Pause, Flood),
    )
}
"""All kinds by their words."""

_ANY_KIND: Any = reduce(or_, KINDS.values())


def read_fault(fields: Mapping[str, Any], beside: tuple[str, ...] = ()) -> Fault:
    """The fault that text says: `{"kind": "hang", "for_s": 5}`.

    Args:
        fields: names and values; nothing is known of them.
        beside: fields that could stand beside these, to be named if one is nearly so called.

    Raises:
        FaultError: an unknown word, named with the nearest known one; a value of a wrong type or out of its limits.
    """
    if "kind" not in fields:
        raise FaultError(f"no kind; there are {', '.join(KINDS)}")
    kind = KINDS[known_word("kind", fields["kind"], KINDS)]
    for name in fields:
        if name != "kind" and name not in kind.__struct_fields__:
            known_word(f"field of {fields['kind']}", name, ("kind", *kind.__struct_fields__, *beside))
    try:
        fault: Fault = convert(fields, _ANY_KIND)
    except ValidationError as error:
        raise FaultError(f"{fields['kind']}: {_plain(str(error))}") from None
    return fault


def known_word(what: str, word: object, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """The word, if it is known.

    Raises:
        FaultError: it is not; names the nearest that is, or all.
    """
    if isinstance(word, str) and word in known:
        return word
    near = get_close_matches(str(word), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise FaultError(f"no {what} {word!r}; {hint}")


def _plain(message: str) -> str:
    """msgspec's words with the field in front: `ratio: Expected `float` <= 1.0`."""
    said, _, where = message.partition(" - at `$.")
    return f"{where.removesuffix('`')}: {said}" if where else said
