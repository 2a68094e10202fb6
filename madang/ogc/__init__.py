"""The language of OGC API - Features, as far as it is pure: see README.md."""
