"""The NGSI-LD rows of the route table (ETSI GS CIM 009 clause 6)."""

from typing import Any

from madang.access.roles import ENTITY_READ, ENTITY_WRITE, SOURCE_MANAGE, SOURCE_READ
from madang.api.handlers.ngsild import (
    attributes,
    batch,
    contexts,
    discovery,
    entities,
    entity_maps,
    provision,
    registration_subscriptions,
    registrations,
    remote_notify,
    snapshots,
    subscriptions,
    temporal,
)
from madang.api.route import ANY, MADE, PUBLIC, Param, Route
from madang.hub.contexts import KINDS
from madang.hub.remote_subscriptions import PATH as REMOTE_PATH

_DETAILS = Param("details", "boolean", "all that is known of it")
_LOCAL = Param("local", "boolean", "only this broker, no context source")
_TYPE = Param("type", description="type selection (4.17): A,B or (A|B);C")
_OPTIONS = Param(
    "options", "list", "keyValues, simplified, concise, normalized, sysAttrs, count, noOverwrite, update, replace"
)
_FORMAT = Param("format", description="representation: normalized, concise, simplified or keyValues")
_LANG = Param("lang", description="languages of LanguageProperties, best first, like Accept-Language (4.15)")
_VIEW = (
    _OPTIONS, _FORMAT, _LANG,
    Param("attrs", "list", "attributes to answer with; entities without any are left out"),
    Param("pick", description="members to answer with (4.21)"),
    Param("omit", description="members to leave out (4.21)"),
    Param("datasetId", "list", "instances to answer with; @none for those without"),
    Param("join", description="linked entities: inline, flat or @none (4.5.23)"),
    Param("joinLevel", "integer", "links that are followed one after the other"),
    Param("containedBy", "list", "ids of entities that need not come again"),
    Param("geometryProperty", description="what gives a GeoJSON Feature its geometry"),
    Param("jsonKeys", "list", "attributes whose values are plain JSON"),
    Param("expandValues", "list", "attributes whose values in q are words of a vocabulary"),
    _LOCAL,
)  # fmt: skip
_SELECTION = (
    _TYPE,
    Param("id", "list", "ids"),
    Param("idPattern", description="regular expression"),
    Param("q", description="query language of clause 4.9"),
    Param("scopeQ", description="scope query language of clause 4.19"),
    Param("csf", description="context source filter; its form is checked"),
    Param("georel", description="near;maxDistance==m, within, intersects, …"),
    Param("geometry", description="GeoJSON type of the geometry"),
    Param("coordinates", description="JSON array"),
    Param("geoproperty", description="GeoProperty to compare; location when absent"),
)  # fmt: skip
_ORDER = (
    Param("orderBy", description="speed;desc,location;dist-asc (4.23)"),
    Param("collation", description="language tag: sort texts as people do"),
    Param("orderFrom", description="coordinates to measure distances from"),
    Param("orderFromGeometry", description="GeoJSON type of orderFrom; Point when absent"),
)  # fmt: skip
_PAGE = (
    Param("limit", "integer", "entities at most", default=20, minimum=0, maximum=1_000_000),
    Param("offset", "integer", "entities to pass over", default=0, minimum=0, maximum=10_000_000),
    Param("count", "boolean", "answer NGSILD-Results-Count"),
)  # fmt: skip
_LIFETIME = Param("entityMapLifetime", description="ISO 8601 duration of a new entity map, at most a day")
_MAP = (
    Param("entityMap", "boolean", "fix what is found in an entity map, for the walk through its pages (5.5.9.3)"),
    _LIFETIME,
)
_SPLIT = Param("splitEntities", "boolean", "conditions hold for entities as merged from all brokers (5.7.2)")
_ENTITY = "/ngsi-ld/v1/entities/{id}"
_ATTRIBUTE = f"{_ENTITY}/attrs/{{attr}}"
_DATASET = Param("datasetId", description="the instance; the default one when absent")

_ENTITIES = (
    Route("GET", _ENTITY, ENTITY_READ, "Retrieve an entity (5.7.1)", raw=entities.get_entity, data_class="personal",
          response=dict[str, Any], tag="ngsi-ld", in_snapshot=True, parameters=(*_VIEW, _TYPE, *_MAP)),
    Route("GET", "/ngsi-ld/v1/entities", ENTITY_READ, "Query entities (5.7.2)", entities.query_entities,
          data_class="personal", response=list[dict[str, Any]], tag="ngsi-ld", in_snapshot=True,
          parameters=(*_SELECTION, *_VIEW, *_ORDER, *_PAGE, _SPLIT, *_MAP)),
    Route("POST", "/ngsi-ld/v1/entityOperations/query", ENTITY_READ, "Query entities by a body (5.7.2, 6.23)",
          entities.query_by_body, data_class="personal", request=dict[str, Any], response=list[dict[str, Any]],
          tag="ngsi-ld", in_snapshot=True, parameters=(*_VIEW, *_PAGE, _SPLIT, *_MAP)),
    Route("POST", "/ngsi-ld/v1/entities", ENTITY_WRITE, "Create an entity (5.6.1)", provision.create_entity,
          request=dict[str, Any], status=201, tag="ngsi-ld", tenant=MADE, parameters=(_LOCAL,)),
    Route("PUT", _ENTITY, ENTITY_WRITE, "Replace an entity (5.6.18)", provision.replace_entity,
          request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_TYPE, _LOCAL)),
    Route("PATCH", _ENTITY, ENTITY_WRITE, "Merge an entity (5.6.17): 409 for a record", provision.merge_entity,
          request=dict[str, Any], status=204, tag="ngsi-ld",
          parameters=(_OPTIONS, _FORMAT, _LANG, _TYPE, _LOCAL,
                      Param("observedAt", description="for attributes that had an observedAt and get none"))),
    Route("DELETE", _ENTITY, ENTITY_WRITE, "Delete an entity (5.6.6)", provision.delete_entity, status=204, tag="ngsi-ld",
          parameters=(_TYPE, _LOCAL)),
    Route("DELETE", "/ngsi-ld/v1/entities", ENTITY_WRITE, "Purge entities, or attributes of them (5.6.21)",
          provision.purge_entities, status=204, tag="ngsi-ld",
          parameters=(*_SELECTION, Param("attrs", "list", "entities that have one of these attributes"),
                      Param("keep", "list", "keep these attributes and drop the others"),
                      Param("drop", "list", "drop these attributes instead of the entities"), _LOCAL)),
)  # fmt: skip
_ATTRIBUTES = (
    Route("POST", f"{_ENTITY}/attrs", ENTITY_WRITE, "Append attributes (5.6.3)", attributes.append_attributes,
          request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_OPTIONS, _TYPE, _LOCAL)),
    Route("PATCH", f"{_ENTITY}/attrs", ENTITY_WRITE, "Update attributes (5.6.2)", attributes.update_attributes,
          request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_TYPE, _LOCAL)),
    Route("PATCH", _ATTRIBUTE, ENTITY_WRITE, "Change members of an attribute (5.6.4)", attributes.update_attribute,
          request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_DATASET, _TYPE, _LOCAL)),
    Route("PUT", _ATTRIBUTE, ENTITY_WRITE, "Replace an attribute (5.6.19)", attributes.replace_attribute,
          request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_DATASET, _TYPE, _LOCAL)),
    Route("DELETE", _ATTRIBUTE, ENTITY_WRITE, "Delete an attribute (5.6.5)", attributes.delete_attribute, status=204,
          tag="ngsi-ld", parameters=(_DATASET, Param("deleteAll", "boolean", "every instance"), _TYPE, _LOCAL)),
)  # fmt: skip
_OPERATIONS = "/ngsi-ld/v1/entityOperations"
_BATCHES = (
    Route("POST", f"{_OPERATIONS}/create", ENTITY_WRITE, "Create many (5.6.7)", batch.create,
          request=list[dict[str, Any]], response=list[str], status=201, tag="ngsi-ld", tenant=MADE, parameters=(_LOCAL,)),
    Route("POST", f"{_OPERATIONS}/upsert", ENTITY_WRITE, "Create or change many (5.6.8)", batch.upsert,
          request=list[dict[str, Any]], response=list[str], status=201, tag="ngsi-ld", tenant=MADE, parameters=(_OPTIONS, _LOCAL)),
    Route("POST", f"{_OPERATIONS}/update", ENTITY_WRITE, "Append attributes to many (5.6.9)", batch.update,
          request=list[dict[str, Any]], status=204, tag="ngsi-ld", parameters=(_OPTIONS, _LOCAL)),
    Route("POST", f"{_OPERATIONS}/merge", ENTITY_WRITE, "Merge many (5.6.20)", batch.merge,
          request=list[dict[str, Any]], status=204, tag="ngsi-ld",
          parameters=(_OPTIONS, _FORMAT, _LANG, Param("observedAt", description="see merging one"), _LOCAL)),
    Route("POST", f"{_OPERATIONS}/delete", ENTITY_WRITE, "Delete many (5.6.10)", batch.delete, request=list[str],
          status=204, tag="ngsi-ld", parameters=(_LOCAL,)),
)  # fmt: skip
_DISCOVERY = (
    Route("GET", "/ngsi-ld/v1/types", ENTITY_READ, "Entity types that there are (5.7.5, 5.7.6)", discovery.list_types,
          response=Any, tag="ngsi-ld", in_snapshot=True, parameters=(_DETAILS, _LOCAL)),
    Route("GET", "/ngsi-ld/v1/types/{type}", ENTITY_READ, "A type and its attributes (5.7.7)", discovery.get_type,
          response=dict[str, Any], tag="ngsi-ld", in_snapshot=True, parameters=(_LOCAL,)),
    Route("GET", "/ngsi-ld/v1/attributes", ENTITY_READ, "Attributes that there are (5.7.8, 5.7.9)",
          discovery.list_attributes, response=Any, tag="ngsi-ld", in_snapshot=True, parameters=(_DETAILS, _LOCAL)),
    Route("GET", "/ngsi-ld/v1/attributes/{attr}", ENTITY_READ, "An attribute and the types that have it (5.7.10)",
          discovery.get_attribute, response=dict[str, Any], tag="ngsi-ld", in_snapshot=True, parameters=(_LOCAL,)),
    Route("GET", "/ngsi-ld/v1/info/sourceIdentity", ENTITY_READ, "Who this context source is (5.15.1)",
          discovery.get_identity, response=dict[str, Any], tag="ngsi-ld", tenant=ANY),
)  # fmt: skip
_CONTEXTS = (
    Route("POST", "/ngsi-ld/v1/jsonldContexts", ENTITY_WRITE, "Host an @context (5.13.2)", contexts.add_context,
          request=dict[str, Any], status=201, tag="ngsi-ld", tenant=MADE),
    Route("GET", "/ngsi-ld/v1/jsonldContexts", ENTITY_READ, "List @contexts (5.13.3)", contexts.list_contexts,
          response=list[Any], tag="ngsi-ld", tenant=ANY, parameters=(_DETAILS, Param("kind", description="only these", choices=KINDS))),
    Route("GET", "/ngsi-ld/v1/jsonldContexts/{id}", PUBLIC, "Serve an @context (5.13.4): who got an answer in it may read it",
          contexts.serve_context, data_class="public", response=dict[str, Any], tag="ngsi-ld", parameters=(_DETAILS,)),
    Route("DELETE", "/ngsi-ld/v1/jsonldContexts/{id}", ENTITY_WRITE, "Delete an @context, or fetch it again (5.13.5)",
          contexts.delete_context, status=204, tag="ngsi-ld",
          parameters=(Param("reload", "boolean", "fetch a cached one again instead of deleting it"),)),
)  # fmt: skip

_SOURCE = (Param("options", "list", "sysAttrs, count", choices=("sysAttrs", "count")),)
_REGISTRATIONS = (
    Route("POST", "/ngsi-ld/v1/csourceRegistrations", SOURCE_MANAGE, "Register a context source (5.9.2)",
          registrations.create_registration, request=dict[str, Any], status=201, tag="ngsi-ld", tenant=MADE),
    Route("GET", "/ngsi-ld/v1/csourceRegistrations", SOURCE_READ, "Query registrations (5.10.2)",
          registrations.query_registrations, response=list[dict[str, Any]], tag="ngsi-ld",
          parameters=(Param("type", description="type selection"), Param("id", "list", "ids of entities"),
                      Param("idPattern", description="regular expression"), Param("attrs", "list", "attributes"),
                      Param("q", description="query over the registration's own members"),
                      Param("csf", description="context source filter, as q"), Param("scopeQ", description="scope query"),
                      Param("georel"), Param("geometry"), Param("coordinates"), Param("geoproperty"),
                      Param("timerel", description="before, after or between", choices=("before", "after", "between")),
                      Param("timeAt", "instant"), Param("endTimeAt", "instant"),
                      Param("timeproperty", description="observedAt asks the observationInterval, the others the "
                            "managementInterval", choices=("observedAt", "createdAt", "modifiedAt", "deletedAt"),
                            default="observedAt"),
                      Param("count", "boolean", "answer NGSILD-Results-Count"), *_SOURCE,
                      Param("limit", "integer", "registrations at most", default=100, minimum=1,
                            maximum=registrations.LIMIT_MAX), _PAGE[1])),
    Route("GET", "/ngsi-ld/v1/csourceRegistrations/{id}", SOURCE_READ, "Retrieve a registration (5.10.1)",
          registrations.get_registration, response=dict[str, Any], tag="ngsi-ld", parameters=_SOURCE),
    Route("PATCH", "/ngsi-ld/v1/csourceRegistrations/{id}", SOURCE_MANAGE, "Change a registration (5.9.3)",
          registrations.update_registration, request=dict[str, Any], status=204, tag="ngsi-ld"),
    Route("DELETE", "/ngsi-ld/v1/csourceRegistrations/{id}", SOURCE_MANAGE, "Delete a registration (5.9.4)",
          registrations.delete_registration, status=204, tag="ngsi-ld"),
)  # fmt: skip

_SUBSCRIPTIONS = "/ngsi-ld/v1/csourceSubscriptions"
_SUBSCRIPTIONS_TO = (
    Route("POST", _SUBSCRIPTIONS, SOURCE_MANAGE, "Subscribe to registrations (5.11.2)",
          registration_subscriptions.create_subscription, request=dict[str, Any], status=201, tag="ngsi-ld", tenant=MADE),
    Route("GET", _SUBSCRIPTIONS, SOURCE_READ, "Subscriptions to registrations (5.11.5)",
          registration_subscriptions.query_subscriptions, response=list[dict[str, Any]], tag="ngsi-ld",
          parameters=(Param("limit", "integer", "subscriptions at most", default=100, minimum=1, maximum=1_000),
                      Param("offset", "integer", "subscriptions to pass over", default=0, minimum=0, maximum=10_000_000),
                      Param("count", "boolean", "answer NGSILD-Results-Count"))),
    Route("GET", f"{_SUBSCRIPTIONS}/{{id}}", SOURCE_READ, "Retrieve a subscription to registrations (5.11.4)",
          registration_subscriptions.get_subscription, response=dict[str, Any], tag="ngsi-ld"),
    Route("PATCH", f"{_SUBSCRIPTIONS}/{{id}}", SOURCE_MANAGE, "Change a subscription to registrations (5.11.3)",
          registration_subscriptions.update_subscription, request=dict[str, Any], status=204, tag="ngsi-ld"),
    Route("DELETE", f"{_SUBSCRIPTIONS}/{{id}}", SOURCE_MANAGE, "Delete a subscription to registrations (5.11.6)",
          registration_subscriptions.delete_subscription, status=204, tag="ngsi-ld"),
)  # fmt: skip

_ENTITY_SUBSCRIPTIONS = (
    Route("POST", REMOTE_PATH, PUBLIC, "What another broker tells of its copy of a subscription (5.8.6): the copy's id says that "
          "it may", remote_notify.hear, request=dict[str, Any], tag="ngsi-ld"),
    Route("POST", f"{REMOTE_PATH}/{{tenant}}", PUBLIC, "The same of a subscription of a tenant, whatever NGSILD-Tenant says: that is the "
          "tenant at the other broker", remote_notify.hear, request=dict[str, Any], tag="ngsi-ld"),
    Route("POST", "/ngsi-ld/v1/subscriptions", ENTITY_READ, "Subscribe to changes (5.8.1): with the caller's own eyes",
          subscriptions.create_subscription, request=dict[str, Any], status=201, tag="ngsi-ld", tenant=MADE),
    Route("GET", "/ngsi-ld/v1/subscriptions", ENTITY_READ, "Query subscriptions (5.8.4): one's own, staff all",
          subscriptions.query_subscriptions, response=list[dict[str, Any]], tag="ngsi-ld",
          parameters=(Param("limit", "integer", "subscriptions at most", default=100, minimum=1,
                            maximum=subscriptions.LIMIT_MAX), *_PAGE[1:], *_SOURCE)),
    Route("GET", "/ngsi-ld/v1/subscriptions/{id}", ENTITY_READ, "Retrieve a subscription (5.8.3)",
          subscriptions.get_subscription, response=dict[str, Any], tag="ngsi-ld", parameters=_SOURCE),
    Route("PATCH", "/ngsi-ld/v1/subscriptions/{id}", ENTITY_READ, "Change a subscription (5.8.2): one's own",
          subscriptions.update_subscription, request=dict[str, Any], status=204, tag="ngsi-ld"),
    Route("DELETE", "/ngsi-ld/v1/subscriptions/{id}", ENTITY_READ, "Delete a subscription (5.8.5): one's own",
          subscriptions.delete_subscription, status=204, tag="ngsi-ld"),
)  # fmt: skip

_TEMPORAL = "/ngsi-ld/v1/temporal/entities"
_INSTANCE = f"{_TEMPORAL}/{{id}}/attrs/{{attr}}/{{instanceId}}"
_TIMES = (
    Param("timerel", description="before, after or between (4.11)"), Param("timeAt", description="date-time"),
    Param("endTimeAt", description="date-time, for between"),
    Param("timeproperty", description="observedAt, createdAt, modifiedAt or deletedAt; observedAt when absent"),
    Param("lastN", "integer", "the newest instances of each attribute"),
    Param("aggrMethods", "list", "totalCount, distinctCount, sum, avg, min, max, stddev, sumsq"),
    Param("aggrPeriodDuration", description="ISO 8601 duration such as PT1H, P1D, P1M"),
    Param("options", "list", "temporalValues, simplified, aggregatedValues, normalized, sysAttrs, count"),
    Param("format", description="normalized, temporalValues, simplified or aggregatedValues"),
    *(p for p in _VIEW if p.name in ("lang", "attrs", "pick", "omit", "datasetId", "jsonKeys", "expandValues", "local")),
)  # fmt: skip
_EVOLUTIONS = (
    Route("GET", f"{_TEMPORAL}/{{id}}", ENTITY_READ, "Retrieve the evolution of an entity (5.7.3)", temporal.get_evolution,
          data_class="personal", response=dict[str, Any], tag="ngsi-ld", in_snapshot=True, parameters=(*_TIMES, _TYPE, *_MAP)),
    Route("GET", _TEMPORAL, ENTITY_READ, "Query the evolution of entities (5.7.4)", temporal.query_evolutions,
          data_class="personal", response=list[dict[str, Any]], tag="ngsi-ld", in_snapshot=True,
          parameters=(*_TIMES, *_SELECTION, _ORDER[0], *_PAGE, *_MAP)),
    Route("POST", "/ngsi-ld/v1/temporal/entityOperations/query", ENTITY_READ,
          "Query the evolution of entities by a body (5.7.4, 6.24)", temporal.query_by_body, data_class="personal",
          request=dict[str, Any], response=list[dict[str, Any]], tag="ngsi-ld", in_snapshot=True, parameters=(*_TIMES, *_PAGE, *_MAP)),
    Route("POST", _TEMPORAL, ENTITY_WRITE, "Create the evolution of an entity, or add to it (5.6.11)",
          temporal.put_evolution, request=dict[str, Any], status=201, tag="ngsi-ld", tenant=MADE, parameters=(_LOCAL,)),
    Route("DELETE", f"{_TEMPORAL}/{{id}}", ENTITY_WRITE, "Delete the evolution of an entity (5.6.16)",
          temporal.delete_evolution, status=204, tag="ngsi-ld", parameters=(_LOCAL,)),
    Route("POST", f"{_TEMPORAL}/{{id}}/attrs", ENTITY_WRITE, "Add instances to an evolution (5.6.12)",
          temporal.add_attributes, request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_LOCAL,)),
    Route("DELETE", f"{_TEMPORAL}/{{id}}/attrs/{{attr}}", ENTITY_WRITE, "Delete the evolution of an attribute (5.6.13)",
          temporal.delete_attribute, status=204, tag="ngsi-ld",
          parameters=(_DATASET, Param("deleteAll", "boolean", "every instance"), _LOCAL)),
    Route("PATCH", _INSTANCE, ENTITY_WRITE, "Change an instance of an evolution (5.6.14)", temporal.change_instance,
          request=dict[str, Any], status=204, tag="ngsi-ld", parameters=(_LOCAL,)),
    Route("DELETE", _INSTANCE, ENTITY_WRITE, "Delete an instance of an evolution (5.6.15)", temporal.delete_instance,
          status=204, tag="ngsi-ld", parameters=(_LOCAL,)),
)  # fmt: skip

_MAPS = "/ngsi-ld/v1/entityMaps"
_ENTITY_MAPS = (
    Route("GET", _MAPS, ENTITY_READ, "Create an entity map of a query (5.14.4): one's own", entity_maps.create_map,
          response=dict[str, Any], status=201, tag="ngsi-ld", parameters=(*_SELECTION, *_VIEW, *_ORDER, _SPLIT, _LIFETIME)),
    Route("GET", "/ngsi-ld/v1/temporal/entityMaps", ENTITY_READ, "Create an entity map of a temporal query (5.14.5)",
          entity_maps.create_temporal_map, response=dict[str, Any], status=201, tag="ngsi-ld",
          parameters=(*_TIMES, *_SELECTION, _ORDER[0], _LIFETIME)),
    Route("GET", f"{_MAPS}/{{id}}", ENTITY_READ, "Retrieve an entity map (5.14.1): one's own", entity_maps.get_map,
          response=dict[str, Any], tag="ngsi-ld"),
    Route("PATCH", f"{_MAPS}/{{id}}", ENTITY_READ, "Let an entity map expire at another time (5.14.2)", entity_maps.update_map,
          request=dict[str, Any], status=204, tag="ngsi-ld"),
    Route("DELETE", f"{_MAPS}/{{id}}", ENTITY_READ, "Delete an entity map (5.14.3)", entity_maps.delete_map, status=204,
          tag="ngsi-ld"),
)  # fmt: skip

_SNAPSHOTS = "/ngsi-ld/v1/snapshots"
_SNAPSHOT_ROUTES = (
    Route("POST", _SNAPSHOTS, ENTITY_READ, "Freeze what queries find (5.16.1): with the caller's own eyes",
          snapshots.create_snapshot, request=dict[str, Any], status=201, tag="ngsi-ld", parameters=(_SPLIT,)),
    Route("DELETE", _SNAPSHOTS, ENTITY_READ, "Purge snapshots (5.16.7): one's own; who may write entities, all",
          snapshots.purge_snapshots, status=204, tag="ngsi-ld",
          parameters=(Param("q", description="condition over members of a Snapshot, such as snapshotPriority<5"),)),
    Route("GET", f"{_SNAPSHOTS}/{{id}}", ENTITY_READ, "Retrieve the status of a snapshot (5.16.3)", snapshots.get_snapshot,
          response=dict[str, Any], tag="ngsi-ld"),
    Route("PATCH", f"{_SNAPSHOTS}/{{id}}", ENTITY_READ, "Change priority, lifetime or endpoint of a snapshot (5.16.4)",
          snapshots.update_snapshot, request=dict[str, Any], response=dict[str, Any], tag="ngsi-ld"),
    Route("DELETE", f"{_SNAPSHOTS}/{{id}}", ENTITY_READ, "Delete a snapshot (5.16.5)", snapshots.delete_snapshot, status=204,
          tag="ngsi-ld"),
    Route("POST", f"{_SNAPSHOTS}/{{id}}/clone", ENTITY_READ, "Clone a snapshot (5.16.2)", snapshots.clone_snapshot,
          request=dict[str, Any], status=201, tag="ngsi-ld"),
)  # fmt: skip

NGSILD: tuple[Route, ...] = (
    *_ENTITIES,
    *_ATTRIBUTES,
    *_BATCHES,
    *_DISCOVERY,
    *_EVOLUTIONS,
    *_CONTEXTS,
    *_REGISTRATIONS,
    *_SUBSCRIPTIONS_TO,
    *_ENTITY_SUBSCRIPTIONS,
    *_ENTITY_MAPS,
    *_SNAPSHOT_ROUTES,
)
