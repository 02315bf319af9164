"""Settings of a MyBMW account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from poller.runtime.quantities import EmptyIsNone, WebAddress
from poller.sources.settings import SourceSettings

Region = Literal["rest_of_world", "north_america", "china"]


class MyBmwSettings(SourceSettings):
    """The app's API. Closed to third parties since September 2025 (HTTP 489)."""

    type: Literal["mybmw"] = Field(description="The MyBMW app's API; closed to third parties by BMW.")
    username: str = Field(min_length=1, description="E-mail address of the BMW or MINI account.")
    password: Annotated[SecretStr | None, EmptyIsNone] = Field(
        None, description="Needed for `poller login` only."
    )
    region: Region = Field("rest_of_world", description="rest_of_world, north_america or china.")
    base_url: Annotated[WebAddress | None, EmptyIsNone] = Field(
        None, description="Send every request to this host instead: a simulator, a proxy, a test."
    )
