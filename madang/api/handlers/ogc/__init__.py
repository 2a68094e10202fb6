"""OGC API - Features: thin handlers over `madang.ogc` (the language) and a Look (what the caller may see)."""
