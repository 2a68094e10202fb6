"""NGSI-LD over HTTP (ETSI GS CIM 009): one module an area of the API. Rows: `madang.api.ngsild_routes`."""
