"""The route table: every path of Madang, once. The app, /openapi.json, the authorisation matrix and the tests are made from it."""

from typing import Any

from madang.access.roles import (
    ENTITY_READ,
    INCIDENT_READ,
    INGEST,
    MANIFEST_READ,
    METRICS_READ,
    SOURCE_MANAGE,
    SOURCE_READ,
    TOKEN_MANAGE,
)
from madang.api.handlers import (
    city,
    entities,
    figures,
    incidents,
    operations,
    records,
    session,
    sources,
    static,
    stream,
    subscriptions,
    tables,
)
from madang.api.ngsild_routes import NGSILD
from madang.api.ogc_routes import OGC
from madang.api.route import LOGGED_IN, PUBLIC, Param, Route
from madang.hub.queries import answers
from madang.hub.queries import subscriptions as told
from madang.hub.queries.entities import HISTORY_LIMIT_MAX
from madang.hub.queries.tables import PAGE_MAX
from madang.model.finding import SEVERITIES

_RECORDS = f"{MANIFEST_READ} {INCIDENT_READ} {ENTITY_READ}"
"""Any of them opens the route; the record's own type decides."""
_ANYTHING = f"{ENTITY_READ} {MANIFEST_READ} {INCIDENT_READ}"

_OFFSET = Param("offset", "integer", "rows to pass over", default=0, minimum=0, maximum=10_000_000)
_FROM = Param("from", "instant", "beginning of the window, RFC 3339")
_TO = Param("to", "instant", "end of the window (not in it), RFC 3339")


def _limit(default: int, maximum: int, minimum: int = 1) -> Param:
    return Param("limit", "integer", "rows at most", default=default, minimum=minimum, maximum=maximum)


_TABLE = (
    Param("filter", description='NGSI-LD q, e.g. grossWeight>20000;owner=="urn:ngsi-ld:Organization:c1"'),
    Param("text", description="letters that the row holds somewhere"),
    Param("state", "list", "states of a record type"),
    Param("sort", description="column, with '-' before it to descend"),
)

_OPERATIONS = (
    Route("GET", "/health", PUBLIC, "The process answers", operations.get_health, data_class="public",
          response=operations.Health, tag="operation"),
    Route("GET", "/ready", PUBLIC, "Everything that a request needs works", operations.get_ready, data_class="public",
          response=operations.Readiness, tag="operation"),
    Route("GET", "/metrics", METRICS_READ, "Figures for Prometheus", operations.get_metrics,
          response_media="text/plain", tag="operation"),
    Route("GET", "/openapi.json", PUBLIC, "This description", operations.get_openapi, data_class="public",
          response=dict[str, Any], tag="operation"),
)  # fmt: skip

_SESSION = (
    Route("POST", "/api/session", PUBLIC, "Log in with a token: sets the session cookie", session.open_session,
          data_class="public", request=session.Login, status=204, tag="session"),
    Route("DELETE", "/api/session", LOGGED_IN, "Log out", session.close_session, status=204, tag="session"),
    Route("GET", "/api/me", LOGGED_IN, "Who am I", session.get_me, response=answers.Me, tag="session"),
    Route("GET", "/api/tokens", TOKEN_MANAGE, "All tokens, without their secrets", session.list_tokens,
          response=list[session.TokenInfo], tag="session"),
    Route("POST", "/api/tokens", TOKEN_MANAGE, "Make a token: shown this once", session.make_token,
          request=session.NewToken, response=session.MadeToken, status=201, tag="session"),
    Route("DELETE", "/api/tokens/{name}", TOKEN_MANAGE, "Revoke a token and its sessions", session.revoke_token,
          status=204, tag="session"),
)  # fmt: skip

_PICTURE = (
    Route("GET", "/api/city", LOGGED_IN, "The city: name, bounds, clock", city.get_city, response=answers.CityInfo,
          tag="picture"),
    Route("GET", "/api/layers", LOGGED_IN, "Map layers, from below to above", city.list_layers,
          response=list[answers.LayerInfo], tag="picture"),
    Route("GET", "/api/layers/{id}", ENTITY_READ, "A map layer as GeoJSON", city.get_layer,
          response_media="application/geo+json", tag="picture"),
    Route("GET", "/api/live", ENTITY_READ, "All moving things as they are now", city.get_live, data_class="personal",
          response=answers.Live, tag="picture"),
    Route("GET", "/api/stream", ENTITY_READ, "Server-Sent Events: moves, incident, record, clock, reset",
          raw=stream.get_stream, data_class="personal", response_media="text/event-stream", tag="picture",
          parameters=(Param("topics", "list", "what to hear of; all when absent", choices=stream.TOPICS),
                      Param("after", "integer", "log sequence to go on after, for a first connection; a browser that "
                            "connects again sends Last-Event-ID", minimum=0)), head=False),
    Route("GET", "/api/search", _ANYTHING, "Things, records and incidents by name, plate, number or id", entities.find,
          response=list[answers.Named], tag="picture",
          parameters=(Param("text", description="letters to look for"), _limit(20, 200))),
)  # fmt: skip

_INCIDENTS = (
    Route("GET", "/api/incidents", INCIDENT_READ, "The queue: live first, worst first, newest first",
          incidents.list_incidents, response=answers.IncidentList, tag="incidents",
          parameters=(Param("state", "list", "e.g. open,acknowledged; live means all that still need somebody"),
                      Param("severity", "list", "severities", choices=SEVERITIES),
                      Param("lane", "list", "lanes", choices=("act", "look", "log")),
                      Param("rule", "list", "rules, e.g. manure.D1"),
                      Param("text", description="letters in number, sentence, subject or assignee"),
                      Param("subject", description="entity id that they are about"),
                      _limit(100, 1_000), _OFFSET)),
    Route("GET", "/api/incidents/{id}", INCIDENT_READ, "An incident with its why, trail and actions",
          incidents.get_incident, response=answers.IncidentPage, tag="incidents"),
)  # fmt: skip

_RECORD = (
    Route("GET", "/api/record-types", LOGGED_IN, "Record types and the actions that create one", records.list_types,
          response=list[answers.RecordTypeInfo], tag="records"),
    Route("GET", "/api/records/{id}", _RECORDS, "A record with its life and actions", records.get_record,
          data_class="personal", response=answers.RecordPage, tag="records"),
    Route("POST", "/api/records/{id}", _RECORDS, "Create a record of the type named in the path", records.create,
          data_class="personal", request=records.CreateBody, response=records.RecordAnswer, status=201, tag="records"),
    Route("POST", "/api/records/{id}/actions/{action}", _RECORDS, "Take an action; Idempotency-Key makes it repeatable",
          records.act, data_class="personal", request=records.ActionBody, response=records.RecordAnswer, tag="records"),
)  # fmt: skip

_ENTITIES = (
    Route("GET", "/api/entities/{id}", ENTITY_READ, "A thing: state with age, records, incidents, derived",
          entities.get_entity, data_class="personal", response=answers.EntityPage, tag="entities"),
    Route("GET", "/api/entities/{id}/history", ENTITY_READ, "Values over time", entities.get_history,
          data_class="personal", response=answers.History, tag="entities",
          parameters=(Param("attributes", "list", "names; all measured ones when absent"), _FROM, _TO,
                      _limit(5_000, HISTORY_LIMIT_MAX))),
    Route("GET", "/api/tables", LOGGED_IN, "Tables and their columns", tables.list_tables,
          response=list[answers.TableInfo], tag="entities"),
    Route("GET", "/api/tables/{type}", _ANYTHING, "Rows of a table", tables.get_table, data_class="personal",
          response=answers.TablePage, tag="entities", parameters=(*_TABLE, _limit(100, PAGE_MAX), _OFFSET)),
    Route("GET", "/api/tables/{type}.csv", _ANYTHING, "The whole selection as CSV", raw=tables.get_csv,
          data_class="personal", response_media="text/csv", tag="entities", parameters=_TABLE),
    Route("GET", "/api/tables/{type}.xlsx", _ANYTHING, "The whole selection as an Excel workbook", raw=tables.get_xlsx,
          data_class="personal", response_media=tables.XLSX, tag="entities", parameters=_TABLE),
    Route("GET", "/api/indicators", ENTITY_READ, "Figures with interval and sample size", figures.list_indicators,
          response=list[answers.IndicatorInfo], tag="entities", parameters=(_FROM, _TO)),
    Route("GET", "/api/parameters", ENTITY_READ, "Limits that the city may set, and their values",
          figures.list_parameters, response=list[answers.ParameterInfo], tag="entities"),
)  # fmt: skip

_SOURCES = (
    Route("GET", "/api/sources", SOURCE_READ, "Sources and how they are doing", sources.list_sources,
          response=list[answers.SourceInfo], tag="sources"),
    Route("GET", "/api/quarantine", SOURCE_READ, "Payloads that could not be understood, newest first",
          sources.list_quarantine, response=list[answers.QuarantineInfo], tag="sources",
          parameters=(Param("source", description="source id"), _limit(50, 500),
                      Param("before", "integer", "only those before this id", minimum=0))),
    Route("POST", "/api/quarantine/{id}/replay", SOURCE_MANAGE, "Decode a payload again with the mapping as it is now",
          sources.replay, response=answers.ReplayResult, tag="sources"),
    Route("GET", "/api/stuck", SOURCE_READ, "Messages that could not be sent and deadlines whose action failed",
          sources.list_stuck, response=answers.StuckPage, tag="sources"),
    Route("POST", "/api/stuck/{id}/retry", SOURCE_MANAGE, "Try a message or a deadline again; asking twice does it once",
          sources.retry_stuck, response=answers.RetryResult, tag="sources"),
    Route("POST", "/api/sources/{id}/messages", INGEST, "Push observations: one JSON payload or an array of them",
          raw=sources.push, request=Any, response=sources.PushAnswer, source_login=True, tag="sources"),
)  # fmt: skip

_SUBSCRIPTIONS = (
    Route("GET", "/api/subscriptions", ENTITY_READ, "Subscriptions and how their notifications are doing: one's own, staff all",
          subscriptions.list_subscriptions, response=list[told.SubscriptionInfo], tag="subscriptions"),
    Route("GET", "/api/subscriptions/{id}/failed", ENTITY_READ, "Notifications that could not be delivered, oldest first",
          subscriptions.list_failed, response=list[told.FailedNotification], tag="subscriptions",
          parameters=(_limit(50, 1_000), Param("after", "integer", "only those after this number", default=0, minimum=0))),
    Route("POST", "/api/subscriptions/{id}/failed/send", ENTITY_READ, "Send failed notifications again: one's own",
          subscriptions.send_again, request=subscriptions.Numbers, response=subscriptions.Count, tag="subscriptions"),
    Route("POST", "/api/subscriptions/{id}/failed/discard", ENTITY_READ, "Let go of failed notifications: one's own",
          subscriptions.discard, request=subscriptions.Numbers, response=subscriptions.Count, tag="subscriptions"),
    Route("POST", "/api/subscriptions/{id}/replay", ENTITY_READ, "Notify again of a part of the log: one's own",
          subscriptions.replay, request=subscriptions.Span, response=told.ReplayOutcome, tag="subscriptions"),
)  # fmt: skip

ROUTES: tuple[Route, ...] = (
    *_OPERATIONS, *_SESSION, *_PICTURE, *_INCIDENTS, *_RECORD, *_ENTITIES, *_SOURCES, *_SUBSCRIPTIONS, *NGSILD, *OGC,
)  # fmt: skip

CONSOLE = Route("GET", "/{path}", PUBLIC, "The console's files", static.get_file, data_class="public", tag="console",
                response_media="text/html")  # fmt: skip
"""What answers GET of every path that the table does not have."""
