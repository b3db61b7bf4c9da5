"""The capture pipeline survives a hostile camera; and the fuzzer finds what it is to find, wherever that is planted."""

import hashlib
import json
import subprocess
import sys

import pytest

from capture.words import DecodeMode, Reason, Transport
from simulator.nal import Codec
from tests.fuzz.bases import FRAMES, Base, bases
from tests.fuzz.bits import rewrite_header
from tests.fuzz.case import METHODS, Case, Ending, Layer
from tests.fuzz.pipeline import ERROR, OVERDUE
from tests.fuzz.run import run_cases

CASES = 500
"""The long run has 20,000 (bench/results/fuzz.md)."""
FEW = range(40)
PLANTED = 20
SAMPLE = range(300)

DIGEST = "from tests.fuzz.test_fuzz import digest; print(digest())"


def sent(seed: int) -> bytes:
    """All that a case says and sends."""
    case = Case(seed)
    answers = [case.answer(method, "7", "rtsp://127.0.0.1:5/1", "RTP/AVP/TCP;interleaved=0-1") for method in METHODS]
    return b"|".join([*answers, *case.chunks])


def digest() -> str:
    """Of what some cases send."""
    return hashlib.sha256(b"".join(sent(seed) for seed in FEW)).hexdigest()


# --- what cases are --------------------------------------------------------------------------------------------------


def test_a_seed_is_the_same_case_in_every_process():
    command = [sys.executable, "-c", DIGEST]
    others = {
        subprocess.run(command, env={"PYTHONHASHSEED": n}, capture_output=True, check=True, timeout=60).stdout
        for n in "12"
    }
    assert others == {f"{digest()}\n".encode()}


def test_nearly_all_seeds_differ_from_valid_footage_and_from_each_other():
    valid = {sent(seed) for seed in range(-len(bases()), 0)}
    every = [sent(seed) for seed in SAMPLE]
    assert len(set(every) - valid) > 0.9 * len(every)


def test_cases_are_of_every_kind():
    cases = [Case(seed) for seed in SAMPLE]
    assert {case.base.name for case in cases} == {base.name for base in bases()}
    assert {layer for case in cases for layer in case.layers} == set(Layer)
    assert {case.mode for case in cases} == set(DecodeMode)
    assert {case.ending for case in cases} == set(Ending)
    assert {case.transport for case in cases} == {Transport.TCP, Transport.UDP}


FIELDS = {"SPS": 18, "PPS": 9, "VPS": 18, "slice": 4}
"""At least so many are found in a header of each kind."""
KINDS = {
    Codec.H264: {7: "SPS", 8: "PPS", 1: "slice", 5: "slice"},
    Codec.H265: {32: "VPS", 33: "SPS", 34: "PPS", 0: "slice", 1: "slice", 19: "slice", 20: "slice", 21: "slice"},
}


@pytest.mark.parametrize("base", [base for base in bases() if base.codec is not Codec.JPEG], ids=lambda base: base.name)
def test_headers_are_read_field_by_field_and_written_without_loss(base: Base):
    kinds = set()
    for nal in (nal for unit in base.units for nal in unit.parts):
        found: list[int] = []
        assert rewrite_header(base.codec, nal, lambda fields, found=found: found.append(len(fields))) == nal
        kind = KINDS[base.codec].get(base.codec.nal_type(nal), "")
        kinds.add(kind)
        assert not kind or found[0] >= FIELDS[kind], (kind, found)
    assert kinds >= {"SPS", "PPS", "slice"}


# --- what the pipeline does ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_valid_footage_is_decoded_to_the_last_frame():
    summary = run_cases(range(-len(bases()), 0), jobs=1)
    assert summary.outcomes == {Reason.ENDED: len(bases())}
    assert (summary.packets, summary.frames, summary.damaged) == (FRAMES * len(bases()), FRAMES * len(bases()), 0)
    assert summary.is_good


@pytest.mark.slow
def test_the_pipeline_survives_a_hostile_camera():
    summary = run_cases(range(CASES))
    assert summary.failures == []
    assert summary.bugs == []
    assert summary.cases == CASES
    assert set(summary.outcomes) <= set(Reason)
    # Most get past the first answer, or nothing of the decoder would be tried.
    assert summary.with_frames > CASES / 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "kind", "word"),
    [
        ("crash", "signal 11", "Fatal Python error: Segmentation fault"),
        ("hang", OVERDUE, "in reader case20"),
        ("error", ERROR, "RuntimeError: planted"),
        ("memory", "memory", ""),
    ],
)
def test_what_is_planted_is_found(plant: str, kind: str, word: str):
    summary = run_cases(FEW, plant=f"{plant}:{PLANTED}")
    [failure] = summary.failures
    assert (failure.seed, failure.kind) == (PLANTED, kind)
    assert word in failure.detail
    assert summary.cases == len(FEW), "all others were run to their end"


@pytest.mark.slow
def test_one_case_is_run_alone_from_the_command_line():
    command = [sys.executable, "-m", "tests.fuzz.run", "--seed", str(PLANTED), "--plant", f"error:{PLANTED}", "--json"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    [failure] = json.loads(done.stdout)["failures"]
    assert (failure["seed"], failure["kind"]) == (PLANTED, ERROR)
    assert b"RuntimeError: planted" in done.stderr
