"""An address as a QR code, for the page and for the terminal; the only importer of segno."""

from __future__ import annotations

from markupsafe import Markup


def as_svg(text: str) -> Markup:
    """As SVG that needs no style of its own; black on white, for a phone sees no other on a dark page."""
    import segno

    drawn = segno.make(text, error="m", micro=False).svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
    )
    return Markup(drawn)  # noqa: S704  # an address becomes squares, and nothing of it is left as text


def as_squares(text: str, border: int) -> list[tuple[int, ...]]:
    """Rows of squares, dark ones being 1, as few as can be; `border`: light ones around them."""
    import segno

    return [tuple(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=border)]
