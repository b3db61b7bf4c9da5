"""Hardware decoders: what is not there is never opened, and asking is cheap."""

from pathlib import Path

import pytest

from capture.hardware import KINDS, accelerator, is_there
from capture.words import HwAccel

HAS_GPU = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dri").exists()


def test_none_asks_nobody() -> None:
    assert accelerator(HwAccel.NONE) is None


@pytest.mark.parametrize("wanted", [*KINDS, HwAccel.AUTO])
def test_what_is_opened_is_there(wanted: HwAccel) -> None:
    found = accelerator(wanted)
    there = [kind for kind in KINDS if is_there(kind) and wanted in (kind, HwAccel.AUTO)]
    assert (found is not None) is bool(there)
    assert found is None or found.allow_software_fallback


@pytest.mark.skipif(HAS_GPU, reason="this machine may have one")
@pytest.mark.parametrize("wanted", [*KINDS, HwAccel.AUTO])
def test_without_a_gpu_it_is_software(wanted: HwAccel) -> None:
    assert accelerator(wanted) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_asked_for_once(kind: HwAccel) -> None:
    is_there.cache_clear()
    answers = {is_there(kind) for _ in range(100)}
    assert len(answers) == 1
    assert (is_there.cache_info().misses, is_there.cache_info().hits) == (1, 99)
