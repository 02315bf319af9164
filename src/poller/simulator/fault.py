"""One thing that goes wrong: its kind, whom it hits, when it begins and how long it lasts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from poller.runtime.quantities import (
    Count,
    Duration,
    EmptyIsNone,
    PositiveDuration,
    StrictTable,
    Vin,
    seconds,
    written_duration,
)
from poller.simulator.cardata.errors import SHAPES

Kind = Literal[
    "unauthorized",
    "quota",
    "rate_limit",
    "blocked",
    "server_error",
    "maintenance",
    "status",
    "slow",
    "half_body",
    "broken_json",
    "wrong_types",
    "reset",
    "unreachable",
    "login_refused",
    "captcha_demanded",
    "command_error",
    "command_unanswered",
    "cardata_error",
    "budget_spent",
    "login_error",
    "login_lost",
    "scope_missing",
    "not_mapped",
    "second_program",
    "stream_down",
    "stream_refused",
    "silent_car",
    "late_messages",
    "repeated_messages",
    "burst",
]

#: What each kind looks like from the other end of the line, in an owner's words.
WORDS: Final[Mapping[Kind, str]] = {
    "unauthorized": "BMW does not take the access token (401)",
    "quota": "BMW says that the calls are used up, and until when (403)",
    "rate_limit": "BMW says that this was too fast (429)",
    "blocked": "BMW blocks clients that are not its own app (489)",
    "server_error": "BMW has an internal error (500)",
    "maintenance": "BMW is down for maintenance (503)",
    "status": "BMW answers with a status of your choice",
    "slow": "BMW answers late",
    "half_body": "the connection ends in the middle of an answer",
    "broken_json": "answers are cut off: half a JSON text",
    "wrong_types": "answers hold text for numbers, lists for text, and worse",
    "reset": "the connection is reset before the answer",
    "unreachable": "nobody listens: connections are refused, as without internet",
    "login_refused": "BMW ends the login; a person must log in again",
    "captcha_demanded": "BMW does not take the captcha token; the login needs a new one",
    "command_error": "the car does not do what it is told from afar (ERROR)",
    "command_unanswered": "the car never answers what it is told from afar (PENDING)",
    "cardata_error": "CarData answers with an error of your choice",
    "budget_spent": "another program has used up the account's CarData calls of this day",
    "login_error": "CarData's login server answers with an error of your choice",
    "login_lost": "CarData's login is dead; a person must log in again",
    "scope_missing": "a CarData service is no longer ticked in BMW's portal",
    "not_mapped": "the account is no longer the car's main user",
    "second_program": "another program is on CarData's stream, and the two throw each other off",
    "stream_down": "nobody listens where CarData's stream should be",
    "stream_refused": "CarData's stream does not take the login",
    "silent_car": "the car sends nothing to CarData",
    "late_messages": "messages of the stream come minutes late, and the newer ones first",
    "repeated_messages": "every message of the stream comes three times",
    "burst": "the car sends all it has to the stream, as after a look into the app",
}

#: Happen once, and what they did stays.
MOMENTS: Final = frozenset({"login_refused", "budget_spent", "login_lost", "burst"})
#: Are so for a time, whatever is asked.
_CONDITIONS: Final = frozenset(
    {
        "unreachable", "scope_missing", "not_mapped", "second_program", "stream_down", "stream_refused",
        "silent_car", "late_messages", "repeated_messages",
    }
)  # fmt: skip
#: What only a car can say to a remote service, a little after it was accepted.
_CARS_ANSWERS: Final = frozenset({"command_error", "command_unanswered"})
#: Answers that only the fake of CarData can give.
_CARDATA_ANSWERS: Final = frozenset({"cardata_error", "login_error"})

#: Fields that only one kind knows.
_OWN: Final[Mapping[str, Kind]] = {
    "status": "status",
    "headers": "status",
    "body": "status",
    "seconds": "slow",
    "retry_after": "rate_limit",
    "seed": "wrong_types",
    "code": "cardata_error",
    "error": "login_error",
    "scope": "scope_missing",
}
#: What BMW's gateway limits, and what it asks an access token for; the login has hosts of its own.
_GATEWAY = "/eadrax-"
_LOGIN = ("/eadrax-ucs/", "/eadrax-coas/", "/gcdm/")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
#: CarData, and the app's cloud for charging, have the vehicle in the path, not in a header.
_VIN_IN_PATH = re.compile(r"/vehicles/([A-Za-z0-9]{17})/")
LoginError = Literal[
    "access_denied", "expired_token", "invalid_client", "invalid_grant", "invalid_request", "slow_down",
    "gateway_fault",
]  # fmt: skip


def _lasting(value: Any) -> float:
    """Seconds, or endless for "ever"."""
    return math.inf if value == "ever" else seconds(value)


def _time_of_day(value: str) -> str:
    if not _TIME_OF_DAY.fullmatch(value):
        raise ValueError('expected a time of day in UTC, such as "02:30"')
    return value


def _code(value: str) -> str:
    if value not in SHAPES:
        raise ValueError(f"unknown: known: {' | '.join(SHAPES)}")
    return value


class Fault(StrictTable):
    """One thing that goes wrong with the requests that it hits, by time, by count or both.

    `lasts` (in TOML and JSON: ``for``), `after` and `every` are seconds of the simulator's clock; written
    "90s", "5m", "2h" or, for how long, "ever". Without `lasts` it hits the next `count` requests (1; None:
    until cleared), with it all requests in that time unless `count` says how many. It begins `after` it
    was ordered, or `at` the next such time of day (UTC), and comes back `every` so often.

    `path_prefix` (or ``path``) matches from the left; `vin` narrows it to requests that name this vehicle.

    - ``unauthorized``: 401 for data; the login still works.
    - ``quota``: 403 with BMW's text, which names when the fault ends (or midnight UTC).
    - ``rate_limit``: 429 with BMW's text; with `retry_after`, the header and the text name it.
    - ``blocked``: 489, ``server_error``: 500, ``maintenance``: 503 without JSON.
    - ``status``: answered with `status`, `headers` and `body`.
    - ``slow``: carried out and answered after `seconds` (real ones: time-outs are real, too).
    - ``half_body``, ``broken_json``, ``wrong_types``, ``reset``: carried out; the answer is spoiled.
      Which values get other types depends on `seed` and their places alone.
    - ``unreachable``: the server closes its socket; `lasts` must be given, since nobody can be
      asked to end it.
    - ``login_refused``: not a time but a moment: every session so far is dead, a new login lives.
    - ``captcha_demanded``: a login's captcha token is spent and refused.
    - ``command_error``, ``command_unanswered``: a remote service is accepted, and then the car answers
      ERROR, or never; it hits as many orders as others hit requests. The car stays as it is.

    CarData's own:

    - ``cardata_error``: REST answers with `code`, a name of `cardata.errors.SHAPES`; the call counts.
    - ``login_error``: the token endpoint answers with `error`; a gateway's fault spoils the device code.
    - ``budget_spent``, ``login_lost``, ``burst``: moments. The calls come back at midnight UTC, a lost
      login with the next one.
    - ``scope_missing`` (`scope`), ``not_mapped``, ``second_program``, ``stream_down``, ``stream_refused``,
      ``silent_car``, ``late_messages``, ``repeated_messages``: as long as they last.

    ``quota`` and ``rate_limit`` are the gateway's, which the token endpoint does not stand behind.
    All but the spoiled, the late, the captcha's and a car's own are answered without carrying the
    request out.
    """

    model_config = ConfigDict(populate_by_name=True)

    kind: Kind
    path_prefix: str = Field("/", alias="path", pattern="^/")
    vin: Annotated[Vin | None, EmptyIsNone] = None
    after: Duration = 0.0
    at: str | None = None
    lasts: Annotated[float | None, BeforeValidator(_lasting)] = Field(None, alias="for", gt=0)
    every: PositiveDuration | None = None
    count: Annotated[Count, Field(ge=1)] | None = 1
    status: Annotated[Count, Field(ge=200, le=599)] = 500
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: str = ""
    seconds: Duration = 60.0
    retry_after: Duration | None = None
    seed: Count = 1
    code: Annotated[str, AfterValidator(_code)] = "CU-500"
    error: LoginError = "access_denied"
    scope: Literal["api", "stream"] = "api"

    @field_validator(*_OWN)
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        own = _OWN[str(info.field_name)]
        if info.data.get("kind", own) != own:
            raise ValueError(f'belongs to kind = "{own}": take it out')
        return value

    @field_validator("lasts", "count")
    @classmethod
    def _a_moment_does_not_last(cls, value: Any, info: ValidationInfo) -> Any:
        once = None if info.field_name == "lasts" else 1
        if info.data.get("kind") in MOMENTS and value != once:
            raise ValueError("it happens once, and what it did stays until it is mended: take it out")
        return value

    @field_validator("at")
    @classmethod
    def _one_beginning(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("after"):
            raise ValueError("it begins `after` a while or `at` a time of day: take one of them out")
        return None if value is None else _time_of_day(value)

    @field_validator("every")
    @classmethod
    def _turns_apart(cls, value: float | None, info: ValidationInfo) -> float | None:
        lasts = info.data.get("lasts")
        if value is not None and lasts is not None and lasts >= value:
            raise ValueError("must be longer than `for`, or it never pauses")
        return value

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.kind == "unreachable" and self.lasts is None:
            raise ValueError(
                'unreachable needs for = "2h": while nobody listens, nobody can be told to end it'
            )
        if self.kind in _CONDITIONS and self.lasts is None:
            raise ValueError(f'{self.kind} needs for = "2h" or for = "ever": it is no answer to be counted')
        return self

    def means(self, path: str, vin: str | None) -> bool:
        """Whether it is about a request for `path`, and about this vehicle."""
        found = _VIN_IN_PATH.search(path)
        return path.startswith(self.path_prefix) and self.vin in (None, vin, found and found[1])

    def hits(self, path: str, vin: str | None, headers: Mapping[str, str]) -> bool:
        """Whether it spoils a request for `path` about `vin`; `headers` by lower-case name."""
        if not self.means(path, vin):
            return False
        match self.kind:
            case "quota" | "rate_limit":
                return path.startswith(_GATEWAY)
            case "unauthorized":
                return path.startswith(_GATEWAY) and not path.startswith(_LOGIN)
            case "captcha_demanded":
                return "hcaptchatoken" in headers
        elsewhere = MOMENTS | _CONDITIONS | _CARS_ANSWERS | _CARDATA_ANSWERS
        return self.kind == "unreachable" or self.kind not in elsewhere

    @property
    def limit(self) -> int | None:
        """How many requests it hits in one turn; None: all."""
        return None if self.lasts is not None and "count" not in self.model_fields_set else self.count

    @property
    def words(self) -> str:
        """What is seen of it, and of whom, in an owner's words."""
        match self.kind:
            case "status":
                seen = f"BMW answers {self.status}"
            case "slow":
                seen = f"BMW answers {written_duration(self.seconds)} late"
            case "cardata_error":
                seen = f"CarData answers {self.code}"
            case "login_error":
                seen = f"CarData's login server answers {self.error}"
            case _:
                seen = WORDS[self.kind]
        where = f", below {self.path_prefix}" if self.path_prefix != "/" else ""
        whom = f", for the vehicle …{self.vin[-7:]}" if self.vin else ""
        return seen + where + whom

    def first_in(self, now: datetime) -> float:
        """Seconds until it begins, if it is ordered `now`."""
        if self.at is None:
            return self.after
        hour, minute = (int(part) for part in self.at.split(":"))
        begins = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if begins < now:
            begins += timedelta(days=1)
        return (begins - now).total_seconds()
