"""Axiom: NDJSON over HTTP. One call of `deliver` is one request; patience is the loop's business."""

from poller.sinks.axiom.sink import AxiomSink

__all__ = ["AxiomSink"]
