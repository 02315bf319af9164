"""Poller as a service of systemd: the unit, what it needs on the machine, and how both come and go.

``texts/`` holds the one source of every unit file; ``deploy/systemd`` shows the same files.
"""
