"""Settings of a MyBMW account."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr

from poller.runtime.quantities import EmptyIsNone, WebAddress
from poller.sources.settings import SourceSettings

Region = Literal["rest_of_world", "north_america", "china"]

#: How to get what a login in China needs; said by `poller check` and by the login.
INSTALL_CHINA: Final = (
    "`pip install 'bmw-poller[china]'` with the poller's own pip; with pipx: `pipx inject bmw-poller pillow "
    "cryptography`; in a container: build the image with `--build-arg LOCK=requirements-china.txt`"
)


class MyBmwSettings(SourceSettings):
    """The app's API. Closed to third parties since September 2025 (HTTP 489)."""

    type: Literal["mybmw"] = Field(description="The MyBMW app's API; closed to third parties by BMW.")
    username: str = Field(
        min_length=1,
        description="E-mail address of the BMW or MINI account; in China the phone number, 86 before it.",
    )
    password: Annotated[SecretStr | None, EmptyIsNone] = Field(
        None, description="Needed for `poller login` only."
    )
    region: Region = Field("rest_of_world", description="rest_of_world, north_america or china.")
    base_url: Annotated[WebAddress | None, EmptyIsNone] = Field(
        None, description="Send every request to this host instead: a simulator, a proxy, a test."
    )
    geocoder: Annotated[WebAddress | None, EmptyIsNone] = Field(
        "https://nominatim.openstreetmap.org",
        description="Service like Nominatim that is asked where a street is, when you send one to a car; "
        "empty: nobody is.",
    )
