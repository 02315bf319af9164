"""httpx's client, less a tenth of a millisecond for each answer."""

from __future__ import annotations

from typing import Any

import httpx


class Client(httpx.AsyncClient):
    """Looks for cookies only in an answer that brings some; otherwise as httpx has it.

    httpx writes each request and answer anew in the words of the standard library to ask whether there
    are cookies: with next to none of ours there are.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._jar = _Jar(super().cookies)

    @property
    def cookies(self) -> httpx.Cookies:
        """What servers asked us to keep."""
        return self._jar

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        self._jar = _Jar(cookies)


class _Jar(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            super().extract_cookies(response)
