"""Where the slider belongs: the first light block of 15 × 75 pixels."""

from __future__ import annotations

import base64
import io
import json
import random

import pytest
from PIL import Image

from poller.simulator.china_puzzle import puzzle
from poller.sources.mybmw.login.china.slider import BLOCK, COLOUR, gap_position

ACROSS, DOWN = BLOCK


def drawn(*gaps: tuple[int, int, int, int], colour=COLOUR, size=(200, 120), form="PNG", mode="RGB") -> bytes:
    """A dark picture with light blocks, each (left, top, across, down)."""
    image = Image.new("RGB", size, (40, 60, 80))
    for left, top, across, down in gaps:
        image.paste(colour, (left, top, left + across, top + down))
    file = io.BytesIO()
    image.convert(mode).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("gaps", "position"),
    [
        ([(126, 20, ACROSS, DOWN)], "0.5"),
        ([(66, 20, ACROSS, DOWN)], "0.2"),
        ([(100, 45, 60, DOWN)], "0.37"),
        ([(185, 45, ACROSS, DOWN)], "0.8"),
        ([(10, 0, ACROSS, DOWN)], "-0.08"),
        # The higher one, then the left one of two.
        ([(66, 21, ACROSS, DOWN), (126, 20, ACROSS, DOWN)], "0.5"),
        ([(126, 20, ACROSS, DOWN), (66, 20, ACROSS, DOWN)], "0.2"),
        ([], None),
        ([(66, 20, ACROSS - 1, DOWN)], None),
        ([(66, 20, ACROSS, DOWN - 1)], None),
        ([(66, 20, ACROSS, DOWN // 2), (67 + ACROSS, 20, ACROSS, DOWN)], "0.28"),
    ],
)
def test_the_first_block_that_is_large_enough_counts(gaps, position) -> None:
    assert gap_position(drawn(*gaps)) == position


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize(("off", "light"), [(15, True), (-15, True), (16, False), (-16, False)])
def test_each_channel_may_be_off_by_15(channel, off, light) -> None:
    colour = tuple(value + off * (number == channel) for number, value in enumerate(COLOUR))
    found = gap_position(drawn((66, 20, ACROSS, DOWN), colour=colour))
    assert (found is not None) == light


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_any_kind_of_picture_will_do(mode) -> None:
    assert gap_position(drawn((66, 20, ACROSS, DOWN), mode=mode)) == "0.2"


@pytest.mark.parametrize("picture", [b"", b"nonsense", drawn()[:60], drawn(size=(3000, 2000))])
def test_what_is_no_picture_or_a_huge_one_is_refused(picture) -> None:
    with pytest.raises(ValueError, match="picture"):
        gap_position(picture)


@pytest.mark.parametrize("form", ["JPEG", "GIF", "PPM", "TIFF", "EPS"])
def test_only_what_pictures_on_pages_are_made_of_is_opened(form) -> None:
    """For an EPS the library would start Ghostscript, which runs what stands in it."""
    picture = drawn((64, 16, 4 * ACROSS, 96), form=form)
    if form in ("JPEG", "GIF"):
        assert gap_position(picture) is not None
        return
    with pytest.raises(ValueError, match="no picture"):
        gap_position(picture)


def test_the_simulators_pictures_can_be_solved() -> None:
    rng = random.Random(5)
    for _ in range(5):
        picture, wanted = puzzle(rng.randrange)
        assert float(gap_position(picture)) == pytest.approx(wanted, abs=0.0051)


def test_the_recorded_picture_gives_what_the_library_gives(shared) -> None:
    recorded = json.loads((shared / "fingerprints/auth/auth_slider_captcha.json").read_bytes())
    assert gap_position(base64.b64decode(recorded["data"]["backGroundImg"])) == "0.81"
