"""Whatever JSON: what was planted is gone, and the shape is the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from poller.fingerprint.anonymous import Anonymiser

VIN = "WBA21AB0404K12345"
PERSONAL = {
    "licensePlate": "HB-EM 42",
    "formatted": "Am Wall 17, 28195 Bremen",
    "email": "erika.m@example.com",
    "ownerName": "Erika Mustermann",
    "gcid": "7b1f2c3d-aaaa-4bbb-8ccc-0123456789ab",
    "access_token": "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
}
COORDINATES = {"latitude": 53.079296, "longitude": 8.801694}
LOOKS = [
    VIN,
    VIN.lower(),
    "erika.m@example.com",
    "53.079296,8.801694",
    "Bearer geheim-4711",
    "+49 421 7654321",
]
LEFT = [
    "HB-EM",
    "Am Wall",
    "erika",
    "mustermann",
    "7b1f2c3d",
    "eyJ",
    "53.079",
    "8.8016",
    "geheim",
    "7654321",
    VIN,
]

#: What fails is small enough as it is, and shrinking it takes minutes.
PHASES = (Phase.explicit, Phase.generate)

names = st.text(max_size=8) | st.sampled_from(
    ["state", "location", "data", "value", "vehicle.x.latitude", "dealer", "name", "messages", "vin"]
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
texts = st.builds(
    lambda before, what, after: f"{before} {what} {after}",
    st.text('a {["\\%&', max_size=4),
    st.sampled_from(LOOKS),
    st.text('z ]}"\\', max_size=4),
)
planted = texts | st.just({**PERSONAL, **COORDINATES}) | st.just([VIN])
values = st.recursive(
    plain | planted,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | texts, inner, max_size=4),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


def packed(value: Any, how: int) -> str:
    return json.dumps(value, ensure_ascii=bool(how & 1), indent=how & 2 or None)


@settings(max_examples=80, deadline=None, phases=PHASES)
@given(value=st.lists(values, max_size=3) | st.dictionaries(names, values, max_size=3), how=st.integers(0, 3))
@example(value={LOOKS[2]: 1, f" {LOOKS[2]} ": 2}, how=0)
def test_what_was_planted_is_gone_and_the_shape_is_the_same(value, how) -> None:
    text = Anonymiser([VIN]).body(packed(value, how).encode("utf-8", "surrogatepass"))
    if text is None:
        return  # a control character in a name: no text
    after = json.loads(text)
    assert shape(after) == shape(value)
    assert [word for word in LEFT if word.lower() in text.lower()] == []
    assert [word for word in LEFT if word.lower() in json.dumps(after, ensure_ascii=False).lower()] == []


@settings(max_examples=50, deadline=None, phases=PHASES)
@given(value=st.dictionaries(names, values, min_size=1, max_size=3), cut=st.floats(0.3, 1))
def test_of_an_answer_that_is_cut_off_nothing_is_left_either(value, cut) -> None:
    whole = packed({"x": [value, {**PERSONAL, **COORDINATES, "vin": VIN}]}, 0)
    text = Anonymiser([VIN]).body(whole[: int(len(whole) * cut)].encode("utf-8", "surrogatepass"))
    assert text is None or [word for word in LEFT if word.lower() in text.lower()] == []


@settings(max_examples=50, deadline=None, phases=PHASES)
@given(text=st.text(max_size=40) | texts)
def test_whatever_text_does_no_harm(text) -> None:
    after = Anonymiser([VIN]).body(text.encode("utf-8", "surrogatepass"))
    assert after is None or [word for word in LEFT if word.lower() in after.lower()] == []
