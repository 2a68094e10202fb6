"""`madang serve`: a city's own server."""

import click

from madang.app.collector import settle_collector
from madang.app.server import FIRST_TOKEN, FIRST_TOKEN_FILE, Server, stop_on_signals
from madang.app.services import load_services
from madang.app.settings import Settings


async def run_server(settings: Settings) -> None:
    """Run until somebody stops it."""
    sources = [source for service in load_services() for source in service.sources]
    server = Server(settings, sources=sources)
    async with server, stop_on_signals(server):
        settle_collector()
        click.echo(f"Madang is up: {server.url}   MQTT 3.1.1: {settings.mqtt_host}:{server.mqtt.tcp_port}")
        if server.first_token:
            click.echo(
                f"Log-in token ({FIRST_TOKEN}, also in {settings.data / FIRST_TOKEN_FILE}): {server.first_token}"
            )
        for source, secret in server.new_secrets.items():
            click.echo(f"Source {source}: new secret {secret}   (madang source-secret makes another)")
        await server.wait()
