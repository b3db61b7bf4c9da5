import base64

import pytest

from simulator.auth import AuthScheme, Credentials, Verdict, challenge, digest_response, digest_uri, judge

# RFC 2617, 3.5
RFC_REALM = "testrealm@host.com"
RFC_NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
RFC_ANSWER = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC_CREDENTIALS = Credentials("Mufasa", "Circle Of Life")


def digest(text: str, credentials: Credentials = RFC_CREDENTIALS, method="GET", nonce=RFC_NONCE) -> Verdict:
    return judge(AuthScheme.DIGEST, credentials, text, method=method, realm=RFC_REALM, nonce=nonce)


def basic(text: str, credentials: Credentials) -> Verdict:
    return judge(AuthScheme.BASIC, credentials, text, method="PLAY", realm="r", nonce="n")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_rfc_2617_example() -> None:
    assert digest(RFC_ANSWER) is Verdict.ACCEPTED
    assert digest_uri(RFC_ANSWER) == "/dir/index.html"


@pytest.mark.parametrize(
    ("changed", "by", "verdict"),
    [
        ("6629fae4", "6629fae5", Verdict.REFUSED),
        ('username="Mufasa"', 'username="Scar"', Verdict.REFUSED),
        ("testrealm@host.com", "other", Verdict.REFUSED),
        ("nc=00000001", "nc=00000002", Verdict.REFUSED),
        ("/dir/index.html", "/dir/other.html", Verdict.REFUSED),
        ("qop=auth,", "qop=auth, algorithm=SHA-256,", Verdict.REFUSED),
        ("qop=auth,", "qop=auth, algorithm=MD5,", Verdict.ACCEPTED),
        ("dcd98b7102", "dcd98b7103", Verdict.STALE),
        ("Digest", "digest", Verdict.ACCEPTED),
        ("Digest", "Basic", Verdict.REFUSED),
    ],
)
def test_changed_answers(changed: str, by: str, verdict: Verdict) -> None:
    assert digest(RFC_ANSWER.replace(changed, by)) is verdict


def test_answer_is_bound_to_the_method_and_password() -> None:
    assert digest(RFC_ANSWER, method="POST") is Verdict.REFUSED
    assert digest(RFC_ANSWER, Credentials("Mufasa", "Circle of Life")) is Verdict.REFUSED


@pytest.mark.parametrize(
    "text", ["", "Digest", "Digest ,,,", 'Digest username="Mufasa', "Digest \x00=1", "Basic =", "x"]
)
def test_rubbish_is_refused(text: str) -> None:
    assert digest(text) in {Verdict.REFUSED, Verdict.STALE}
    assert basic(text, RFC_CREDENTIALS) is Verdict.REFUSED


@pytest.mark.parametrize("password", ["", "p:w", 'q"uo\\te', "p@ss/word?#%20", "smörgås 🐟", " space "])
def test_digest_passwords(password: str) -> None:
    credentials = Credentials('us"er', password)
    answer = {"nonce": RFC_NONCE, "uri": "rtsp://h/cam"}
    response = digest_response(credentials, RFC_REALM, "GET", answer)
    text = (
        f'Digest username="us\\"er", realm="{RFC_REALM}", nonce="{RFC_NONCE}", uri="rtsp://h/cam", '
        f'response="{response}"'
    )
    assert digest(text, credentials) is Verdict.ACCEPTED
    assert digest(text, Credentials('us"er', password + "x")) is Verdict.REFUSED


@pytest.mark.parametrize("password", ["", "p:w", 'q"uo\\te', "p@ss/word?#%20", "smörgås 🐟", " space "])
def test_basic_passwords(password: str) -> None:
    credentials = Credentials("user", password)
    assert basic("Basic " + encoded(f"user:{password}"), credentials) is Verdict.ACCEPTED
    assert basic("basic  " + encoded(f"user:{password}"), credentials) is Verdict.ACCEPTED
    assert basic("Basic " + encoded(f"user:{password}x"), credentials) is Verdict.REFUSED
    assert basic("Basic " + encoded(f"user2:{password}"), credentials) is Verdict.REFUSED


def test_challenges() -> None:
    assert challenge(AuthScheme.BASIC, "r", "n") == 'Basic realm="r"'
    assert challenge(AuthScheme.DIGEST, "r", "n") == 'Digest realm="r", nonce="n", algorithm=MD5'
    assert challenge(AuthScheme.DIGEST, "r", "n", is_stale=True).endswith(", stale=TRUE")


def test_credentials_do_not_show_the_password() -> None:
    assert "Circle" not in repr(RFC_CREDENTIALS)
