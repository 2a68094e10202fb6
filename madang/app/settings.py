"""Settings of a server. Each is an option of the command line and an environment variable (`MADANG_SERVE_PORT`, …)."""

from pathlib import Path

from msgspec import Struct

LOOPBACK = "127.0.0.1"
"""Nothing listens beyond this machine unless asked."""
PORT = 8080
MQTT_PORT = 1883


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
    log_format: str = "auto"
    """``json``, ``text``, or ``auto`` (text on a terminal)."""
    log_level: str = "info"
