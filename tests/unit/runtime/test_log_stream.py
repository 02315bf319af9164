"""Where logs go when nobody reads them any more."""

import io

import structlog

from poller.runtime import log


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(text)


def test_a_reader_that_went_away_stops_nobody():
    try:
        log.configure("info", "json", Broken())
        log.get("app").info("app.started")
    finally:
        structlog.reset_defaults()


def test_a_reader_that_is_there_gets_every_line():
    stream = io.StringIO()
    try:
        log.configure("info", "json", stream)
        log.get("app").info("app.started")
    finally:
        structlog.reset_defaults()
    assert "app.started" in stream.getvalue()
