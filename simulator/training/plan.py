"""How long a training run is, and on what. Pure."""

from dataclasses import dataclass, replace
from typing import Final

VALIDATION_SEED: Final = 900_000
"""Worlds from here on are never trained on but looked at while training; those from 1,000,000 on are for tests only."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All numbers of a run; the same plan gives the same weights on the same machine."""

    worlds: int
    """Worlds 0 and up are trained on."""
    validation_worlds: int
    """Worlds `VALIDATION_SEED` and up."""
    pictures_a_world: int
    steps: int
    batch: int
    peak_rate: float
    seed: int = 1
    precision: str = "float32"
    """`float32` or `mixed_bfloat16`."""
    reports: int = 20
    """How often the run says how it is going; every second time with a look at the validation scenes."""


FULL: Final = Plan(worlds=450, validation_worlds=30, pictures_a_world=12, steps=5000, batch=16, peak_rate=2e-3)
"""The run that made the embedded weights."""
FULL_MINUTES: Final = 50.0
"""What that took on two cores that had other work beside it."""
QUICK: Final = Plan(worlds=6, validation_worlds=2, pictures_a_world=4, steps=30, batch=8, peak_rate=2e-3, reports=3)


def shortened(plan: Plan, minutes: float) -> Plan:
    """A plan of about so many minutes: fewer worlds and steps in proportion, never fewer than the quick one's."""
    share = min(minutes / FULL_MINUTES, 1.0)
    return replace(
        plan,
        worlds=max(round(plan.worlds * share), QUICK.worlds),
        validation_worlds=max(round(plan.validation_worlds * share), QUICK.validation_worlds),
        steps=max(round(plan.steps * share), QUICK.steps),
    )
