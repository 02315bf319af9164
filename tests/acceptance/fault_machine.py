"""The faults of the page's section "Your machine": how each begins, and what ends it.

`MACHINE_KEPT` and `MACHINE_HEALS`: statements besides those of `fault_promises`.
"""

from __future__ import annotations

from fault_drill import Heal, Kept, Mishap, OwnWay

MACHINE: dict[str, Mishap | OwnWay] = {}
MACHINE_KEPT: dict[str, Kept] = {}
MACHINE_HEALS: dict[str, Heal] = {}
