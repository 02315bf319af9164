"""Alerts: rules find, one ledger tells. Pure: about cars from snapshots, about the poller from its status."""
