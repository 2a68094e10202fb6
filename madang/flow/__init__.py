"""Detectors and what runs them. Pure: the runner is handed changes and gives back outputs; the hub does the I/O."""

from madang.flow.contract import Detector, Emit, Lookup, Ref, Step

__all__ = ["Detector", "Emit", "Lookup", "Ref", "Step"]
