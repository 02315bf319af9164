"""The road of a snapshot.

::

     schedule ──► collect ──► sources ──► derive ──► journal ──► deliver ──► sinks
       when         one        whom we     what       where it    one loop     where
                    poll       ask         follows    is safe     per sink     it goes
                                                        │
                                                        └──► web: page, /api, /metrics, /healthz, /readyz

Raw data first: an answer is in the journal, on disk, before anybody interprets it further or sends
it anywhere. Everything after the journal can be done again.
"""

__version__ = "0.1.0"
#: No clock is right that shows an earlier day.
__released__ = "2026-11-21T00:00:00Z"
