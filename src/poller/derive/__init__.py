"""What follows from snapshots: pure derivers, each (state, snapshot) → (state, records)."""
