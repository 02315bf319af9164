"""When: due times from interval, jitter, back-off and the last attempt."""
