"""A folder of captured answers as a source: fingerprints, and the dumps of the shell loop."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from poller.errors import MalformedAnswer, SourceUnavailable
from poller.runtime import log
from poller.runtime.redact import redact
from poller.sources.aside import Aside
from poller.sources.base import Answer, LoginState, SourceContext, Target
from poller.sources.captured import Capture, Found, captures, named, newest_change, read
from poller.sources.library_json import understand
from poller.sources.marks import Marks
from poller.sources.settings import RecordedSettings
from poller.vehicle.snapshot import Snapshot

KIND: Final = "recorded"
#: Seconds: a younger file that cannot be understood may still be being written.
_STILL_WRITTEN: Final = 2.0
#: How far ahead of our clock an answer's own time may be.
_AHEAD: Final = timedelta(hours=1)
#: The place is remembered after so many captures, besides at each look and at the end.
_SAVE_EVERY: Final = 200
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Offer:
    """An answer that was named to the caller (`received_at` is its own time), or what is wrong with it."""

    target: Target
    capture: Capture
    index: int
    received_at: datetime = _LAST
    problem: MalformedAnswer | None = None


@dataclass(slots=True)
class _Look:
    """What was seen in the folder: offers, captures without any, and the marks of all captures."""

    offers: list[_Offer] = field(default_factory=list)
    nothing_in: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)


class RecordedSource:
    """Hands out each captured answer once, oldest first; what is new is looked for at each poll.

    Implements `sources.base.Source`. An answer counts as handed out once it is stored:
    by then the caller has kept it. A crash before that hands it out again, with the same record id.
    A capture that cannot be used is a target without a VIN, whose `fetch` says why; once.
    """

    kind = KIND
    lists_vehicles = False

    def __init__(self, name: str, settings: RecordedSettings, context: SourceContext) -> None:
        self.name = name
        self._folder = context.base / Path(settings.directory).expanduser()
        self.account = f"{KIND}:{_digest(self._folder)}"
        self._context = context
        self._wanted = frozenset(vin.upper() for vin in settings.vins)
        self._marks = Marks(context.memory, f"{self.account}:marks")
        self._offers: dict[str, _Offer] = {}
        self._left: Counter[str] = Counter()
        self._unconfirmed: _Offer | None = None
        self._unsaved = 0
        self._disk = Aside(f"source-{name}")
        self._logger = log.get("source", source=name)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Remember how far we got; may be called twice."""
        await self._marks.save()

    def login_state(self) -> LoginState:
        """Files need no login."""
        return LoginState()

    async def targets(self) -> Sequence[Target]:
        """The answers that were not handed out yet, oldest first. Raises SourceUnavailable."""
        self._unconfirmed = None
        marks = await self._marks.load()
        try:
            look = await self._disk.run(partial(self._look, marks))
        except OSError as error:
            raise SourceUnavailable(
                f"{redact(str(error.filename))}: {error.strerror}",
                hint=f"make the folder readable, or mend `directory` under [sources.{self.name}]",
            ) from error
        self._marks.keep_only(look.present)
        for mark in look.nothing_in:
            self._marks.add(mark)
        await self._marks.save()
        look.offers.sort(key=lambda offer: (offer.received_at, offer.target.ref))
        self._offers = {offer.target.ref: offer for offer in look.offers}
        self._left = Counter(offer.capture.mark for offer in look.offers)
        return [offer.target for offer in look.offers]

    async def fetch(self, target: Target) -> Answer:
        """The answer itself. Raises MalformedAnswer naming the file, SourceUnavailable if it is gone."""
        self._unconfirmed = None
        if self._unsaved >= _SAVE_EVERY:
            self._unsaved = 0
            await self._marks.save()
        offer = self._offers.pop(target.ref, None)
        if offer is None:
            raise SourceUnavailable("this captured answer was handed out already")
        found = offer.problem or await self._read_again(offer)
        self._unconfirmed = offer
        if isinstance(found, MalformedAnswer):
            self._confirm()  # there is nothing to keep
            self._logger.warning("capture.skipped", reason=found.message, hint=found.hint)
            raise found
        return Answer(self.name, KIND, found.vin, found.received_at, found.bodies)

    def stored(self, _answer: Answer) -> None:
        """The capture that the last answer came from need not be read again."""
        self._confirm()

    def parse(self, answer: Answer) -> Snapshot:
        """Understand an answer; no I/O. Raises only MalformedAnswer."""
        return understand(answer, self._context.timezone)

    def _confirm(self) -> None:
        """The answer handed out last is done with; a capture is done with its last answer."""
        if self._unconfirmed is not None:
            mark = self._unconfirmed.capture.mark
            self._unconfirmed = None
            self._left[mark] -= 1
            if self._left[mark] == 0:
                self._marks.add(mark)
                self._unsaved += 1

    async def _read_again(self, offer: _Offer) -> Found | MalformedAnswer:
        # Only names were kept since the look: ten thousand answers do not fit into a small machine.
        try:
            return (await self._disk.run(partial(read, offer.capture, self._wanted)))[offer.index]
        except (OSError, IndexError, MalformedAnswer) as error:
            raise SourceUnavailable("a capture changed while it was read; it is looked at again") from error

    def _look(self, marks: frozenset[str]) -> _Look:
        """All that is new in the folder. Runs in a thread; raises OSError if there is no folder."""
        look = _Look()
        for capture in captures(self._folder):
            look.present.add(capture.mark)
            if capture.mark in marks:
                continue
            offers = self._offers_of(capture)
            look.offers.extend(offers or ())
            if offers == []:
                look.nothing_in.add(capture.mark)
        return look

    def _offers_of(self, capture: Capture) -> list[_Offer] | None:
        """What a capture offers; None if it may be whole a moment later."""
        try:
            answers = read(capture, self._wanted)
        except MalformedAnswer as error:
            return None if self._still_written(capture) else [_bad(capture, 0, error)]
        except OSError as error:
            problem = named(capture, MalformedAnswer(f"it cannot be read: {error.strerror}"))
            return [_bad(capture, 0, problem)]
        offers = (self._offer(capture, index, found) for index, found in enumerate(answers))
        return [offer for offer in offers if offer is not None]

    def _offer(self, capture: Capture, index: int, found: Found | MalformedAnswer) -> _Offer | None:
        if isinstance(found, MalformedAnswer):
            return _bad(capture, index, found)
        if self._wanted and found.vin not in self._wanted:
            return None
        if found.received_at > self._context.clock.now() + _AHEAD:
            return _bad(capture, index, named(capture, MalformedAnswer("its time lies in the future")))
        return _Offer(Target(found.vin, _ref(capture, index)), capture, index, found.received_at)

    def _still_written(self, capture: Capture) -> bool:
        try:
            age = self._context.clock.now().timestamp() - newest_change(capture)
        except OSError:
            return True
        return abs(age) < _STILL_WRITTEN


def _bad(capture: Capture, index: int, problem: MalformedAnswer) -> _Offer:
    # Without a VIN: a broken file says nothing about how a vehicle stands.
    return _Offer(Target("", _ref(capture, index)), capture, index, problem=problem)


def _ref(capture: Capture, index: int) -> str:
    return capture.ref if index == 0 else f"{capture.ref}#{index}"


def _digest(folder: Path) -> str:
    return hashlib.blake2b(str(folder.resolve()).encode(errors="surrogateescape"), digest_size=6).hexdigest()
