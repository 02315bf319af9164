"""REST, and its fifty calls a day."""
