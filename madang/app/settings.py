"""Settings of a server. Each is an option of the command line and an environment variable (`MADANG_SERVE_PORT`, …)."""

import re
from pathlib import Path

from msgspec import Struct

from madang.access.roles import PARTY_ROLES, permissions_of

LOOPBACK = "127.0.0.1"
"""Nothing listens beyond this machine unless asked."""
PORT = 8080
MQTT_PORT = 1883


LOOPBACKS = ("127.0.0.1", "::1", "localhost")
"""Names of this machine that only this machine reaches."""


_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/\-]*)?\Z")


class SettingsError(Exception):
    """Settings that do not go together; the text says what to do."""


class Settings(Struct, frozen=True):
    """Where a server keeps its data and listens."""

    data: Path
    """Data folder; made when absent, readable by its owner alone."""
    host: str = LOOPBACK
    port: int = PORT
    """HTTP; 0 takes a free one."""
    mqtt_host: str = LOOPBACK
    mqtt_port: int = MQTT_PORT
    """MQTT 3.1.1; 0 takes a free one."""
    allow_private_addresses: bool = False
    """Let @contexts and other addresses that requests name be on this machine and in private networks."""
    public_url: str = ""
    """How others reach this server, as ``https://city.example``: notifications name @contexts there, and other brokers tell there. Empty:
    the address that it listens on."""
    anonymous_role: str = ""
    """Role of callers without a token, for the conformance suite, which sends none; empty: they are asked to log in. Only while
    everything listens on this machine alone."""
    store: str = ""
    """``sqlite:///FOLDER`` or ``postgresql://USER@HOST/DATABASE``; empty: SQLite in the data folder."""
    temporal_page: int = 1_000
    """Attribute instances in one answer of the NGSI-LD temporal interface; beyond it answers 206 with Content-Range."""
    log_days: int = 30
    """Days for which changes stay in the change log (`madang.hub.trim`); 0: for ever."""
    log_format: str = "auto"
    """``json``, ``text``, or ``auto`` (text on a terminal)."""
    log_level: str = "info"


def check_public_url(settings: Settings) -> None:
    """Raises SettingsError unless it is a web address that paths can be put behind."""
    if settings.public_url and _WEB_ADDRESS.match(settings.public_url) is None:
        raise SettingsError(
            f"--public-url must be an address such as https://city.example or https://city.example/madang, without ? and #:"
            f" {settings.public_url[:200]!r} is none."
        )


def check_anonymous(settings: Settings) -> None:
    """Raises SettingsError unless a role without log-in can do no harm beyond this machine."""
    role = settings.anonymous_role
    if not role:
        return
    try:
        permissions_of(role)
    except ValueError as error:
        raise SettingsError(f"--anonymous-role: {error}") from None
    if role in PARTY_ROLES:
        raise SettingsError(
            f"--anonymous-role: {role} acts for a farm, carrier or plant, and nobody in particular is none"
        )
    for option, host in (("--host", settings.host), ("--mqtt-host", settings.mqtt_host)):
        if host not in LOOPBACKS:
            raise SettingsError(
                f"--anonymous-role lets anybody in who reaches the server, so everything must listen on {LOOPBACK}:"
                f" {option} is {host}. Leave one of the two out."
            )
