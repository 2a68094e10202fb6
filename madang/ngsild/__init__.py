"""The NGSI-LD language (ETSI GS CIM 009): parse, render, query tree. Pure."""
