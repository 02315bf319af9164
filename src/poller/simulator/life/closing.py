"""Somebody sees what was forgotten: a lock, a window, a lid."""

from __future__ import annotations

from poller.simulator.life.living import Living
from poller.simulator.life.timeline import time_at
from poller.simulator.life.truth import LeftOpen


def close(life: Living, what: str) -> None:
    """Closes or locks it now, and writes down for how long it was forgotten, if it was."""
    state = life.state
    state.open -= {what}
    state.locked |= what == "lock"
    since = dict(state.left_open).get(what)
    if since is not None:
        state.left_open = tuple(left for left in state.left_open if left[0] != what)
        life.records.append(LeftOpen(time_at(since), time_at(state.at), what))


def close_everything(life: Living) -> None:
    """Whoever comes to drive sees what was left open."""
    due = [task for task in life.state.agenda if task.verb == "close"]
    life.state.agenda = tuple(task for task in life.state.agenda if task.verb != "close")
    for task in due:
        close(life, task.what)


def lock(life: Living) -> None:
    """Locks it from afar: nobody need come for it any more."""
    state = life.state
    state.agenda = tuple(task for task in state.agenda if (task.verb, task.what) != ("close", "lock"))
    close(life, "lock")
