"""JSON files in folders by vehicle and day: a file a record, or an NDJSON file a day."""

from poller.sinks.json_files.sink import JsonFilesSink

__all__ = ["JsonFilesSink"]
