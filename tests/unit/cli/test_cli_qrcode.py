"""The QR code of a login in a terminal."""

from __future__ import annotations

import io

import pytest
import segno

from poller.cli.qrcode import qr_code, shown_on

ADDRESS = "https://customer.bmwgroup.com/oneid/link?user_code=ABCD1234"
PAINT, PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
SQUARES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Ascii(Terminal):
    encoding = "ascii"


def test_every_line_is_black_on_white_whatever_the_theme():
    assert all(line.startswith(PAINT) and line.endswith(PLAIN) for line in qr_code(ADDRESS))


def test_the_squares_are_the_codes_with_a_light_border():
    rows: list[tuple[int, ...]] = []
    for line in qr_code(ADDRESS):
        pairs = [SQUARES[character] for character in line.removeprefix(PAINT).removesuffix(PLAIN)]
        rows += [tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)]
    wanted = [tuple(row) for row in segno.make(ADDRESS, error="l", micro=False).matrix_iter(border=2)]
    assert rows[: len(wanted)] == wanted
    assert not any(any(row) for row in [*rows[:2], *rows[-2:]])


def test_it_fits_into_eighty_columns_and_a_screen():
    lines = qr_code(ADDRESS)
    assert len(lines) <= 20
    assert len(lines[0]) - len(PAINT) - len(PLAIN) <= 40


@pytest.mark.parametrize(
    ("stream", "environ", "shown"),
    [
        (Terminal(), {"TERM": "xterm-256color"}, True),
        (io.StringIO(), {"TERM": "xterm-256color"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {}, False),
        (Ascii(), {"TERM": "xterm"}, False),
    ],
)
def test_it_is_shown_only_where_it_can_be(stream, environ, shown):
    assert shown_on(stream, qr_code(ADDRESS), environ) is shown


def test_a_terminal_that_is_too_narrow_gets_none():
    wide = ["\x1b[38;5;16;48;5;231m" + " " * 400 + PLAIN]
    assert not shown_on(Terminal(), wide, {"TERM": "xterm"})
