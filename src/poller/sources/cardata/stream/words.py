"""Why the stream is not connected, in an owner's words: what is wrong, and what mends it.

From the facts on CarData, section 3.1. Codes are MQTT 5's; what 3.1.1 says is translated to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from poller.sources.cardata.portal import ACCESS, NEWER, STREAM_BOX, STREAM_CHOICE


class Cause(Enum):
    """Why there is no connection; the value is the word in log and status."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    PORT_CLOSED = "port_closed"
    NO_ANSWER = "no_answer"
    TLS = "tls"
    TLS_VERSION = "tls_version"
    CERTIFICATE = "certificate"
    TLS_CA = "tls_ca"
    VERSION = "mqtt_version"
    CREDENTIALS = "credentials"
    BUSY = "busy"
    THROTTLED = "throttled"
    TOPIC = "topic"
    CLOSED = "closed"
    TAKEN_OVER = "taken_over"
    EXPIRED = "expired"
    UNHEARD = "unheard"
    GARBLED = "garbled"
    FULL = "full"
    KICKED = "kicked"


_CONNACK: Final = {
    132: Cause.VERSION,
    134: Cause.CREDENTIALS,
    135: Cause.CREDENTIALS,
    138: Cause.CREDENTIALS,
    140: Cause.CREDENTIALS,
    151: Cause.THROTTLED,
    159: Cause.THROTTLED,
}
_DISCONNECT: Final = {141: Cause.UNHEARD, 142: Cause.TAKEN_OVER, 151: Cause.THROTTLED, 159: Cause.THROTTLED}


def refused_because(code: int) -> Cause:
    """What a CONNACK's reason code means; an unknown one is a server that cannot now."""
    return _CONNACK.get(code, Cause.BUSY)


def lost_because(code: int | None) -> Cause:
    """What the reason code of a connection's end means; None: there was none."""
    return _DISCONNECT.get(code or 0, Cause.CLOSED)


def words(cause: Cause, code: int | None, *, own: bool, name: str) -> tuple[str, str | None]:
    """What is wrong and what mends it. `own`: the broker is the owner's; `name`: the source's."""
    if own:
        return _OWN[cause]
    if cause is Cause.CREDENTIALS:
        return "BMW's stream refuses the login", (
            f'if it lasts, look whether the subscription "{STREAM_BOX}" is ticked in {ACCESS}, '
            f"then run `poller login {name}`"
        )
    if cause is Cause.TOPIC and code == 135:
        return "BMW's stream does not give this login its account's messages", (
            f"run `poller login {name}` with the account that is the car's PRIMARY user"
        )
    return _BMW[cause]


def ignored_words(reason: str, *, own: bool) -> tuple[str, str]:
    """What is wrong while nothing comes but messages that are not taken, and what mends it."""
    what = "longer than any car's" if reason == "too_long" else "no car's"
    mend = "check `stream_topic`: it names the topics under which your broker has BMW's messages"
    if not own:
        mend = f"BMW seems to have changed something: {NEWER}"
    return f"the stream is connected, and all that comes is {what} messages", mend


_BMW: Final[Mapping[Cause, tuple[str, str | None]]] = {
    Cause.DNS: ("the name of BMW's stream cannot be resolved", "check this machine's network and DNS"),
    Cause.UNREACHABLE: (
        "BMW's stream cannot be reached",
        "check this machine's network; a firewall must let TCP port 9000 out",
    ),
    Cause.PORT_CLOSED: (
        "BMW's stream takes no connections",
        "check `stream_url`; if that is right, BMW's side is at fault and we try again",
    ),
    Cause.NO_ANSWER: (
        "BMW's stream does not answer",
        "check this machine's network; a firewall must let TCP port 9000 out",
    ),
    Cause.TLS: (
        "no encrypted connection with BMW's stream comes about",
        "something in between, such as a firewall, may break it; `poller doctor` looks",
    ),
    Cause.TLS_VERSION: (
        "no TLS 1.3 with BMW's stream, and it takes nothing older",
        "something in between, such as a firewall that inspects, may speak for it; `poller doctor` looks",
    ),
    Cause.CERTIFICATE: (
        "the certificate of BMW's stream is not trusted",
        (
            "leave `tls_ca` empty, check this machine's clock and its CA certificates; if they are right, "
            "something in between reads along"
        ),
    ),
    Cause.TLS_CA: (
        "the file in `tls_ca` cannot be used",
        "name a file of CA certificates in PEM form that the poller may read, or leave `tls_ca` empty",
    ),
    Cause.VERSION: ("BMW's stream speaks neither MQTT 5 nor 3.1.1", "check `stream_url`"),
    Cause.BUSY: ("BMW's stream cannot take us now", None),
    Cause.THROTTLED: (
        "BMW's stream asks us to wait: too many connections",
        "another program on this network may connect too often",
    ),
    Cause.TOPIC: (
        "BMW's stream has nothing for this account: no data stream is configured",
        (f"choose the attributes in {STREAM_CHOICE}, for each car; `poller descriptors` lists them"),
    ),
    Cause.CLOSED: ("BMW's stream closed the connection", None),
    Cause.TAKEN_OVER: ("another program took over this account's one stream connection", None),
    Cause.EXPIRED: ("the token expired, and the connection with it", None),
    Cause.UNHEARD: ("BMW's stream fell silent", None),
    Cause.GARBLED: ("BMW's stream sends what cannot be read", NEWER),
    Cause.FULL: (
        "messages wait to be stored, and no more are taken",
        "the journal says what it lacks: `poller status`",
    ),
    Cause.KICKED: (
        "another program uses this account's one stream connection, again and again: BMW allows one",
        (
            "turn the other program off (Home Assistant, evcc, another poller), or let it feed a broker of "
            "your own and name that in `stream_url`: docs/sources/cardata.md"
        ),
    ),
}
_OWN: Final[Mapping[Cause, tuple[str, str | None]]] = {
    Cause.DNS: ("the name of your broker cannot be resolved", "check `stream_url` and this machine's DNS"),
    Cause.UNREACHABLE: ("your broker cannot be reached", "check `stream_url` and the network"),
    Cause.PORT_CLOSED: (
        "your broker takes no connections",
        "does it run? check host and port in `stream_url`",
    ),
    Cause.NO_ANSWER: (
        "your broker does not answer",
        "check `stream_url`: mqtts:// is for a port with TLS, mqtt:// for one without",
    ),
    Cause.TLS: (
        "no encrypted connection with your broker comes about",
        "check `stream_url`: mqtts:// is for a port with TLS, mqtt:// for one without",
    ),
    Cause.TLS_VERSION: ("your broker speaks no TLS that is safe", "let it speak TLS 1.2 or newer"),
    Cause.CERTIFICATE: (
        "the certificate of your broker is not trusted",
        "name the file of its CA in `tls_ca`; the certificate must be for the name in `stream_url`",
    ),
    Cause.TLS_CA: _BMW[Cause.TLS_CA],
    Cause.VERSION: ("your broker speaks neither MQTT 5 nor 3.1.1", "check `stream_url`"),
    Cause.CREDENTIALS: (
        "your broker refuses user name and password",
        "check `stream_username` and `stream_password`",
    ),
    Cause.BUSY: ("your broker does not take us now", "its log says why"),
    Cause.THROTTLED: ("your broker asks us to wait: too many connections", "its log says why"),
    Cause.TOPIC: (
        "your broker refuses the subscription to `stream_topic`",
        "let this user read that topic (in mosquitto: the file that acl_file names)",
    ),
    Cause.CLOSED: ("your broker closed the connection", None),
    Cause.TAKEN_OVER: ("your broker gave the connection to another client", None),
    Cause.EXPIRED: ("your broker closed the connection", None),
    Cause.UNHEARD: ("your broker fell silent", None),
    Cause.GARBLED: (
        "your broker sends what cannot be read",
        "check `stream_topic`: something else, such as large files, may be sent there",
    ),
    Cause.FULL: _BMW[Cause.FULL],
    Cause.KICKED: (
        "your broker closes the connection soon after it was made, again and again",
        "its log says why; often two clients use one user name that is allowed once",
    ),
}
