"""Passwords in each way that people write them, with mistakes beside them, too."""

from typing import Any
from urllib.parse import quote

from tests.system.sweep import MARK

MALFORMED = {
    "unknown": "unknown: {{url: 'rtsp://h/x', pasword: '{1}'}}",
    "nested": "nested: {{url: 'rtsp://h/x', password: {{text: '{1}'}}}}",
    "listed": "listed: {{url: 'rtsp://h/x', password: ['{1}'], username: ['{1}']}}",
    "hash": "hash: {{url: 'rtsp://viewer:{0}#@h/x'}}",
    "at": "at: {{url: 'rtsp://h/x@{1}'}}",
    "port": "port: {{url: 'rtsp://viewer:{0}@h:99999/x'}}",
    "scheme": "scheme: {{url: 'exec:{0}'}}",
    "twice": "twice: {{url: 'rtsp://viewer:{0}@h/x', password: '{1}'}}",
    "name": "name: {{url: 'rtsp://h/x', password: '${{{1} }}'}}",
    "absent": "absent: {{url: 'rtsp://h/x', password: '{1}${{NOWHERE}}'}}",
    "control": "control: {{url: 'rtsp://h/x', password: \"{1}\\n\"}}",
}
"""Cameras that are refused; all of them are told of at once."""
UNREADABLE = ("a: {{url: 'rtsp://viewer:{}@h/x'", "a: {{password: {}: x}}", "a: {{password: *{}}}", "a:\n  - {}\n b: c")
"""Rosters that are no YAML, or not as we want it."""

UNFIT = """
model: {{name: a}}
events:
  mqtt: {{host: 'viewer:{0}@h', username: viewer, password: '{1}', pasword: '{1}', topic_prefix: '{1}'}}
  webhooks:
    scheme: {{url: 'ftp://{0}', secret: '{1}'}}
    user: {{url: 'http://viewer:{0}@h/{0}'}}
    control: {{url: "http://h/{1}\\n", secret: '${{{1}}}'}}
    port: {{url: 'http://h:{0}/'}}
    list: {{url: ['{1}'], secret: ['{1}']}}
"""
"""Settings that are refused."""


def secret(way: str) -> str:
    """The password of one way: a leak says which it is."""
    return f"{MARK}-{way}:@/ü"


def in_query(way: str) -> str:
    return f"user=viewer&password={quote(secret(way), safe='')}"


def rosters() -> list[str]:
    """Return rosters with mistakes beside passwords."""
    lines = (line.format(quote(secret(way), safe=""), secret(way)) for way, line in MALFORMED.items())
    return [
        "cameras:\n  " + "\n  ".join(lines),
        *(f"cameras:\n  {text.format(secret('yaml'))}\n" for text in UNREADABLE),
    ]


def settings_that_are_refused() -> str:
    """Return settings with mistakes beside passwords."""
    return UNFIT.format(quote(secret("unfit"), safe=""), secret("unfit"))


def told(closed: int, hooks: int) -> dict[str, Any]:
    """Events, and who is told of them: nobody who takes it well."""
    return {
        "mqtt": {"host": "127.0.0.1", "port": closed, "username": "viewer", "password": "${BROKER}"},
        "webhooks": {
            "literal": {"url": f"http://127.0.0.1:{hooks}/{MARK}-path?key={MARK}-key", "secret": "${SIGNS}"},
            "named": {"url": f"http://viewer:${{HOOK}}@127.0.0.1:{hooks}/${{HOOK}}"},
        },
    }
