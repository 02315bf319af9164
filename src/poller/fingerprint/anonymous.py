"""Takes persons and places out of bodies: by the names of values, by their looks, and by what is known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from poller.fingerprint import words
from poller.fingerprint.encodings import inside, text_of, writable
from poller.fingerprint.scan import is_json, laid_out, scan
from poller.runtime.redact import PATTERNS, PATTERNS_IN_ANSWERS, VIN, meaning, without

#: What is known of one value is looked for in all others.
_LEARNED: Final = frozenset(
    {"secret", "id", "owner", "called", "holder", "email", "phone", "plate", "address", "street", "city"}
)
#: How the names among them are looked for.
_NAMES: Final = {
    "owner": words.names,
    "called": words.whole_names,
    "holder": words.full_names,
    "city": words.whole_names,
}
#: An encoding within an encoding within an encoding: deeper nobody looks.
_DEPTH: Final = 3
_LETTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ"
#: The library counts to 99.
_NUMBERS: Final = (
    *(f"{number:02}" for number in range(1, 100)),
    *(high + low for high in _LETTERS for low in f"0123456789{_LETTERS}"),
)
_PSEUDONYM: Final = re.compile(r"[A-Z0-9]{3}0FINGERPRINT[A-Z0-9]{2}")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z_ ]{0,11}")
#: Characters of a text, and texts, that are remembered as clean.
_SHORT, _MANY = 300, 20_000
#: Characters of a value that may stand in another one.
_LONGEST: Final = 80
#: What people put between the parts of a VIN.
_GAP: Final = r"[\s\u2010-\u2015-]{0,3}"
_GAPS: Final = re.compile(r"[\s\u2010-\u2015-]+")
#: Characters of a secret of the settings that is looked for; a shorter one is part of many words.
_SECRET: Final = 5
#: ``key=value``, ``"key": value``, also ``<key>value<``, in whatever else it stands.
_NAMED: Final = re.compile(
    r"""(?<![\w.-])(?P<key>[A-Za-z][\w.-]{1,199}+)(?:["']?\s*[=:]\s*|[^<>"'=]{0,40}>)"""
    r"""(?:"(?P<quoted>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>\[[^\]\n]*\]?|[^\s"'&,;}<>\[{][^"'\n&,;}<>]*))"""
)


class Anonymiser:
    """Remembers what it replaced, so that the same car has the same name everywhere.

    `vins`: the vehicles that are known, `known`: other texts that must not be left anywhere.
    `replaced` counts, in the words of the table of `runtime.redact`.
    """

    def __init__(self, vins: Iterable[str] = (), known: Iterable[str] = ()) -> None:
        self.replaced: Counter[str] = Counter()
        self._vins: dict[str, str] = {}
        #: Text → what it is; in lower case what is looked for in any, else as it is spelt.
        self._learned: dict[str, str] = {}
        #: In lower case: brands and models, which are no names.
        self._cars: set[str] = set()
        self._look: re.Pattern[str] | None = None
        self._depth = 0
        #: Texts in which nothing was found: an answer repeats the last one in most of them.
        self._clean: set[str] = set()
        #: The same for keys and the maker's words, in which a name is none.
        self._clean_keys: set[str] = set()
        for vin in sorted({vin.upper() for vin in vins if vin}):
            self.pseudonym(vin)
        for text in known:
            if len(text) >= _SECRET:
                self._learned[text.strip().lower()] = "secret"

    @property
    def vins(self) -> Mapping[str, str]:
        """VIN → what stands for it."""
        return self._vins

    def pseudonym(self, vin: str) -> str:
        """What stands for a VIN: its first three characters, so that the brand stays, and a number."""
        known = vin.strip().upper()
        if known in self._vins.values():
            return known
        if known not in self._vins:
            # One that stands for a VIN already stays, so that a fingerprint of a fingerprint is the same.
            self._vins[known] = known if _PSEUDONYM.fullmatch(known) else self._unused(known[:3])
            self._forget()
        return self._vins[known]

    def _unused(self, brand: str) -> str:
        taken = {name[-2:] for name in self._vins.values()}
        number = next((number for number in _NUMBERS if number not in taken), _NUMBERS[-1])
        return f"{re.sub(r'[^A-Z0-9]', 'X', brand).ljust(3, 'X')}0FINGERPRINT{number}"

    def body(self, data: bytes) -> str | None:
        """A body without persons: JSON laid out if it is any. None for what is no text: a picture, say."""
        text = text_of(data)
        if text is None:
            return None
        if text.lstrip()[:1] not in ("{", "["):
            return writable(self.plain(text))
        replaced = scan(text, self)
        # What is broken has no names that can be relied on.
        return laid_out(replaced) if is_json(text) else writable(self.plain(replaced))

    # What `scan` asks for.

    def string(self, value: str, what: str | None) -> str:
        """A text of this meaning, replaced if it has any."""
        if value.lstrip()[:1] in ("{", "[") and len(value) > 2:
            new = scan(value, self, what)
            return new if is_json(value) else self.plain(new)
        if what == "car":
            self._spare(value)
        if what in (None, "car") or words.says_nothing(value):
            return self._unnamed(value)
        if what == "vin":
            return self._vin(value)
        new = words.text(value, what)
        if new == value:
            return self._unnamed(value)
        self.replaced[what] += 1
        if what in _LEARNED:
            self._learn(value, what)
        return new

    def number(self, literal: str, what: str | None) -> str:
        """A number of this meaning, replaced if it has any."""
        if what is None or what == "car":
            return literal
        new = words.number(literal, what)
        if new != literal:
            self.replaced[what] += 1
        return new

    def plain(self, text: str) -> str:
        """A text of which nothing is known but how it looks."""
        return self._search(text, self._known, self._clean)

    def key(self, text: str) -> str:
        """What a parser looks for: a name of one word stays in it, for it is the maker's word too."""
        return self._search(text, self._known_in_key, self._clean_keys)

    def _unnamed(self, value: str) -> str:
        return self.key(value) if words.is_token(value) else self.plain(value)

    def _search(self, text: str, known: Callable[[re.Match[str]], str], clean: set[str]) -> str:
        if text in clean or (_PLAIN_WORD.fullmatch(text) and not self._learned):
            return text
        new = self._searched(text, known)
        if new == text and len(text) < _SHORT and not self._depth:
            if len(clean) == _MANY:
                clean.clear()
            clean.add(text)
        return new

    def _searched(self, text: str, known: Callable[[re.Match[str]], str]) -> str:
        if self._depth < _DEPTH:
            self._depth += 1
            try:
                text = inside(text, self.plain, self._opaque)
            finally:
                self._depth -= 1
        text = self._known_in(text, known)
        text = _NAMED.sub(self._named, text)
        for what, pattern in (*PATTERNS, *PATTERNS_IN_ANSWERS):
            text = pattern.sub(partial(self._match, what=what), text)
        return VIN.sub(lambda match: self._vin(match[0]), text)

    # How.

    def _vin(self, vin: str) -> str:
        new = self.pseudonym(vin)
        self.replaced["vin"] += new != vin.upper()
        return new.lower() if vin == vin.lower() else new

    def _match(self, match: re.Match[str], what: str) -> str:
        new = words.PAIR if what == "place" else words.TEXTS[what]
        if match["it"].strip("\"'") in (*words.TEXTS.values(), words.PAIR):
            return match[0]
        self.replaced[what] += 1
        return without(match, new)

    def _named(self, match: re.Match[str]) -> str:
        """A value whose name stands before it."""
        what = meaning(match["key"].rpartition(".")[2])
        group = next(name for name in ("quoted", "single", "bare") if match[name] is not None)
        value = match[group]
        if what is None or what == "spot" or (what == "vin" and " " in value):
            return match[0]
        begin, end = match.span(group)
        if value.startswith("["):
            new = scan(value, self, what)
        elif re.fullmatch(r"-?\d+(\.\d+)?", value):
            new = self.number(value, what)
        else:
            new = self.string(value, what)
        return match[0][: begin - match.start()] + new + match[0][end - match.start() :]

    def _opaque(self) -> str:
        """For a picture, a key."""
        self.replaced["secret"] += 1
        return words.TEXTS["secret"]

    def _known_in(self, text: str, known: Callable[[re.Match[str]], str]) -> str:
        """The text without the VINs and other texts that are known, whatever they stand in."""
        if self._look is None:
            self._look = self._looked_for()
        return self._look.sub(known, text)

    def _looked_for(self) -> re.Pattern[str]:
        ends = {vin[-7:] for vin in self._vins if len(vin) == 17 and not vin[-7:].isdigit()}
        alone = [rf"(?<![A-Za-z0-9]){re.escape(end)}(?![A-Za-z0-9])" for end in ends]
        learned = sorted(filter(self._is_sought, self._learned), key=len, reverse=True)
        alone += [
            rf"(?<![A-Za-z0-9]){'(?i:' if text == text.lower() else '(?-i:'}{re.escape(text)})(?![A-Za-z0-9])"
            for text in learned
        ]
        # What never matches, if nothing is known.
        return re.compile("|".join([*map(_however_spaced, self._vins), *alone]) or "(?!)", re.IGNORECASE)

    def _known_in_key(self, match: re.Match[str]) -> str:
        text, lower = match[0], match[0].lower()
        is_spelt_so = text in self._learned and text != lower and lower not in self._learned
        return text if is_spelt_so else self._known(match)

    def _known(self, match: re.Match[str]) -> str:
        text = match[0]
        bare = _GAPS.sub("", text)
        if bare.upper() in self._vins:
            return self._vin(bare)
        what = self._learned.get(text) or self._learned.get(text.lower())
        if what is None:
            whole = next((vin for vin in self._vins if vin.endswith(text.upper())), None)
            if whole is not None:
                return self._vin(whole)[-7:]
            what = "secret"  # of another case by a letter that has three: K, k and the sign of Kelvin
        self.replaced[what] += 1
        return words.TEXTS[what]

    def _is_sought(self, text: str) -> bool:
        what, lower = self._learned[text], text.lower()
        if what == "owner":
            return lower not in self._cars
        return what not in _NAMES or not {*lower.split()} <= (self._cars | words.OF_CARS)

    def _learn(self, text: str, what: str) -> None:
        text = text.strip()
        if len(text) > _LONGEST:
            return
        if what in _NAMES:
            sought = {*_NAMES[what](text)}
        else:
            sought = {text.lower()} if words.is_telling(text, what) else set()
        new = sought - self._learned.keys()
        if new:
            self._learned |= dict.fromkeys(new, what)
            self._forget()

    def _spare(self, text: str) -> None:
        """A brand or a model, whose words are nobody's name."""
        new = {text.lower(), *text.lower().split()} - self._cars
        if new:
            self._cars |= new
            self._forget()

    def _forget(self) -> None:
        """What was found before does not hold: more is known."""
        self._look = None
        self._clean.clear()
        self._clean_keys.clear()


def _however_spaced(vin: str) -> str:
    """The pattern of a VIN, also with blanks or hyphens between its parts."""
    return _GAP.join(map(re.escape, vin)) if len(vin) == 17 else re.escape(vin)
