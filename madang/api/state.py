"""What the whole API shares: the hub, the feed, its settings, its threads, its figures."""

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor
from pathlib import Path

from msgspec import Struct

from madang.api.arrivals import Arrivals
from madang.api.figures import Figures
from madang.api.patience import Patience
from madang.hub.deliveries import Deliveries
from madang.hub.entities import Entities
from madang.hub.evolution import Evolutions
from madang.hub.feed import Feed
from madang.hub.hub import Hub
from madang.hub.tenants import Tenant, Tenants

BODY_SECONDS_MAX = 30.0
"""Time that a request's body may take to arrive."""


class RenderedLayer(Struct, frozen=True):
    """A map layer, ready to be sent."""

    etag: str
    plain: bytes
    packed: bytes
    """gzip; empty for a small one."""


CONSOLE_DIR = Path(__file__).parents[1] / "console_dist"
"""The built console inside the package."""


class ApiSettings(Struct, frozen=True):
    """How the API is served."""

    console_dir: Path = CONSOLE_DIR
    hosts: tuple[str, ...] = ()
    """Names in the Host header that are answered; empty: all. Set it where browsers reach the server (DNS rebinding)."""
    anonymous_role: str = ""
    """Role of callers without a token; empty: they are asked to log in. See `madang.app.settings`."""
    secure_cookie: bool = False
    """True behind TLS: the session cookie is then never sent over plain HTTP."""
    public_url: str = ""
    """How others reach the server; empty: as each of them did. For links that must be whole."""
    temporal_page: int = 1_000
    """Attribute instances in one answer of the temporal API; what is beyond is asked for again by time."""
    read_threads: int = 4
    """Threads for questions that may take long."""


class ApiState:
    """See the module's docstring."""

    __slots__ = (
        "arrivals",
        "body_patience",
        "deliveries",
        "entities",
        "evolutions",
        "executor",
        "feed",
        "figures",
        "hub",
        "layers",
        "moves",
        "settings",
        "stopping",
        "summaries",
        "tenants",
    )

    def __init__(
        self,
        hub: Hub,
        feed: Feed,
        settings: ApiSettings,
        executor: Executor,
        deliveries: Deliveries | None = None,
        tenants: Tenants | None = None,
    ) -> None:
        self.hub = hub
        self.deliveries = deliveries
        """None where nothing is sent (tests of other things)."""
        self.tenants = tenants
        """None where there is the default tenant alone."""
        self.feed = feed
        self.settings = settings
        self.entities = Entities(hub.store, hub.registry)
        self.evolutions = Evolutions(hub.store, hub.registry)
        self.executor = executor
        self.arrivals = Arrivals()
        self.body_patience = Patience(BODY_SECONDS_MAX)
        self.figures = Figures()
        self.layers: dict[tuple[str, int], RenderedLayer] = {}
        """Layers as all city staff see them, by (id, version)."""
        self.summaries: OrderedDict[tuple[str, int, str], bytes] = OrderedDict()
        """Rows of the queue as streams send them, by (incident, version, language)."""
        self.moves: tuple[object, bytes] = (None, b"")
        """The last batch of moves and its JSON, made once for all streams that see all of it."""
        self.stopping = asyncio.Event()
        """Set when the server stops: open streams end."""

    def of_tenant(self, tenant: Tenant) -> "ApiState":
        """What the API shares about another tenant: all of it the tenant's, but settings, threads and figures. Its feed never starts:
        streams are the default tenant's."""
        feed = Feed(tenant.store, tenant.hub.clock, ())
        state = ApiState(tenant.hub, feed, self.settings, self.executor, tenant.deliveries)
        state.figures, state.stopping = self.figures, self.stopping
        return state
