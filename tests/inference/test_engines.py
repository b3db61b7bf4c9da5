from pathlib import Path

import pytest

from inference.engines import (
    ENGINES,
    Choice,
    Impossible,
    choose_engine,
    choose_precision,
    cpu_flags,
    installed_engines,
)

BOTH = ("openvino", "tensorflow")


@pytest.mark.parametrize(
    ("wanted", "device", "installed", "machine", "taken"),
    [
        ("auto", "cpu", BOTH, "x86_64", "openvino"),
        ("auto", "cpu", ("tensorflow",), "x86_64", "tensorflow"),
        ("auto", "cpu", BOTH, "aarch64", "tensorflow"),
        ("auto", "gpu", BOTH, "x86_64", "tensorflow"),
        ("tensorflow", "cpu", BOTH, "x86_64", "tensorflow"),
        ("openvino", "cpu", BOTH, "aarch64", "openvino"),
    ],
)
def test_the_engine_that_is_taken(wanted, device, installed, machine, taken):
    choice = choose_engine(wanted, device, installed, machine)
    assert isinstance(choice, Choice)
    assert choice.value == taken
    assert choice.why


@pytest.mark.parametrize(
    ("wanted", "device", "installed", "words"),
    [
        ("openvino", "gpu", BOTH, "openvino does not run on a GPU; take auto or tensorflow"),
        ("openvino", "cpu", ("tensorflow",), "openvino is not installed: pip install openvino"),
        ("auto", "gpu", ("openvino",), "no engine is installed that runs on a GPU"),
        ("auto", "cpu", (), "no engine is installed"),
    ],
)
def test_an_engine_that_cannot_be_had_is_named_with_a_remedy(wanted, device, installed, words):
    choice = choose_engine(wanted, device, installed, "x86_64")
    assert isinstance(choice, Impossible)
    assert words in choice.why


@pytest.mark.parametrize(
    ("wanted", "engine", "device", "flags", "refuted", "taken"),
    [
        ("auto", "openvino", "cpu", {"avx512_bf16"}, (), "bfloat16"),
        ("auto", "tensorflow", "cpu", {"amx_bf16"}, (), "bfloat16"),
        ("auto", "openvino", "cpu", {"avx2"}, (), "float32"),
        ("auto", "openvino", "cpu", {"avx512_bf16"}, ("bfloat16",), "float32"),
        ("auto", "openvino", "cpu", {"avx512_bf16"}, ("float16",), "bfloat16"),
        ("auto", "tensorflow", "gpu", (), (), "float16"),
        ("auto", "tensorflow", "gpu", (), ("float16",), "float32"),
        # Who asks for it gets it, slow or refuted: only `auto` is guarded.
        ("bfloat16", "openvino", "cpu", (), ("bfloat16",), "bfloat16"),
        ("float32", "openvino", "cpu", {"avx512_bf16"}, (), "float32"),
    ],
)
def test_the_precision_that_is_taken(wanted, engine, device, flags, refuted, taken):
    choice = choose_precision(wanted, engine, device, flags, refuted)
    assert isinstance(choice, Choice)
    assert choice.value == taken


def test_a_precision_that_an_engine_has_not_is_named_with_those_it_has():
    choice = choose_precision("float16", "openvino", "cpu", (), ())
    assert isinstance(choice, Impossible)
    assert choice.why == (
        "precision float16 is not to be had from openvino on a CPU; take auto or one of float32, bfloat16"
    )


def test_cpu_flags_are_read(tmp_path: Path):
    (tmp_path / "x86").write_text(
        "processor\t: 0\nmodel name\t: A\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\n"
    )
    assert cpu_flags(tmp_path / "x86") == {"fpu", "avx2", "avx512_bf16"}
    (tmp_path / "other").write_text("processor\t: 0\n")
    assert cpu_flags(tmp_path / "other") == frozenset()


def test_the_projects_own_environment_has_every_engine():
    assert installed_engines() == tuple(ENGINES)
