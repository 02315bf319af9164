"""The journal's past in the formats of others; a daemon may run beside it.

::

    journal/history ─► openmetrics ─► held (what stood from when to when) ─► text, series by series
"""
