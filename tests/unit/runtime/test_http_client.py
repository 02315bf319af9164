"""httpx's client as we have it: cookies are looked for only where there are some, and kept all the same."""

import httpx

from poller.runtime.http import Client

ASKED = httpx.Request("GET", "https://maker.example/login")


def answered(**headers: str) -> httpx.Response:
    return httpx.Response(200, headers=headers, request=ASKED)


def test_what_a_server_asks_to_keep_is_kept() -> None:
    client = Client()
    client.cookies.extract_cookies(answered())
    assert dict(client.cookies) == {}
    client.cookies.extract_cookies(answered(**{"set-cookie": "session=abc; Path=/"}))
    assert dict(client.cookies) == {"session": "abc"}


def test_cookies_that_were_given_are_there() -> None:
    assert dict(Client(cookies={"session": "abc"}).cookies) == {"session": "abc"}
