"""What a text is written in, and what is written inside it in some other way."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")
#: One of so many characters may be a control character; what has more is no text.
_ODD: Final = 20
_PERCENT: Final = re.compile(r"[^\s\"'<>]{0,99}%[0-9A-Fa-f]{2}[^\s\"'<>]*")
_ENTITY: Final = re.compile(r"[^\s\"'<>]{0,99}&#?\w{1,9};[^\s\"'<>]*")
_ESCAPED: Final = re.compile(r"[^\s\"']{0,99}\\u[0-9A-Fa-f]{4}[^\s\"']*")
_BASE64: Final = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{12,}={0,2}(?![\w+/=-])")
#: Base64 of so many characters that is no text is nothing that a parser reads.
_OPAQUE: Final = 60
_MIXED: Final = re.compile(r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])")

Replace = Callable[[str], str]


def text_of(data: bytes) -> str | None:
    """The text in a body, whatever its encoding; None if it is none."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return None if "\0" in text or len(_CONTROLS.findall(text)) * _ODD > len(text) else text


def writable(text: str) -> str:
    """`text` without half a surrogate pair, which broken JSON may spell."""
    return text.encode(errors="replace").decode()


def inside(text: str, replace: Replace, opaque: Callable[[], str]) -> str:
    """`text` with `replace` done to what is encoded in it: by percent, by entities, escaped, in Base64.

    What stays the same stays encoded as it was. `opaque` gives what stands for Base64 that is no text.
    """

    def done(decode: Replace, encode: Replace) -> Callable[[re.Match[str]], str]:
        return lambda match: _again(match[0], decode, encode, replace)

    if "%" in text:
        text = _PERCENT.sub(done(unquote, _quoted), text)
    if "&" in text:
        text = _ENTITY.sub(done(html.unescape, _escaped), text)
    if "\\u" in text:
        text = _ESCAPED.sub(done(_unescaped, str), text)

    def unpacked(match: re.Match[str]) -> str:
        is_opaque = len(match[0]) >= _OPAQUE and _MIXED.match(match[0]) and _unpacked(match[0]) == match[0]
        return opaque() if is_opaque else _again(match[0], _unpacked, _packed, replace)

    return _BASE64.sub(unpacked, text)


def _again(text: str, decode: Replace, encode: Replace, replace: Replace) -> str:
    decoded = decode(text)
    if decoded == text:
        return text
    replaced = replace(decoded)
    return text if replaced == decoded else encode(replaced)


def _quoted(text: str) -> str:
    return quote(text, safe="/:?&=,;+@!$()*~")


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), text)


def _unpacked(text: str) -> str:
    """What a text is in Base64, as it is or as in addresses; the text itself if it is none."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text
    return text if _CONTROLS.search(decoded) else decoded


def _packed(text: str) -> str:
    return base64.b64encode(text.encode(errors="replace")).decode()
