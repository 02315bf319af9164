"""The answers that a fingerprint is made of, from an open journal or beside whoever writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from poller.fingerprint.anonymous import Anonymiser
from poller.fingerprint.bundle import Bundle, Stored
from poller.journal.base import Journal
from poller.journal.past import Past
from poller.vehicle.answer import Answer

#: Of what is in quarantine, the newest so many; `since` takes all.
_MOST: Final = 50
_PAGE: Final = 50
#: Settings by which we are known, beside those that are secret.
_IDENTITIES: Final = ("username", "client_id")


async def newest(journal: Journal) -> list[Stored]:
    """Of each vehicle at each source the newest answer, and what is in quarantine. Raises JournalError."""
    found: list[Stored] = []
    for record in await journal.newest():
        answers = await journal.answers_of([record])
        found += [Stored(answer) for answer in answers.values()]
    letters: list[Stored] = []
    after = 0
    while page := await journal.dead_letters("", limit=_PAGE, after=after):
        after = page[-1].id
        letters += [Stored(one.answer, one.reason) for one in page if one.answer is not None]
        del letters[:-_MOST]
    return found + letters


def since(past: Past, moment: datetime) -> Iterator[Stored]:
    """All that was received from then on, what is in quarantine first, then newest first.

    Raises JournalError.
    """
    bad = set()
    for answer, reason in past.quarantined():
        if answer.received_at >= moment:
            bad.add(_id(answer))
            yield Stored(answer, reason)
    yield from (Stored(answer) for answer in past.answers(moment) if _id(answer) not in bad)


def bundle_hiding(vins: Iterable[str], sources: Iterable[Any]) -> Bundle:
    """For answers that may name these vehicles, and what the settings of these sources hold of the owner."""
    return Bundle(Anonymiser(vins, _told_by(sources)))


def _told_by(sources: Iterable[Any]) -> Iterator[str]:
    """What the settings of sources hold of the owner: names and secrets."""
    for settings in sources:
        for name in type(settings).model_fields if isinstance(settings, BaseModel) else ():
            value = getattr(settings, name)
            if isinstance(value, SecretStr):
                yield value.get_secret_value()
            elif name in _IDENTITIES and value:
                yield str(value)


def _id(answer: Answer) -> tuple[str, str, datetime, str]:
    return answer.source, answer.vin, answer.received_at, answer.digest()
