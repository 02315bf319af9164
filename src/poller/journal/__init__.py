"""What is safe: answers and records on disk, a cursor per sink, dead letters, small state."""
