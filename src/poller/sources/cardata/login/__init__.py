"""Logging in by code, and staying logged in."""
