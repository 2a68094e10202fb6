"""The core @context of NGSI-LD v1.9 as data (ETSI GS CIM 009 annex B; published at `CORE_CONTEXT`). Pure.

Its terms are facts of the standard. They are built in, so that nothing is fetched to understand a document, and
written as groups, because most of them follow one pattern. A test compares `CORE_TERMS` with the published file.
"""

import re
from typing import Any

CORE_CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
CORE_VOCABULARY = "https://uri.etsi.org/ngsi-ld/"
DEFAULT_VOCABULARY = "https://uri.etsi.org/ngsi-ld/default-context/"
GEOJSON_VOCABULARY = "https://purl.org/geojson/vocab#"
CORE_PREFIXES = {"ngsi-ld": CORE_VOCABULARY, "geojson": GEOJSON_VOCABULARY}

_ADDRESS = re.compile(r"https?://uri\.etsi\.org/ngsi-ld/v1/ngsi-ld-core-context(-v1\.[0-9]{1,2})?\.jsonld\Z")

# Terms that stand for `ngsi-ld:<term>`, by what else their definition says.
_PLAIN = """
    Attribute AttributeList ContextSourceIdentity ContextSourceNotification ContextSourceRegistration Date
    DateTime EntityMap EntityType EntityTypeInfo EntityTypeList ExecutionResultDetails GeoProperty JsonProperty
    LanguageProperty ListProperty ListRelationship Notification Property Relationship Snapshot
    SnapshotNotification Subscription TemporalProperty Time VocabProperty accept aggrParams aggrMethods
    aggrPeriodDuration attributeCount attributeDetails attrs cacheDuration collation contextSourceAlias
    contextSourceInfo contextSourceUptime cooldown csf data detail endpoint entities entity entityCount error
    errors expandValues format geoQ geoproperty georel idPattern information isActive join jsonKeys
    jsonldContext lang lastN linkedMaps localOnly location management managementInterval mode ngsildConformance
    notification notificationTrigger notifierInfo notUpdated observationInterval observationSpace omit
    operations operationSpace ordering pick q reason receiverInfo refreshRate registrationId registrationName
    resultStatus scope scopeQ showChanges snapshotId snapshotLifetime snapshotPriority snapshotStatus status
    subscriptionName sysAttrs temporalQ throttling timeInterval timeout timeproperty timerel timesFailed
    timesSent triggerReason unchanged unitCode updated uri
"""
_VOCAB = """
    attributeList attributeName attributeNames attributeTypes attributes propertyNames relationshipNames
    typeList typeName typeNames watchedAttributes
"""
_ID = """
    datasetId entityId instanceId subscriptionId success tenant
"""
_DATE_TIME = """
    contextSourceTimeAt createdAt deletedAt endAt endTimeAt expiresAt lastFailure lastNotification lastSuccess
    lastUsedAt modifiedAt notifiedAt observedAt startAt timeAt
"""
_JSON = """
    contextSourceExtras problemDetails
"""
_LIST = """
    avg distinctCount entityList jsons max min orderBy snapshotQueries snapshotQueriesDetails
    snapshotTemporalQueries snapshotTemporalQueriesDetails stddev sum sumsq totalCount
"""
_GEOJSON = """
    Feature FeatureCollection GeometryCollection LineString MultiLineString MultiPoint MultiPolygon Point
    Polygon geometry properties
"""
"""Terms that stand for `geojson:<term>`."""

_SEALED = {
    "entityIdSealed": "ngsi-ld:entityIdSealed",
    "entityTypeSealed": {"@id": "ngsi-ld:entityTypeSealed", "@type": "@vocab"},
}
# fmt: off
_ODD: dict[str, Any] = {
    "bbox": {"@container": "@list", "@id": "geojson:bbox"},
    "containedBy": "ngsi-ld:isContainedBy",
    "coordinates": {"@container": "@list", "@id": "geojson:coordinates"},
    "dataset": {"@id": "ngsi-ld:hasDataset", "@container": "@index"},
    "description": "http://purl.org/dc/terms/description",
    "entityMap": {"@id": "ngsi-ld:hasEntityMap", "@container": "@index"},
    "entityMapLifetime": "ngsi-ld:hasEntityMapLifetime",
    "features": {"@container": "@set", "@id": "geojson:features"},
    "joinLevel": "ngsi-ld:hasJoinLevel",
    "json": {"@id": "ngsi-ld:hasJSON", "@type": "@json"},
    "key": "ngsi-ld:hasKey",
    "languageMap": {"@id": "ngsi-ld:hasLanguageMap", "@container": "@language"},
    "languageMaps": {"@id": "ngsi-ld:hasLanguageMaps", "@container": "@list"},
    "langString": "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString",
    "ngsildproof": {"@id": "ngsi-ld:ngsildproof", "@context": [_SEALED, "https://w3id.org/security/data-integrity/v2"]},
    "object": {"@id": "ngsi-ld:hasObject", "@type": "@id"},
    "objectList": {"@id": "ngsi-ld:hasObjectList", "@container": "@list"},
    "objectLists": {"@id": "ngsi-ld:hasObjectLists", "@container": "@list"},
    "objects": {"@id": "ngsi-ld:hasObjects", "@container": "@list"},
    "objectType": {"@id": "ngsi-ld:hasObjectType", "@type": "@vocab"},
    "previousJson": {"@id": "ngsi-ld:hasPreviousJson", "@type": "@json"},
    "previousLanguageMap": {"@id": "ngsi-ld:hasPreviousLanguageMap", "@container": "@language"},
    "previousObject": {"@id": "ngsi-ld:hasPreviousObject", "@type": "@id"},
    "previousObjectList": {"@id": "ngsi-ld:hasPreviousObjectList", "@container": "@list"},
    "previousValue": "ngsi-ld:hasPreviousValue",
    "previousValueList": {"@id": "ngsi-ld:hasPreviousValueList", "@container": "@list"},
    "previousVocab": {"@id": "ngsi-ld:hasPreviousVocab", "@type": "@vocab"},
    "splitEntities": "ngsi-ld:hasSplitEntities",
    "title": "http://purl.org/dc/terms/title",
    "value": "ngsi-ld:hasValue",
    "valueList": {"@id": "ngsi-ld:hasValueList", "@container": "@list"},
    "valueLists": {"@id": "ngsi-ld:hasValueLists", "@container": "@list"},
    "values": {"@id": "ngsi-ld:hasValues", "@container": "@list"},
    "valueType": {"@id": "ngsi-ld:hasValueType", "@type": "@vocab"},
    "vocab": {"@id": "ngsi-ld:hasVocab", "@type": "@vocab"},
    "vocabs": {"@id": "ngsi-ld:hasVocabs", "@container": "@list"},
}
# fmt: on
"""Terms whose IRI differs from their name, or whose definition is like no other's."""


def is_core_context(address: object) -> bool:
    """True for the address of any published version of the core @context: all are answered with the one built in, whose
    terms are a superset of what the earlier ones use.

    >>> is_core_context("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.7.jsonld")
    True
    """
    return isinstance(address, str) and _ADDRESS.match(address) is not None


def _core_terms() -> dict[str, Any]:
    terms: dict[str, Any] = {"@version": 1.1, "@protected": True, **CORE_PREFIXES, "id": "@id", "type": "@type"}
    terms |= {term: f"ngsi-ld:{term}" for term in _PLAIN.split()}
    terms |= {term: f"geojson:{term}" for term in _GEOJSON.split()}
    groups = ((_VOCAB, "@type", "@vocab"), (_ID, "@type", "@id"), (_DATE_TIME, "@type", "DateTime"),
              (_JSON, "@type", "@json"), (_LIST, "@container", "@list"))  # fmt: skip
    for names, key, value in groups:
        terms |= {term: {"@id": f"ngsi-ld:{term}", key: value} for term in names.split()}
    return {**terms, **_ODD, "@vocab": DEFAULT_VOCABULARY}


CORE_TERMS: dict[str, Any] = _core_terms()
"""The value of @context in the published document."""
