"""The search for planted passwords finds them, or its silence would say nothing."""

import base64
import json
from hashlib import md5
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from tests.system.sweep import MARK, digest_keys, leaks, may_dump_core

PASSWORD = f"a:{MARK}@1/ü?&\"'"
ENCODED = {
    "plain": PASSWORD,
    "percent": quote(PASSWORD, safe=""),
    "form": quote_plus(PASSWORD),
    "lower case": PASSWORD.lower(),
    "JSON": json.dumps(PASSWORD),
    "JSON in JSON": json.dumps(json.dumps({"a": PASSWORD})),
    "HTML": escape(PASSWORD),
    "repr": repr(PASSWORD.encode()),
    "hexadecimal": PASSWORD.encode().hex().upper(),
    "UTF-16": PASSWORD.encode("utf-16-le"),
    "cut off": PASSWORD[: PASSWORD.index(MARK) + len(MARK)],
    "header": 'Authorization: Digest username="a"',
    "answer": f'response="{md5(b"x").hexdigest()}"',
    "HA1": md5(f"viewer:the realm:{PASSWORD}".encode()).hexdigest(),
}


@pytest.mark.parametrize("name", ENCODED)
def test_a_password_is_found_in_each_encoding(name: str) -> None:
    keys = digest_keys([("viewer", PASSWORD)], ["another", "the realm"])
    text = ENCODED[name]
    around = b"before " + (text.encode() if isinstance(text, str) else text) + b" after"
    assert len(leaks({"here": around}, keys)) == 1


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "viewer"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_it_is_found_in_base64_wherever_in_it(user: str, encode) -> None:
    header = encode(f"{user}:{PASSWORD}".encode())
    assert leaks({"log": b"Basic " + header + b"\r\n"})


def test_what_is_no_password_is_left_alone() -> None:
    told = '{"message": "camera down", "reason": "unauthorized", "detail": "the camera refuses user name and password"}'
    assert not leaks({"log": told, "metrics": 'mosaicd_camera_up{camera="gate"} 1', "roster": "password: ${GATE}"})


@pytest.mark.parametrize(("soft", "hard", "expected"), [("0", "0", False), ("0", "unlimited", True), ("9", "9", True)])
def test_a_process_that_may_leave_a_core_is_found(soft: str, hard: str, expected: bool) -> None:
    limits = f"Max data size   unlimited  unlimited  bytes\nMax core file size        {soft}        {hard}      bytes\n"
    assert may_dump_core(limits) is expected
