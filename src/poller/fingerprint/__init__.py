"""An account's answers without what tells who and where: for bug reports, test cases and the simulator.

::

    from_journal ─┐                        ┌ anonymous.py  a body in, the same body without persons out
    from_folder ──┴─► bundle.py (names) ───┤   words.py    what stands in the place of what
                                           └   scan.py     JSON, whole or broken, token by token
"""
