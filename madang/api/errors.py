"""The one error shape of the API: RFC 9457 problem details, whatever went wrong and wherever.

    {"type": "urn:madang:error:<code>", "title": …, "status": …, "detail": what to do, "code": …, …}

Under /ngsi-ld the type is the standard's URI (ETSI GS CIM 009 clause 6.3.2), and the media type the usual one of JSON: clause 5.5.3
asks for that, so that old clients are not broken.
"""

from typing import Any

import msgspec

from madang.access.roles import UnknownRole
from madang.hub.entities import EntityError, EntityExists, EntityForbidden, EntityGoverned, EntityWrong
from madang.hub.ingest import Overloaded
from madang.hub.ports import StoreClosed, StoreError, StoreFull
from madang.hub.queries.errors import BadQuestion, NotFound, Refused
from madang.hub.record_errors import (
    BadArguments,
    Forbidden,
    IdempotencyMismatch,
    NotAllowed,
    RecordError,
    RecordNotFound,
    UnknownRecordType,
    VersionConflict,
)
from madang.hub.sources import SourceNotFound
from madang.hub.tokens import NotAuthenticated, TokenExists, TokenForbidden, TokenNotFound, TooManyFailures
from madang.hub.words import Words
from madang.model.time import render_instant
from madang.ngsild.errors import NgsiLdError
from madang.ogc.errors import OgcError

MEDIA_TYPE = "application/problem+json"
NGSILD_MEDIA_TYPE = "application/json"
NGSILD_ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"

TITLES = {
    400: "The request is wrong",
    401: "Not logged in",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    406: "No such representation",
    408: "The request took too long to arrive",
    409: "Not possible as things stand",
    411: "Length required",
    413: "The request is too large",
    415: "This media type is not understood",
    421: "Wrong host",
    422: "The request cannot be carried out",
    429: "Too many requests",
    431: "The headers are too large",
    500: "Something failed here",
    501: "Not available yet",
    503: "Not available at the moment",
    504: "Another server did not answer",
    507: "The disk is full",
    508: "Loop detected",
}
_NGSILD_STATUS = {
    "InvalidRequest": 400,
    "BadRequestData": 400,
    "AlreadyExists": 409,
    "Conflict": 409,
    "OperationNotSupported": 422,
    "ResourceNotFound": 404,
    "InternalError": 500,
    "TooComplexQuery": 403,
    "TooManyResults": 403,
    "LdContextNotAvailable": 504,
    "NoMultiTenantSupport": 501,
    "NonexistentTenant": 404,
    "NotYet": 501,
}
_NGSILD_KIND = {400: "BadRequestData", 404: "ResourceNotFound", 409: "Conflict", 500: "InternalError"}


class Problem(Exception):
    """An answer that is an error. Raise it anywhere in a handler."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        kind: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.kind = kind
        """Last part of the standard's error URI; None outside NGSI-LD."""
        self.headers = headers
        self.extra = extra

    def body(self, *, ngsild: bool = False) -> bytes:
        """The problem as JSON; `ngsild` names it by the standard's URI where it has one."""
        return msgspec.json.encode(self.document(ngsild=ngsild))

    def document(self, *, ngsild: bool = False) -> dict[str, Any]:
        """The problem as a JSON value."""
        kind = (self.kind or _NGSILD_KIND.get(self.status)) if ngsild else None
        return {
            "type": f"{NGSILD_ERRORS}{kind}" if kind else f"urn:madang:error:{self.code}",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }


def problem_of(error: Exception, words: Words, lang: str) -> Problem | None:
    """The answer to a use case's error; None for an unexpected one, which is ours to mend (500)."""
    match error:
        case Problem():
            return error
        case NgsiLdError():
            return _of_ngsild(error)
        case NotAuthenticated():
            return Problem(
                401, "not-authenticated", f"{error}.", headers=(("WWW-Authenticate", 'Bearer realm="madang"'),)
            )
        case TooManyFailures():
            wait = str(error.wait_s)
            return Problem(429, "too-many-failures", f"{error}.", headers=(("Retry-After", wait),))
        case RecordError():
            return _of_record(error, words, lang)
        case EntityError():
            return _of_entity(error)
        case NotFound():
            return Problem(404, "not-found", str(error))
        case BadQuestion():
            return Problem(400, "bad-parameter", f"Parameter {error}.", parameter=error.name)
        case OgcError():
            return Problem(400, "bad-parameter", f"Parameter {error.name}: {error}.", parameter=error.name)
        case Overloaded():
            return Problem(429, "overloaded", f"{error}.", headers=(("Retry-After", "1"),))
        case SourceNotFound():
            return Problem(404, "not-found", f"{error.args[0]}.")
        case Refused():
            return Problem(403, "forbidden", str(error))
        case TokenForbidden():
            return Problem(403, "forbidden", f"{error}.")
        case TokenExists():
            return Problem(409, "token-exists", f"{error}.")
        case TokenNotFound():
            return Problem(404, "not-found", f"{error.args[0]}.")
        case UnknownRole():
            return Problem(400, "unknown-role", f"{error}.")
        case StoreFull():
            return Problem(507, "disk-full", f"Nothing was stored: {error}", headers=(("Retry-After", "30"),))
        case StoreClosed():
            return Problem(
                503, "shutting-down", "The server is shutting down; ask again.", headers=(("Retry-After", "5"),)
            )
        case StoreError():
            return Problem(503, "store-failed", f"Nothing was stored: {error}", headers=(("Retry-After", "5"),))
    return None


def _of_entity(error: EntityError) -> Problem:
    """The answer to an entity use case's error."""
    if isinstance(error, EntityForbidden):
        return Problem(403, "forbidden", f"{error}.")
    if isinstance(error, EntityExists):
        return Problem(409, "already-exists", f"{error}.", kind="AlreadyExists")
    if isinstance(error, EntityGoverned):
        return Problem(409, "governed", f"{error}.", kind="Conflict")
    if isinstance(error, EntityWrong):
        return Problem(400, "bad-request-data", f"{error}.", kind="BadRequestData")
    return Problem(404, "not-found", f"{error}.", kind="ResourceNotFound")


def _of_ngsild(error: NgsiLdError) -> Problem:
    status = _NGSILD_STATUS.get(error.kind, 400)
    kind = None if error.kind == "NotYet" else error.kind
    code = "not-yet" if error.kind == "NotYet" else "bad-request-data"
    problem = Problem(status, code, str(error), kind=kind)
    if error.where:
        problem.extra["where"] = error.where
    return problem


def _of_record(error: RecordError, words: Words, lang: str) -> Problem:
    match error:
        case RecordNotFound():
            return Problem(404, "not-found", f"There is no record {error.record_id}.")
        case UnknownRecordType():
            return Problem(404, "unknown-record-type", f"There is no record type {error.type}.")
        case Forbidden():
            return Problem(
                403, "forbidden", f"This needs the permission {error.permission}.", permission=error.permission
            )
        case VersionConflict():
            changed = [
                {
                    "version": version.record.version,
                    "action": version.transition.action,
                    "actor": version.transition.actor,
                    "on_behalf_of": version.transition.on_behalf_of,
                    "at": render_instant(version.at),
                    "from_state": version.transition.from_state,
                    "to_state": version.transition.to_state,
                }
                for version in error.changed
            ]
            return Problem(
                409,
                "version-conflict",
                "The record moved on since you looked at it: see `changed`, then decide again.",
                current_version=error.current.version,
                current_state=error.current.state,
                changed=changed,
            )
        case NotAllowed():
            reasons = [words.say(reason, lang) for reason in error.reasons]
            codes = [reason.code for reason in error.reasons]
            return Problem(409, "not-allowed", " ".join(reasons), reasons=reasons, reason_codes=codes)
        case BadArguments():
            errors = [
                {"name": e.name, "reason": words.say(e.reason, lang), "code": e.reason.code} for e in error.errors
            ]
            detail = "; ".join(f"{e['name']}: {e['reason']}" for e in errors)
            return Problem(422, "bad-arguments", detail, errors=errors)
        case IdempotencyMismatch():
            return Problem(422, "idempotency-key-reused", f"{error}.")
    return Problem(409, "record-error", str(error))
