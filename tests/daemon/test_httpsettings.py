"""The token that the settings name: looked up as other secrets are, judged, and never shown."""

from pathlib import Path

import pytest

from daemon.check import check
from daemon.httpsettings import Http, find_token
from daemon.secrets import SecretSources
from daemon.settings import parse_settings

GOOD = "0123456789abcdef-XYZ"
NAMED = Http(token="${HTTP_TOKEN}")


def faults(text: str) -> list[str]:
    found = find_token(NAMED, SecretSources(environ={"HTTP_TOKEN": text}))
    assert found.secret is None
    assert GOOD[:10] not in repr(found)
    return [fault.message for fault in found.faults]


def test_no_token_is_none() -> None:
    found = find_token(Http(), SecretSources())
    assert (found.secret, found.faults) == (None, ())


@pytest.mark.parametrize("name", ["HTTP_TOKEN", "secret_HTTP_TOKEN"])
def test_it_comes_from_credentials_or_the_secrets_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GOOD + "\n")
    found = find_token(NAMED, SecretSources(credentials_dir=tmp_path)).secret
    assert found is not None
    assert found.reveal() == GOOD
    assert (find_token(NAMED, SecretSources(secrets_dir=tmp_path)).secret == found) is (name == "HTTP_TOKEN")


@pytest.mark.parametrize("text", [GOOD[:15], GOOD + " ", GOOD + "ä", '"' + GOOD])
def test_a_token_that_is_weak_or_cannot_be_sent_is_refused(text: str) -> None:
    (message,) = faults(text)
    assert message.startswith("${HTTP_TOKEN} has fewer than 16 characters, or others than")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "2001:db8::1"])
def test_an_address_that_others_reach_needs_a_token(address: str) -> None:
    def problems(http: str) -> list[str]:
        text = f"model: {{name: a}}\nhttp: {{address: '{address}'{http}}}\n"
        return [str(problem) for problem in parse_settings(text, file="f", base=Path()).problems]

    (problem,) = problems("")
    assert problem.startswith("f:2:17: http.address: whoever reaches this address")
    assert "a token is needed (token: ${HTTP_TOKEN}" in problem
    assert problems(", token: '${HTTP_TOKEN}'") == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_loopback_address_needs_none(address: str) -> None:
    assert Http(address=address).token is None


@pytest.mark.parametrize(
    ("host", "kept"),
    [("Cams.Example.ORG", "cams.example.org"), ("192.0.2.7", "192.0.2.7"), ("2001:DB8:0::1", "2001:db8::1")],
)
def test_hosts_are_kept_as_requests_are_compared(host: str, kept: str) -> None:
    assert Http(hosts=(host,)).hosts == (kept,)


def test_check_says_where_a_token_is_missing(tmp_path: Path) -> None:
    (tmp_path / "mosaicd.yaml").write_text("http:\n  token: ${HTTP_TOKEN}\nmodel: {name: a}\nsecrets_dir: secrets\n")
    (tmp_path / "cameras.yaml").write_text("cameras: {}\n")

    def found() -> list[str]:
        problems = check(tmp_path / "mosaicd.yaml", None, (), SecretSources())[2]
        return [str(problem) for problem in problems if problem.path == "http.token"]

    (problem,) = found()
    assert problem.startswith(f"{tmp_path}/mosaicd.yaml:2:10: http.token: ${{HTTP_TOKEN}} is not in")
    assert problem.endswith(f"(write it to the file {tmp_path}/secrets/HTTP_TOKEN)")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "HTTP_TOKEN").write_text("short\n")
    (problem,) = found()
    assert problem.endswith("(`openssl rand -hex 32` makes one)")
    assert "short" not in problem
    (tmp_path / "secrets" / "HTTP_TOKEN").write_text(GOOD)
    assert found() == []
