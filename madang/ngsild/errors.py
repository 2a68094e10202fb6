"""The one error that the NGSI-LD language raises: what is wrong, where, and which of the standard's error types it
is."""

BAD_REQUEST_DATA = "BadRequestData"
INVALID_REQUEST = "InvalidRequest"
OPERATION_NOT_SUPPORTED = "OperationNotSupported"
ALREADY_EXISTS = "AlreadyExists"
CONFLICT = "Conflict"
RESOURCE_NOT_FOUND = "ResourceNotFound"
LD_CONTEXT_NOT_AVAILABLE = "LdContextNotAvailable"
TOO_COMPLEX_QUERY = "TooComplexQuery"
NO_MULTI_TENANT_SUPPORT = "NoMultiTenantSupport"
NONEXISTENT_TENANT = "NonexistentTenant"
NOT_YET = "NotYet"
"""Ours: the standard has it, Madang does not have it yet. Answered as 501."""


class NgsiLdError(ValueError):
    """The sender's mistake. `kind` is the last part of the standard's error URI (ETSI GS CIM 009 clause 6.3.2),
    `where` a JSON-path-like place in a document or ``q:12`` for a character of a query; empty when it concerns the
    whole."""

    def __init__(self, detail: str, where: str = "", kind: str = BAD_REQUEST_DATA) -> None:
        super().__init__(f"{where}: {detail}" if where else detail)
        self.detail = detail
        self.where = where
        self.kind = kind
