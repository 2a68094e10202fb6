"""Handlers: thin. They read the request, ask a use case of the hub, and give back its answer."""
