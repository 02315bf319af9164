"""What BMW's descriptors mean; all of it pure."""
