"""What is remembered of precisions."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference.evaluation.verdicts import Verdict, VerdictsError, is_refuted, load_verdicts, remember

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def verdict(
    digest: str = "ab" * 32, engine: str = "openvino", precision: str = "bfloat16", high: float = -0.6
) -> Verdict:
    return Verdict(digest, engine, precision, -0.9, -1.2, high, 64, NOW)


@pytest.mark.parametrize(("high", "refuted"), [(-0.6, True), (-0.5, False), (-0.4, False), (0.3, False)])
def test_only_an_interval_wholly_below_refutes(high: float, refuted: bool) -> None:
    one = verdict(high=high)
    assert is_refuted([one], one.model_digest, "openvino", "bfloat16") is refuted


def test_a_verdict_is_about_one_model_engine_and_precision() -> None:
    one = verdict()
    assert not is_refuted([one], "cd" * 32, "openvino", "bfloat16")
    assert not is_refuted([one], one.model_digest, "tensorflow", "bfloat16")
    assert not is_refuted([one], one.model_digest, "openvino", "float16")
    assert not is_refuted([], one.model_digest, "openvino", "bfloat16")


def test_what_is_remembered_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert load_verdicts(folder) == ()
    verdicts = {verdict(), verdict(engine="tensorflow"), verdict(precision="float16"), verdict(digest="cd" * 32)}
    for one in verdicts:
        remember(folder, one)
    assert set(load_verdicts(folder)) == verdicts


def test_a_later_verdict_takes_the_earlier_ones_place(tmp_path: Path) -> None:
    remember(tmp_path, verdict())
    path = remember(tmp_path, verdict(high=0.1))
    assert load_verdicts(tmp_path) == (verdict(high=0.1),)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = remember(tmp_path, verdict())
    path.write_text(path.read_text()[:40])
    with pytest.raises(VerdictsError, match="delete it, and measure again") as caught:
        load_verdicts(tmp_path)
    assert caught.value.path == path


def test_other_files_of_the_cache_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tuning-abc.json").write_text("{}")
    (tmp_path / "openvino-abc").mkdir()
    remember(tmp_path, verdict())
    assert load_verdicts(tmp_path) == (verdict(),)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VerdictsError, match="is not remembered"):
        remember(tmp_path / "file", verdict())


@pytest.mark.parametrize("wrong", [verdict(digest="../x"), verdict(engine=""), verdict(high=float("nan"))])
def test_what_no_verdict_can_say_is_refused(tmp_path: Path, wrong: Verdict) -> None:
    with pytest.raises(ValueError, match="not a"):
        remember(tmp_path, wrong)
    assert list(tmp_path.iterdir()) == []
