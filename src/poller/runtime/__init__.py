"""The plumbing beside the road: clock, log, metrics, redaction, retry, supervision, systemd."""
