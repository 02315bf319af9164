"""The words: signals, readings, snapshots and the records that travel. No I/O, standard library only."""
