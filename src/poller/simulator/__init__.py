"""A car and a fake maker's cloud: for the demo, for tests, for rehearsing an outage."""
