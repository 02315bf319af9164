"""The live stream: one connection, kept as well as it can be kept."""
