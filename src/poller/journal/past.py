"""All answers, newest first, read beside whoever writes the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from poller.journal import letters
from poller.journal.answers import body
from poller.journal.codec import Unreadable, day_of, from_ms, to_ms
from poller.journal.history import History
from poller.journal.queries import SQL
from poller.journal.shelves import Dictionaries
from poller.vehicle.answer import Answer

_PAGE = 50


class Past(History):
    """One journal's answers and quarantine. A UTC day is read at a time, as `History` does."""

    def vins(self) -> list[str]:
        """Every vehicle of which anything is kept. Raises JournalError."""
        with self._reading() as db:
            return [vin for (vin,) in db.execute(SQL["vins"])]

    def answers(self, since: datetime) -> Iterator[Answer]:
        """What was received from then on, newest first; what is damaged counts as `unreadable`.

        Raises JournalError.
        """
        with self._reading() as db:
            dictionaries = Dictionaries()
            for (day,) in db.execute(SQL["answer_days"], (day_of(to_ms(since)),)).fetchall():
                for source, kind, vin, received, numbers in db.execute(
                    SQL["answers_of_day"], (day, to_ms(since))
                ).fetchall():
                    try:
                        bodies = dict(body(db, dictionaries, number) for number in json.loads(numbers))
                        yield Answer(source, kind, vin, from_ms(received), bodies)
                    except (Unreadable, ValueError, TypeError):
                        self.unreadable += 1

    def quarantined(self) -> Iterator[tuple[Answer, str]]:
        """Answers that could not be parsed, and why; oldest first. Raises JournalError."""
        after = 0
        with self._reading() as db:
            while page := letters.listed(db, "", _PAGE, after):
                after = page[-1].id
                yield from ((letter.answer, letter.reason) for letter in page if letter.answer is not None)
