"""Sector services: one folder a sector, all of one shape (DESIGN §3). Each exports one value, `SERVICE`.

`madang.services.contract` says what such a value holds. A service imports the pure layers and maths libraries, never another service;
only `madang.app` knows which services there are.
"""
