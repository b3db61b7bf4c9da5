"""Passwords and other texts that no log line, metric, error, process list or HTTP answer may show.

Owns the type `Secret` and the expansion of `${NAME}` from systemd's credentials, the secrets folder and the
environment. It must not know where secrets are used, and never reads `os.environ`: the sources are passed in. Reads one
small file a name.
"""

import hmac
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

HIDDEN = "***"
MAX_SECRET_BYTES = 4096

CREDENTIAL_PREFIX = "secret_"
"""Before a name in the credentials, where systemd loads a whole folder of them (``LoadCredential=secret:DIR``)."""

_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)\}|\$\{", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Secret:
    """A text that shows itself to nobody who does not ask by `reveal()`.

    Its str, repr and format are `***`; pydantic dumps it as `***`; json and pickle refuse it. Equal secrets are equal
    (so that a reload can tell a changed password), compared in constant time.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. For the caller that hands it to the camera, and nobody else."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def _bytes(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1, "maxLength": MAX_SECRET_BYTES, "writeOnly": True}

    @classmethod
    def _validated(cls, value: Any) -> "Secret":
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticKnownError("string_type")
        if not value:
            remedy = "quote it if it begins with '#'; null is none"
            raise PydanticCustomError("secret_empty", "is empty", {"remedy": remedy})
        if len(value) > MAX_SECRET_BYTES:
            raise PydanticCustomError("secret_long", "is too long")
        return cls(value)


@dataclass(frozen=True, slots=True)
class SecretSources:
    """Where `${NAME}` is looked up, in this order. Paths are folders with one file a name."""

    credentials_dir: Path | None = None
    """systemd's `$CREDENTIALS_DIRECTORY`, private to the unit."""
    secrets_dir: Path | None = None
    """`secrets_dir` of the settings."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment, passed in by the entry point."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "SecretSources":
        """The sources as an entry point sees them; the secrets folder comes later, from the settings."""
        credentials = environ.get("CREDENTIALS_DIRECTORY")
        return cls(Path(credentials) if credentials else None, None, environ)

    def with_secrets_dir(self, secrets_dir: Path) -> "SecretSources":
        """The same, looking into this folder unless one is set already."""
        return self if self.secrets_dir else replace(self, secrets_dir=secrets_dir)


@dataclass(frozen=True, slots=True, order=True)
class SecretFault:
    """Why a text with `${NAME}` has no value. Neither field holds any of a secret."""

    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Expanded:
    """The text with every `${NAME}` replaced, or None and all the reasons."""

    secret: Secret | None
    faults: tuple[SecretFault, ...] = ()


def expand(template: Secret, sources: SecretSources) -> Expanded:
    """Replaces each `${NAME}` by its value and each `$$` by `$`; any other `$` stays. Values are not expanded again."""
    faults: list[SecretFault] = []

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] is None or not _NAME.fullmatch(match[1]):
            message = "'${' without a name (letters, digits, '_', '.', '-') and '}'"
            faults.append(SecretFault(message, "write '$$' for a plain '$'"))
            return ""
        found = _look_up(match[1], sources)
        if isinstance(found, SecretFault):
            faults.append(found)
            return ""
        return found

    text = _REFERENCE.sub(replacement, template.reveal())
    if not faults and _CONTROL.search(text):
        faults.append(SecretFault("a line break or control character in it"))
    return Expanded(None, tuple(sorted(set(faults)))) if faults else Expanded(Secret(text))


def _look_up(name: str, sources: SecretSources) -> str | SecretFault:
    """The first source that has the name decides, even if what it has is of no use."""
    places = []
    if sources.credentials_dir:
        places += [sources.credentials_dir / name, sources.credentials_dir / f"{CREDENTIAL_PREFIX}{name}"]
    if sources.secrets_dir:
        places.append(sources.secrets_dir / name)
    for path in places:
        if (found := _read(path, name)) is not None:
            return found
    if name in sources.environ:
        return sources.environ[name] or SecretFault(f"${{{name}}} is empty in the environment")
    credentials = sources.credentials_dir or "not set"
    looked = f"$CREDENTIALS_DIRECTORY ({credentials}), secrets_dir ({sources.secrets_dir or 'not set'})"
    remedy = f"write it to the file {sources.secrets_dir / name}" if sources.secrets_dir else ""
    return SecretFault(f"${{{name}}} is not in {looked} or the environment", remedy)


def _read(path: Path, name: str) -> str | SecretFault | None:
    """The file's text less one line break at its end; None where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return SecretFault(f"${{{name}}}: {path} is not a regular file")
            content = os.read(descriptor, MAX_SECRET_BYTES + 1)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a usable file name"
        return SecretFault(f"${{{name}}}: {path} cannot be read: {reason}")
    if len(content) > MAX_SECRET_BYTES:
        return SecretFault(f"${{{name}}}: {path} is larger than {MAX_SECRET_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return SecretFault(f"${{{name}}}: {path} is not UTF-8 text")
    text = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    return text or SecretFault(f"${{{name}}}: {path} is empty")
