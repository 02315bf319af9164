"""What the operator can ask for: the same functions behind the control socket and without a daemon."""

from __future__ import annotations

from poller.commands.base import Command
from poller.commands.fingerprints import fingerprint
from poller.commands.letters import dead_letters_drop, dead_letters_list, dead_letters_retry
from poller.commands.looks import descriptors, privacy, status, vehicles
from poller.commands.orders import vehicle_choose, vehicle_order, vehicle_pictures, vehicle_reread
from poller.commands.polls import doctor, once
from poller.commands.sinks import alerts_test, forget_sink, resend

__all__ = ["TABLE", "USES_ROAD", "Command", "alerts_test"]

#: Name on the control socket → command.
TABLE: dict[str, Command] = {
    "status": status,
    "vehicles": vehicles,
    "once": once,
    "doctor": doctor,
    "descriptors": descriptors,
    "dead-letters-list": dead_letters_list,
    "dead-letters-retry": dead_letters_retry,
    "dead-letters-drop": dead_letters_drop,
    "resend": resend,
    "forget-sink": forget_sink,
    "privacy": privacy,
    "alerts-test": alerts_test,
    "fingerprint": fingerprint,
    "vehicle-choose": vehicle_choose,
    "vehicle-order": vehicle_order,
    "vehicle-reread": vehicle_reread,
    "vehicle-pictures": vehicle_pictures,
}

#: Those that poll and deliver: the road under them must stay.
USES_ROAD = frozenset({"once", "doctor", "alerts-test"})
