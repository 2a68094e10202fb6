"""The NGSI-LD rows of the route table (ETSI GS CIM 009 clause 6)."""

from typing import Any

from madang.access.roles import ENTITY_READ, ENTITY_WRITE, SOURCE_MANAGE, SOURCE_READ
from madang.api.handlers.ngsild import contexts, entities, provision, registrations
from madang.api.route import PUBLIC, Param, Route
from madang.hub.contexts import KINDS

_OFFSET = Param("offset", "integer", "entities to pass over", default=0, minimum=0, maximum=10_000_000)

_FORMAT = (
    Param("options", "list", "keyValues, simplified, concise, normalized, sysAttrs, count"),
    Param("format", description="representation", choices=("normalized", "concise", "simplified", "keyValues")),
    Param("attrs", "list", "attributes to answer with"),
    Param("local", "boolean", "only this broker; it is the only one for now"),
)
_LATER = ("pick", "omit", "lang", "join", "joinLevel", "containedBy", "datasetId", "entityMap", "jsonKeys",
                 "expandValues", "geometryProperty", "csf", "scopeQ", "orderBy", "collation")  # fmt: skip

_DETAILS = Param("details", "boolean", "all that is known of it")
_CONTEXTS = (
    Route("POST", "/ngsi-ld/v1/jsonldContexts", ENTITY_WRITE, "Host an @context (5.13.2)", contexts.add_context,
          request=dict[str, Any], status=201, tag="ngsi-ld"),
    Route("GET", "/ngsi-ld/v1/jsonldContexts", ENTITY_READ, "List @contexts (5.13.3)", contexts.list_contexts,
          response=list[Any], tag="ngsi-ld", parameters=(_DETAILS, Param("kind", description="only these", choices=KINDS))),
    Route("GET", "/ngsi-ld/v1/jsonldContexts/{id}", PUBLIC, "Serve an @context (5.13.4): who got an answer in it may read it",
          contexts.serve_context, data_class="public", response=dict[str, Any], tag="ngsi-ld", parameters=(_DETAILS,)),
    Route("DELETE", "/ngsi-ld/v1/jsonldContexts/{id}", ENTITY_WRITE, "Delete an @context, or fetch it again (5.13.5)",
          contexts.delete_context, status=204, tag="ngsi-ld",
          parameters=(Param("reload", "boolean", "fetch a cached one again instead of deleting it"),)),
)  # fmt: skip

_SOURCE = (Param("options", "list", "sysAttrs, count", choices=("sysAttrs", "count")),)
_REGISTRATIONS = (
    Route("POST", "/ngsi-ld/v1/csourceRegistrations", SOURCE_MANAGE, "Register a context source (5.9.2)",
          registrations.create_registration, request=dict[str, Any], status=201, tag="ngsi-ld"),
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
                            maximum=registrations.LIMIT_MAX), _OFFSET)),
    Route("GET", "/ngsi-ld/v1/csourceRegistrations/{id}", SOURCE_READ, "Retrieve a registration (5.10.1)",
          registrations.get_registration, response=dict[str, Any], tag="ngsi-ld", parameters=_SOURCE),
    Route("PATCH", "/ngsi-ld/v1/csourceRegistrations/{id}", SOURCE_MANAGE, "Change a registration (5.9.3)",
          registrations.update_registration, request=dict[str, Any], status=204, tag="ngsi-ld"),
    Route("DELETE", "/ngsi-ld/v1/csourceRegistrations/{id}", SOURCE_MANAGE, "Delete a registration (5.9.4)",
          registrations.delete_registration, status=204, tag="ngsi-ld"),
)  # fmt: skip

NGSILD: tuple[Route, ...] = (
    Route("GET", "/ngsi-ld/v1/entities/{id}", ENTITY_READ, "Retrieve an entity (5.7.1)", raw=entities.get_entity,
          data_class="personal", response=dict[str, Any], tag="ngsi-ld",
          parameters=(*_FORMAT, Param("type", "list", "types that it may have")), not_yet=_LATER),
    Route("GET", "/ngsi-ld/v1/entities", ENTITY_READ, "Query entities (5.7.2)", entities.query_entities,
          data_class="personal", response=list[dict[str, Any]], tag="ngsi-ld", not_yet=_LATER,
          parameters=(Param("type", description="type, or several apart by commas"), Param("id", "list", "ids"),
                      Param("idPattern", description="regular expression"),
                      Param("q", description="query language of clause 4.9"),
                      Param("georel", description="near;maxDistance==m, within, intersects, …"),
                      Param("geometry"), Param("coordinates"), Param("geoproperty"),
                      Param("count", "boolean", "answer NGSILD-Results-Count"), *_FORMAT,
                      Param("limit", "integer", "entities at most", default=100, minimum=0, maximum=entities.LIMIT_MAX), _OFFSET)),
    Route("POST", "/ngsi-ld/v1/entities", ENTITY_WRITE, "Create an entity (5.6.1)", provision.create_entity,
          request=dict[str, Any], status=201, tag="ngsi-ld", parameters=(_FORMAT[3],)),
    Route("DELETE", "/ngsi-ld/v1/entities/{id}", ENTITY_WRITE, "Delete an entity (5.6.6)", provision.delete_entity,
          status=204, tag="ngsi-ld", parameters=(_FORMAT[3],), not_yet=("type",)),
    Route("PATCH", "/ngsi-ld/v1/entities/{id}", ENTITY_WRITE, "Merge an entity (5.6.17): 409 for a record",
          provision.merge_entity, request=dict[str, Any], status=204, tag="ngsi-ld",
          not_yet=("options", "format", "observedAt", "lang", "type")),
    Route("POST", "/ngsi-ld/v1/entities/{id}/attrs", ENTITY_WRITE, "Append attributes (5.6.3)",
          provision.append_attributes, request=dict[str, Any], status=204, tag="ngsi-ld",
          parameters=(Param("options", "list", "noOverwrite"), _FORMAT[3]), not_yet=("type",)),
    Route("PATCH", "/ngsi-ld/v1/entities/{id}/attrs", ENTITY_WRITE, "Update attributes (5.6.2)",
          provision.update_attributes, request=dict[str, Any], status=204, tag="ngsi-ld",
          parameters=(_FORMAT[3],), not_yet=("type",)),
    Route("POST", "/ngsi-ld/v1/entityOperations/upsert", ENTITY_WRITE, "Create or change many (5.6.8)", provision.upsert,
          request=list[dict[str, Any]], response=list[str], status=201, tag="ngsi-ld",
          parameters=(Param("options", "list", "update, replace"), _FORMAT[3])),
    Route("GET", "/ngsi-ld/v1/types", ENTITY_READ, "Entity types that there are (5.7.5)", entities.list_types,
          response=dict[str, Any], tag="ngsi-ld", parameters=(_FORMAT[3],), not_yet=("details",)),
    *_CONTEXTS,
    *_REGISTRATIONS,
)  # fmt: skip
