"""An account's answers without what tells who and where: for bug reports, test cases and the simulator.

::

    from_journal ─► bundle.py (names) ─┐   ┌ anonymous.py  a body in, the same without persons out
    from_folder ───────────────────────┴──►┤   scan.py       JSON, whole or broken, token by token
                                           │   encodings.py  what is written inside a text in other ways
                                           └   words.py      what stands in the place of what
"""
