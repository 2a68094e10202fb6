"""Stores: implementations of `madang.hub.ports.Store`. Each passes `tests/stores/check_store.py`."""
