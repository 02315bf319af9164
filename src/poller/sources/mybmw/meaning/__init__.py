"""What an answer means; all of it pure."""
