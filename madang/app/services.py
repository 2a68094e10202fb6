"""Which sector services this Madang runs: the ones it brings, and those that other packages publish.

A package publishes a service with the entry point group ``madang.services`` (DESIGN §6): its object is a `Service`.
"""

import logging
from importlib.metadata import entry_points

from madang.services.contract import Service
from madang.services.manure import SERVICE as MANURE

GROUP = "madang.services"
logger = logging.getLogger(__name__)


def load_services() -> list[Service]:
    """All services, by name. A published one that cannot be loaded is left out and logged: it must not stop the city."""
    services = {MANURE.name: MANURE}
    for point in entry_points(group=GROUP):
        try:
            service = point.load()
        except Exception:  # code of others: whatever it raises, the rest of the city goes on
            logger.exception("service %s of %s could not be loaded", point.name, point.value)
            continue
        if isinstance(service, Service):
            services[service.name] = service
    return [services[name] for name in sorted(services)]
