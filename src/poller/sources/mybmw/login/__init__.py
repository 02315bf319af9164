"""Logging in, by region, and staying logged in."""
