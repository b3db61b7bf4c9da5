"""Which engines there are, with which numerics each runs where, and what `auto` takes.

Knows engines by name; imports none of them. Pure, but for `installed_engines` and `cpu_flags`, which look around.
"""

import platform
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from inference.engine import DeviceKind, Precision

NATIVE_BFLOAT16: Final = frozenset({"avx512_bf16", "amx_bf16"})
"""CPU flags (proc/cpuinfo) of units that multiply bfloat16; without one it is slower than float32."""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One engine."""

    module: str
    """Has `export(model, folder, form)` and `load(folder, options)`."""
    keras_backend: str
    """On which Keras builds the model that it exports; the package of that name has to be installed."""
    precisions: dict[DeviceKind, tuple[Precision, ...]]
    """What it can do on each kind of device; it does not run where none is named."""


ENGINES: Final = {
    "openvino": EngineKind("inference.engine_openvino", "openvino", {"cpu": ("float32", "bfloat16")}),
    "tensorflow": EngineKind(
        "inference.engine_tensorflow",
        "tensorflow",
        {"cpu": ("float32", "bfloat16"), "gpu": ("float32", "float16")},
    ),
}
"""Engines by name, in the order in which `auto` prefers them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is taken, and why, for the log."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """What was asked for cannot run here; the sentence names the remedy."""

    why: str


def installed_engines() -> tuple[str, ...]:
    """The engines whose packages are there, in the order of ENGINES. Imports none."""
    return tuple(name for name, kind in ENGINES.items() if find_spec(kind.keras_backend) is not None)


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The features of the first CPU; none where the file does not tell."""
    for line in cpuinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def choose_engine(
    wanted: str, device: DeviceKind, installed: Collection[str], machine: str = platform.machine()
) -> Choice | Impossible:
    """The engine for a device; `wanted` is its name or "auto", `machine` as platform.machine() says it."""
    if wanted != "auto":
        if device not in ENGINES[wanted].precisions:
            others = [name for name, kind in ENGINES.items() if device in kind.precisions]
            return Impossible(f"engine {wanted} does not run on a {device.upper()}; take auto or {', '.join(others)}")
        if wanted not in installed:
            return Impossible(f"engine {wanted} is not installed: pip install {wanted}, or take engine: auto")
        return Choice(wanted, "set")
    for name, kind in ENGINES.items():
        if device not in kind.precisions or name not in installed:
            continue
        if name == "openvino" and machine != "x86_64":
            continue
        return Choice(name, "the fastest installed on this kind of device")
    return Impossible(f"no engine is installed that runs on a {device.upper()}: pip install tensorflow")


def choose_precision(
    wanted: str, engine: str, device: DeviceKind, flags: Collection[str], refuted: Collection[str]
) -> Choice | Impossible:
    """The numerics for an engine on a device.

    `wanted` is a Precision or "auto"; `flags` are the CPU's; `refuted` are the precisions that were measured to be
    clearly worse with this model (`inference.evaluation.verdicts`): `auto` never takes one of those.
    """
    possible = ENGINES[engine].precisions.get(device, ())
    if wanted != "auto":
        if wanted in possible:
            return Choice(wanted, "set")
        return Impossible(
            f"precision {wanted} is not to be had from {engine} on a {device.upper()}; take auto or one of "
            f"{', '.join(possible)}"
        )
    fast: Precision = "float16" if device == "gpu" else "bfloat16"
    if fast not in possible:
        return Choice("float32", f"{engine} gives no other")
    if device == "cpu" and not NATIVE_BFLOAT16 & set(flags):
        return Choice("float32", "this CPU has no unit for bfloat16")
    if fast in refuted:
        return Choice("float32", f"{fast} was measured to be worse with this model")
    return Choice(fast, f"this {device.upper()} is faster with it")
