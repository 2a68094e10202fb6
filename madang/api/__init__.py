"""The HTTP API and the console's files: one ASGI app over one route table. Entry: `madang.api.app.create_app`."""
