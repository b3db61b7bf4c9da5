"""What can be done to bytes, lines and numbers. Pure: each takes its chance from the generator that it is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

NUMBERS = (
    *(b"0", b"-1", b"1", b"2", b"255", b"256", b"65535", b"65536", b"2147483647", b"-2147483648", b"4294967295"),
    *(b"4294967296", b"9223372036854775807", b"18446744073709551616", b"9" * 40, b"1e309", b"nan", b"0x7f", b"", b" "),
)
"""What a number may be instead: at every border that C has."""

_NUMBER = re.compile(rb"\d+")
_ADDRESS = re.compile(rb"^(c=|o=|location:|[a-z]+://)", re.IGNORECASE)
"""Lines whose numbers are addresses: nothing of a fuzzer may leave this host."""


def mutate_bytes(data: bytes, rng: Random, limit_bytes: int = 60_000) -> bytes:
    """Damage some bytes, most of them near the front, where headers are."""
    changed = bytearray(data)
    at = _place(len(changed), rng)
    match rng.randrange(10):
        case 0 | 1 | 2:
            for _ in range(rng.choice((1, 1, 2, 4, 16))):
                if changed:
                    changed[_place(len(changed), rng)] ^= 1 << rng.randrange(8)
        case 3:
            for _ in range(rng.choice((1, 2, 8))):
                if changed:
                    changed[_place(len(changed), rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        case 4:
            del changed[at:]
        case 5:
            del changed[at : at + rng.choice((1, 2, 7, 64))]
        case 6:
            changed[at:at] = rng.randbytes(rng.choice((1, 2, 4, 64)))
        case 7:
            length = rng.choice((1, 4, 32, 256))
            changed[at:at] = changed[at : at + length] * rng.choice((1, 2, 8))
        case 8:
            changed[at : at + rng.choice((2, 3, 16, 128))] = bytes([rng.choice((0, 0xFF))]) * rng.choice((2, 16, 128))
        case 9:
            changed += rng.randbytes(rng.choice((1, 16, 1000, 20_000)))
    return bytes(changed[:limit_bytes])


def _place(length: int, rng: Random) -> int:
    return min(rng.randrange(max(1, length)), rng.randrange(max(1, length))) if rng.random() < 0.8 else length // 2


def mutate_order(items: Sequence[bytes], rng: Random) -> list[bytes]:
    """Drop, repeat, swap or move one."""
    changed = list(items)
    if not changed:
        return changed
    at, other = rng.randrange(len(changed)), rng.randrange(len(changed))
    match rng.randrange(4):
        case 0:
            del changed[at]
        case 1:
            changed[at:at] = [changed[at]] * rng.choice((1, 1, 3, 20))
        case 2:
            changed[at], changed[other] = changed[other], changed[at]
        case 3:
            changed.insert(other, changed.pop(at))
    return changed


def _number(line: bytes, rng: Random) -> bytes:
    found = list(_NUMBER.finditer(line))
    if not found or _ADDRESS.match(line):
        return line
    one = rng.choice(found)
    return line[: one.start()] + rng.choice(NUMBERS) + line[one.end() :]


def _cut(line: bytes, rng: Random) -> bytes:
    return line[: rng.randrange(len(line) + 1)]


def _blow_up(line: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(line) + 1)
    filler = rng.choice((b"A", b"=", b";", b",", b"%s%n", b"\0", b"\xff", b" ", b"/..", b"AAAA="))
    return line[:at] + filler * rng.choice((1, 20, 300, 5000, 20_000)) + line[at:]


def _flip(line: bytes, rng: Random) -> bytes:
    return line if _ADDRESS.match(line) else mutate_bytes(line, rng, 2000)


_ON_A_LINE: tuple[Callable[[bytes, Random], bytes], ...] = (_number, _number, _number, _cut, _blow_up, _flip)


def mutate_lines(lines: Sequence[bytes], rng: Random) -> list[bytes]:
    """Damage one line, or their order."""
    if not lines or rng.random() < 0.3:
        return mutate_order(lines, rng)
    changed = list(lines)
    at = rng.randrange(len(changed))
    changed[at] = rng.choice(_ON_A_LINE)(changed[at], rng)
    return changed
