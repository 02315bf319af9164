"""Telling a car to do something: the app's remote services (facts section 10)."""
