"""The OpenAPI 3.1 document, made from the route table. The console's types are made from it in turn."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from madang import __version__
from madang.api import errors
from madang.api.route import LOGGED_IN, PUBLIC, Param, Route
from madang.hub.words import LANGUAGES
from madang.model.tenant import TENANT_LENGTH_MAX

_KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "instant": {"type": "string", "format": "date-time"},
    "list": {"type": "array", "items": {"type": "string"}},
}


_TENANT: dict[str, Any] = {
    "name": "NGSILD-Tenant",
    "in": "header",
    "description": "whose data; the default tenant's without it",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": TENANT_LENGTH_MAX},
}


class ProblemDetails(Struct):
    """RFC 9457. `code` is stable; `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    routes = tuple(routes)
    types = [t for route in routes for t in (route.request, route.response) if t is not None and t is not Any]
    schemas, components = msgspec.json.schema_components(
        [*types, ProblemDetails], ref_template="#/components/schemas/{name}"
    )
    by_type = {id(t): schema for t, schema in zip(types, schemas, strict=False)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Madang",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "The common platform of a city. Errors are problem details (RFC 9457) with a stable `code`.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "madang_session"},
                "source": {"type": "http", "scheme": "basic"},
                "password": {"type": "http", "scheme": "basic", "description": "the token as the password"},
            },
        },
    }


def describe_features(routes: Iterable[Route], base: str) -> dict[str, Any]:
    """OGC API - Features alone, in OpenAPI 3.0, which its clients know (conformance class oas30). `base`: where it stands."""
    described = document(route for route in routes if route.tag == "ogc")
    paths: dict[str, Any] = {}
    limit: dict[str, Any] = {}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for place, parameter in enumerate(operation["parameters"]):
                if parameter["name"] == "limit":
                    # Clients look for the longest page at this place.
                    limit = parameter
                    operation["parameters"][place] = {"$ref": "#/components/parameters/limit"}
        paths[path.removeprefix("/ogc") or "/"] = operations
    for schema in described["components"]["schemas"].values():
        if not schema.get("required", True):
            del schema["required"]  # 3.0 wants at least one
    return {
        **described,
        "openapi": "3.0.3",
        "info": {
            **described["info"],
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {**described["components"], "parameters": {"limit": limit}},
    }


def _operation(route: Route, by_type: dict[int, dict[str, Any]]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in path_names(route.path)
    ]
    parameters += [_parameter(param) for param in route.parameters]
    if route.tag == "ngsi-ld":
        parameters.append(_TENANT)
    if route.free:
        free = {"type": "object", "additionalProperties": {"type": "string"}}
        parameters.append({"name": route.free, "in": "query", "style": "form", "explode": True, "schema": free,
                           "description": "any property with the value that it shall have"})  # fmt: skip
    if route.tag not in ("ngsi-ld", "operation"):
        schema = {"type": "string", "enum": list(LANGUAGES)}
        parameters.append({"name": "lang", "in": "query", "description": "language of texts", "schema": schema})
    answer: dict[str, Any] = {"description": route.summary}
    if route.status != 204:
        schema = by_type.get(id(route.response), {}) if route.response is not None else {"type": "string"}
        answer["content"] = {route.response_media: {"schema": schema}}
    media_type = errors.NGSILD_MEDIA_TYPE if route.path.startswith("/ngsi-ld/") else errors.MEDIA_TYPE
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": parameters,
        "responses": {
            str(route.status): answer,
            "default": {
                "description": "What went wrong and what to do",
                "content": {media_type: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
            },
        },
        "x-permission": route.permission or "none",
        "x-data-class": route.data_class,
    }
    if route.permission == PUBLIC:
        operation["security"] = []
    else:
        ways = ["token", "session", *["source"][: route.source_login], *["password"][: route.basic_login]]
        operation["security"] = [{way: []} for way in ways]
    if route.request is not None:
        media = ("application/json", "application/ld+json") if route.tag == "ngsi-ld" else ("application/json",)
        body = {"schema": by_type.get(id(route.request), {})}
        operation["requestBody"] = {"required": True, "content": {name: body for name in media}}
    return operation


def _parameter(param: Param) -> dict[str, Any]:
    schema = dict(_KINDS[param.kind])
    if param.choices:
        if param.kind == "list":
            schema["items"] = {"type": "string", "enum": list(param.choices)}
        else:
            schema["enum"] = list(param.choices)
    for name, value in (("minimum", param.minimum), ("maximum", param.maximum), ("default", param.default)):
        if value is not None:
            schema[name] = value
    result: dict[str, Any] = {"name": param.name, "in": "query", "schema": schema}
    if param.description:
        result["description"] = param.description
    if param.kind == "list":
        result |= {"style": "form", "explode": False}
    return result


def path_names(path: str) -> list[str]:
    """Names of a path's parameters."""
    return [segment[1:].partition("}")[0] for segment in path.split("/") if segment.startswith("{")]


def operation_id(route: Route) -> str:
    """A stable name for generated clients: ``get_api_incidents_id``."""
    text = "".join(c if c.isalnum() else "_" for c in route.path)
    return route.method.lower() + "_" + "_".join(part for part in text.split("_") if part)


def matrix(routes: Iterable[Route]) -> list[tuple[str, str, str, str]]:
    """Rows (method, path, permission, data class) for the authorisation matrix."""
    words = {PUBLIC: "anybody", LOGGED_IN: "any log-in"}
    return [(r.method, r.path, words.get(r.permission, r.permission), r.data_class) for r in routes]
