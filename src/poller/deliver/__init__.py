"""Station 6: one loop per queued sink. Peek, render, deliver, settle, and only then wait.

A sink only writes; everything that needs patience is here. What is done is settled before anything
else happens, so an interruption costs at most the reply that was under way. Of a backlog, what comes
next is read meanwhile.
"""

from poller.deliver.loop import Delivery

__all__ = ["Delivery"]
