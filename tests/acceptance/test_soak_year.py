"""A car's year of polls in one life of the poller: memory and journal stay flat, old days go.

What it is: 105,120 polls of one electric car, five minutes apart by the poller's clock, through
collector, journal, delivery, day files and Prometheus, pruning every hour; see `soak_warp` for what
is not as in life. No Axiom: `test_soak_outage` has it, and a year of requests takes half an hour.
The plain run takes a two-hundredth: a tenth would take most of a minute.
"""

from __future__ import annotations

import pytest
from soak_warp import INTERVAL, Report
from soak_winding import winding

MINI = "WMW00000000000001"
YEAR = 105_120
POLLS = YEAR // 200
#: The run's parts; days are kept for two of them.
PARTS = 10
DAY = 86_400.0
POLLS_A_DAY = int(DAY / INTERVAL)
#: Bytes that the journal's write-ahead log may take besides, where the limit came later than it.
WRITE_AHEAD_LOG = 6 * 2**20
#: Bytes that memory may grow by in 10,000 polls, and what is not growth but warming up.
GROWTH, NOISE = 100_000, 600_000
#: Python takes memory by the MiB: in a short run one such piece is all that there is to see.
PIECE = 2**20


@pytest.mark.parametrize("polls", [POLLS, pytest.param(YEAR, marks=pytest.mark.soak)], ids=["plain", "soak"])
async def test_a_year_of_polls_leaves_memory_and_journal_flat(polls):
    """By age first, by size then; every record was delivered before it went."""
    part = polls // PARTS
    kept = 2 * part * INTERVAL
    extra = f'[journal]\nmax_age = "{kept:.0f}"\nkeep_free = "0"\n'
    async with winding(vins=(MINI,), extra=extra) as poller:
        reports: list[Report] = []
        for number in range(PARTS):
            if number == PARTS // 2:
                limit = reports[-1].journal * 3 // 4
                await poller.order(policy={"max_size": limit, "max_age": kept})
            reports.append(await poller.order(polls=part))
        filed = poller.filed()
    tell(reports)
    assert reports[-1].polls == part * PARTS == len(filed)
    assert not any(report.dropped or report.reasons for report in reports)
    assert all(report.records <= 2 * part + 2 * POLLS_A_DAY for report in reports)
    assert reports[-1].journal <= limit + WRITE_AHEAD_LOG
    grown = reports[-1].resident - reports[PARTS // 2].resident
    noise = NOISE if polls == YEAR else PIECE
    assert grown <= noise + GROWTH * polls / 20_000, f"memory grew by {grown} bytes in the second half"


def tell(reports: list[Report]) -> None:
    resident = ", ".join(f"{report.resident / 2**20:.1f}" for report in reports)
    print(f"resident after each part: {resident} MiB")  # noqa: T201 - the figures are wanted too
    if (whole := reports[1]).polls > 10_000:  # before that the write-ahead log is most of it
        a_year = whole.journal / whole.polls * YEAR
        print(f"journal: {a_year / 1e6:.1f} MB per car and year")  # noqa: T201 - as above
