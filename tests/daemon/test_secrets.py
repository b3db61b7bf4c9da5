"""Secrets show themselves to nobody; `${NAME}` is found where it should be."""

import copy
import dataclasses
import json
import logging
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.secrets import MAX_SECRET_BYTES, Secret, SecretFault, SecretSources, expand

SECRET = Secret("hunter2")


class Holder(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    password: Secret


@dataclasses.dataclass
class Record:
    password: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>20}",
        f"{SECRET:>20}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031
        repr([SECRET]),
        repr(Record(SECRET)),
        repr(dataclasses.asdict(Record(SECRET))),
        str(Holder(password=SECRET)),
        Holder(password=SECRET).model_dump_json(),
        str(Holder(password=SECRET).model_dump()),
        json.dumps({"p": SECRET}, default=str),
        logging.LogRecord("x", 10, "x", 1, "%s", (SECRET,), None).getMessage(),
    ],
)
def test_a_secret_is_shown_nowhere(shown: str) -> None:
    assert "hunter2" not in shown
    assert "***" in shown


def test_only_reveal_gives_the_text() -> None:
    assert SECRET.reveal() == "hunter2"
    assert Holder.model_validate({"password": "hunter2"}).password == SECRET


@pytest.mark.parametrize("way", [json.dumps, pickle.dumps])
def test_json_and_pickle_refuse(way: object) -> None:
    with pytest.raises(TypeError) as caught:
        way(SECRET)  # type: ignore[operator]
    assert "hunter2" not in str(caught.value)


def test_copies_are_the_same_object() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET


def test_equality_and_hash_are_by_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))


@pytest.mark.parametrize("value", ["", 5, None, ["hunter2"], "hunter2" * MAX_SECRET_BYTES])
def test_what_is_no_secret_is_refused_unquoted(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"password": value})
    assert "hunter2" not in str(caught.value)


def test_schema_is_a_text_that_is_only_written() -> None:
    schema = Holder.model_json_schema()["properties"]["password"]
    assert (schema["type"], schema["writeOnly"]) == ("string", True)


@pytest.fixture
def sources(tmp_path: Path) -> SecretSources:
    """The name ALL in every source, and one name in each alone."""
    credentials, secrets = tmp_path / "credentials", tmp_path / "secrets"
    for folder, text in ((credentials, "from-credentials"), (secrets, "from-secrets")):
        folder.mkdir()
        (folder / "ALL").write_text(text)
    (secrets / "TWO").write_text("two-secrets\n")
    environ = {"ALL": "from-environ", "TWO": "two-environ", "THREE": "three-environ", "NIL": ""}
    return SecretSources(credentials, secrets, environ)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("${ALL}", "from-credentials"),
        ("${TWO}", "two-secrets"),
        ("${THREE}", "three-environ"),
        ("pre-${THREE}-${TWO}!", "pre-three-environ-two-secrets!"),
        ("a$b", "a$b"),
        ("a$$b$$", "a$b$"),
        ("$${ALL}", "${ALL}"),
        ("$$${THREE}", "$three-environ"),
        ("5$", "5$"),
    ],
)
def test_references_are_replaced_from_the_first_source_that_has_them(
    sources: SecretSources, template: str, text: str
) -> None:
    assert expand(Secret(template), sources).secret == Secret(text)


@pytest.mark.parametrize(
    ("content", "text"),
    [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", None), ("a\nb", None), ("", None), ("\n", None), (" a ", " a ")],
)
def test_one_line_break_at_the_end_of_a_file_is_dropped(tmp_path: Path, content: str, text: str | None) -> None:
    (tmp_path / "X").write_bytes(content.encode())
    expanded = expand(Secret("${X}"), SecretSources(tmp_path))
    assert expanded.secret == (Secret(text) if text is not None else None)
    assert bool(expanded.faults) == (text is None)


def test_a_missing_name_says_where_it_was_looked_up(sources: SecretSources) -> None:
    assert expand(Secret("${GATE} ${YARD}"), sources).faults == tuple(
        SecretFault(
            f"${{{name}}} is not in $CREDENTIALS_DIRECTORY ({sources.credentials_dir}),"
            f" secrets_dir ({sources.secrets_dir}) or the environment",
            f"write it to the file {sources.secrets_dir}/{name}",
        )
        for name in ("GATE", "YARD")
    )


@pytest.mark.parametrize(
    "template", ["${}", "${../x}", "${a/b}", "${.x}", "${1x}", "hunter2${", "${hunter2", "${a b}", "${é}"]
)
def test_a_reference_that_is_no_name_is_refused_unquoted(sources: SecretSources, template: str) -> None:
    expanded = expand(Secret(template), sources)
    assert expanded.secret is None
    assert [fault.remedy for fault in expanded.faults] == ["write '$$' for a plain '$'"]
    assert "hunter2" not in repr(expanded)


def test_an_empty_variable_is_a_fault(sources: SecretSources) -> None:
    assert expand(Secret("${NIL}"), sources).faults == (SecretFault("${NIL} is empty in the environment"),)


def test_values_are_not_expanded_again() -> None:
    sources = SecretSources(environ={"A": "${B}$$", "B": "b"})
    assert expand(Secret("${A}"), sources).secret == Secret("${B}$$")


def test_files_of_other_kinds_are_faults_and_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "FIFO")
    (tmp_path / "DIR").mkdir()
    (tmp_path / "BIN").write_bytes(b"\xff")
    (tmp_path / "BIG").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    faults = expand(Secret("${FIFO}${DIR}${BIN}${BIG}"), SecretSources(None, tmp_path)).faults
    assert [fault.message for fault in faults] == [
        f"${{BIG}}: {tmp_path}/BIG is larger than {MAX_SECRET_BYTES} bytes",
        f"${{BIN}}: {tmp_path}/BIN is not UTF-8 text",
        f"${{DIR}}: {tmp_path}/DIR is not a regular file",
        f"${{FIFO}}: {tmp_path}/FIFO is not a regular file",
    ]


def test_a_credential_of_a_loaded_folder_comes_after_one_of_its_own_name(tmp_path: Path) -> None:
    sources = SecretSources(credentials_dir=tmp_path / "credentials", secrets_dir=tmp_path / "secrets")
    places = [tmp_path / "secrets/GATE", tmp_path / "credentials/secret_GATE", tmp_path / "credentials/GATE"]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"{place.parent.name}/{place.name}\n")
        assert expand(Secret("${GATE}"), sources).secret == Secret(f"{place.parent.name}/{place.name}")


def test_sources_come_from_an_environment() -> None:
    sources = SecretSources.from_environ({"CREDENTIALS_DIRECTORY": "/run/c", "X": "hunter2"})
    assert sources.credentials_dir == Path("/run/c")
    assert sources.with_secrets_dir(Path("/a")).secrets_dir == Path("/a")
    assert sources.with_secrets_dir(Path("/a")).with_secrets_dir(Path("/b")).secrets_dir == Path("/a")
    assert SecretSources.from_environ({}).credentials_dir is None
    assert "hunter2" not in repr(sources)


@hypothesis_settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="${}A.\n", max_size=30))
def test_any_template_gives_a_secret_or_faults(template: str) -> None:
    expanded = expand(Secret(template), SecretSources(environ={"A": "a"}))
    assert (expanded.secret is None) == bool(expanded.faults)
