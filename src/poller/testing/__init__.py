"""Shipped doubles: they implement the seams and pass the same contract suites as the real parts."""
