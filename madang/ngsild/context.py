"""JSON-LD @contexts as NGSI-LD uses them (ETSI GS CIM 009 clause 5.5.7; JSON-LD 1.1 sections 4.1, 5.2, 6.2). Pure.

`compile_context` takes the members of an @context in order, addresses already replaced by what they hold
(`madang.hub.contexts` does that), and gives a `Context` that translates names both ways:

- a document's name to its IRI (`expand_term`) and to the name that is stored (`stored_name`),
- an IRI to the reader's name (`compact_iri`), a stored name to the reader's name (`shown_name`).

The core @context is first and last: its terms and its default vocabulary always win. Names, not documents, are
translated: what a value's coercion does to a document is said by `coercion`, and NGSI-LD's own members need none of it.

Apart from PyLD, the oracle of the tests: where several terms of a context stand for one IRI, JSON-LD picks by the kind of the
value. We pick the term without a type and a container, then the shortest, then the first by letters: an
attribute gets the same name whatever its value is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from madang.ngsild.core_context import CORE_CONTEXT, CORE_TERMS, DEFAULT_VOCABULARY
from madang.ngsild.errors import BAD_REQUEST_DATA, NgsiLdError
from madang.ngsild.names import check_context, check_name, compact, expand, is_uri

TERMS_MAX = 20_000
"""Terms of one @context. schema.org has about 3,000, all Smart Data Models in one have about 12,000."""
TERM_LENGTH_MAX = 1_024
CACHE_MAX = 8_192
"""Names remembered per direction and context; what comes after that is worked out each time. An attacker's random
names cost time, not memory."""
PREFIX_DEPTH_MAX = 32
"""Prefixes defined by prefixes; in use are two."""

# fmt: off
_KEYWORDS = frozenset({
    "@base", "@container", "@context", "@direction", "@graph", "@id", "@import", "@included", "@index", "@json",
    "@language", "@list", "@nest", "@none", "@prefix", "@propagate", "@protected", "@reverse", "@set", "@type", "@value",
    "@version", "@vocab",
})
_DEFINITION_MEMBERS = frozenset({
    "@id", "@reverse", "@type", "@container", "@context", "@language", "@direction", "@index", "@nest", "@prefix",
    "@protected",
})
# fmt: on
_GEN_DELIMS = ":/?#[]@"


class Term:
    """A term's definition. `iri` None: the term was taken out with null."""

    __slots__ = ("container", "iri", "prefix", "protected", "reverse", "type")

    def __init__(self, iri: str | None, *, prefix: bool = False, type_: str | None = None) -> None:
        self.iri = iri
        self.prefix = prefix
        """May stand before a colon."""
        self.type = type_
        """``@id``, ``@vocab``, ``@json``, ``@none`` or the IRI of a data type."""
        self.container: tuple[str, ...] = ()
        self.reverse = False
        self.protected = False

    def same(self, other: "Term") -> bool:
        """Equal but for protection: such a redefinition is allowed."""
        mine = (self.iri, self.prefix, self.type, self.container, self.reverse)
        return mine == (other.iri, other.prefix, other.type, other.container, other.reverse)


class Context:
    """A compiled @context. Immutable but for its caches; one object may serve all threads.

    Cost: a dictionary look-up for a name that was seen before."""

    def __init__(self, terms: Mapping[str, Term], vocabulary: str, value: Any, *, core: bool = False) -> None:
        self.value = value
        """What the request gave: the value of @context for an answer in application/ld+json."""
        self.is_core = core
        """Nothing but the core: stored names are shown names."""
        self._terms = terms
        self._vocabulary = vocabulary
        self._by_iri: dict[str, str] = {}
        self._prefixes: list[tuple[str, str]] = []
        for name in sorted(terms, key=lambda n: (terms[n].type is not None or bool(terms[n].container), len(n), n)):
            term = terms[name]
            if term.iri is None or term.iri in _KEYWORDS or term.reverse:
                continue
            self._by_iri.setdefault(term.iri, name)
            if term.prefix:
                self._prefixes.append((term.iri, name))
        self._expanded: dict[str, str | None] = {}
        self._compacted: dict[str, str] = {}
        self._stored: dict[str, str] = {}
        self._shown: dict[str, str] = {}

    def expand_term(self, name: str) -> str | None:
        """The IRI of a type, attribute or vocabulary word: a term, a compact IRI, or an IRI (which stays as it is). None:
        the context takes the term out (null). A keyword's alias gives the keyword.

        >>> CORE.expand_term("speed")
        'https://uri.etsi.org/ngsi-ld/default-context/speed'
        """
        try:
            return self._expanded[name]
        except KeyError:
            iri = _expand(self._terms, self._vocabulary, name)
            _remember(self._expanded, name, iri)
            return iri

    def compact_iri(self, iri: str) -> str:
        """The shortest name of an IRI under this context: a term, a word of the default vocabulary, a compact IRI; the IRI
        itself when nothing fits.

        >>> CORE.compact_iri("https://uri.etsi.org/ngsi-ld/default-context/speed"), CORE.compact_iri("https://a.b/c")
        ('speed', 'https://a.b/c')
        """
        try:
            return self._compacted[iri]
        except KeyError:
            return str(_remember(self._compacted, iri, self._compact(iri)))

    def _compact(self, iri: str) -> str:
        term = self._by_iri.get(iri)
        if term is not None:
            return term
        if self._vocabulary and iri.startswith(self._vocabulary) and len(iri) > len(self._vocabulary):
            rest = iri[len(self._vocabulary) :]
            if rest not in self._terms:
                return rest
        best = ""
        for start, prefix in self._prefixes:
            if iri.startswith(start) and len(iri) > len(start):
                name = f"{prefix}:{iri[len(start) :]}"
                if name not in self._terms and (not best or (len(name), name) < (len(best), best)):
                    best = name
        return best or iri

    def coercion(self, name: str) -> str | None:
        """What the context says of a term's plain values: ``@id``, ``@vocab``, ``@json``, the IRI of a data type, or None."""
        term = self._terms.get(name)
        return None if term is None or term.type == "@none" else term.type

    def stored_name(self, name: Any, where: str = "") -> str:
        """A type or attribute name of a document as it is stored (see `madang.ngsild.names`). Raises NgsiLdError: not a name,
        or one that this context takes out or makes a keyword.

        >>> CORE.stored_name("https://uri.etsi.org/ngsi-ld/default-context/speed")
        'speed'
        """
        try:
            return self._stored[name]
        except (KeyError, TypeError):
            pass
        if self.is_core:
            return str(_remember(self._stored, name, check_name(name, where)))
        if not isinstance(name, str) or ":" not in name or len(name) > TERM_LENGTH_MAX:
            check_name(name, where)
        iri = self.expand_term(name)
        if iri == self._vocabulary + name and ":" in name:
            check_name(name, where)  # Neither a compact IRI of this context nor an IRI.
        if iri is None or iri in _KEYWORDS:
            raise NgsiLdError(f"the @context gives the name {name[:80]!r} no meaning of its own ({iri})", where)
        return str(_remember(self._stored, name, check_name(iri, where)))

    def shown_name(self, stored: str) -> str:
        """A stored name as the reader's @context compacts it.

        >>> CORE.shown_name("speed")
        'speed'
        """
        if self.is_core:
            return stored
        try:
            return self._shown[stored]
        except KeyError:
            return str(_remember(self._shown, stored, self.compact_iri(expand(stored))))

    def stored_word(self, word: str) -> str:
        """A value that is a word of a vocabulary (a VocabProperty's vocab, objectType, valueType) as it is stored: like a
        name, but any text will do."""
        if self.is_core and ":" not in word:
            return word
        iri = self.expand_term(word)
        return word if iri is None or iri in _KEYWORDS else _short_word(iri)

    def shown_word(self, stored: str) -> str:
        """A stored word as the reader's @context compacts it."""
        if self.is_core:
            return stored
        iri = stored if is_uri(stored) else CORE.expand_term(stored)
        return stored if iri is None else self.compact_iri(iri)


def _short_word(iri: str) -> str:
    if iri.startswith(DEFAULT_VOCABULARY):
        rest = iri[len(DEFAULT_VOCABULARY) :]
        return rest if rest and rest not in CORE_TERMS and ":" not in rest else iri
    return compact(iri)


def _remember(cache: dict[str, Any], key: str, value: Any) -> Any:
    """The value, kept while there is room."""
    if len(cache) < CACHE_MAX:
        cache[key] = value
    return value


def _expand(terms: Mapping[str, Term], vocabulary: str, name: str) -> str | None:
    """IRI expansion (JSON-LD 1.1 API 5.2.2) with vocab = true."""
    if name in _KEYWORDS:
        return name
    if _looks_like_keyword(name):
        return None
    term = terms.get(name)
    if term is not None:
        return term.iri
    colon = name.find(":", 1)
    if colon > 0:
        prefix, suffix = name[:colon], name[colon + 1 :]
        if prefix == "_" or suffix.startswith("//"):
            return name
        before = terms.get(prefix)
        if before is not None and before.prefix and before.iri is not None:
            return before.iri + suffix
        if is_uri(name):
            return name
    return vocabulary + name


def _looks_like_keyword(name: str) -> bool:
    return name.startswith("@") and name[1:].isascii() and name[1:].isalpha()


# ── compiling ───────────────────────────────────────────────────────────────


def check_members(value: Any, where: str = "@context") -> list[Any]:
    """The members of an @context: addresses and objects, in order. Raises NgsiLdError for anything else (clause 5.5.4)."""
    check_context(value, where)
    return list(value) if isinstance(value, list) else [value]


def compile_context(members: Sequence[Mapping[str, Any]], value: Any = None) -> Context:
    """The context that these objects make, one after the other, between the core and the core. Raises NgsiLdError
    (BadRequestData) saying which term is wrong and why. `value`: what the document's @context was.

    >>> c = compile_context([{"ex": "https://example.org/", "speed": "ex:speed"}])
    >>> c.expand_term("speed"), c.compact_iri("https://example.org/speed"), c.stored_name("ex:colour")
    ('https://example.org/speed', 'speed', 'https://example.org/colour')
    """
    compiler = _Compiler()
    for member in members:
        compiler.apply(member)
    if not compiler.changed:
        return CORE if value is None else Context(_CORE_TERMS, DEFAULT_VOCABULARY, value, core=True)
    return Context({**compiler.terms, **_CORE_TERMS}, DEFAULT_VOCABULARY, value)


class _Compiler:
    """Context processing and term definitions (JSON-LD 1.1 API 4.1.2, 4.2.2) for what names need."""

    def __init__(self, terms: Mapping[str, Term] | None = None) -> None:
        self.terms: dict[str, Term] = dict(_CORE_TERMS if terms is None else terms)
        self.vocabulary = DEFAULT_VOCABULARY
        self.changed = False
        self._local: Mapping[str, Any] = {}
        self._defined: dict[str, bool] = {}
        self._depth = 0
        self._protected = False

    def apply(self, local: Mapping[str, Any]) -> None:
        """One object of an @context."""
        if not isinstance(local, Mapping):
            raise NgsiLdError("must be a JSON object", "@context")
        if len(local) + len(self.terms) > TERMS_MAX:
            raise NgsiLdError(f"has more than {TERMS_MAX} terms", "@context")
        if "@import" in local:
            raise NgsiLdError("@import is not supported: put the address into the @context array", "@context.@import")
        version = local.get("@version", 1.1)
        if isinstance(version, bool) or version != 1.1:
            raise NgsiLdError("must be 1.1", "@context.@version")
        protected = local.get("@protected", False)
        if not isinstance(protected, bool):
            raise NgsiLdError("must be true or false", "@context.@protected")
        self._local, self._defined, self._protected, self._depth = local, {}, protected, 0
        if "@vocab" in local:
            self.vocabulary = self._vocab(local["@vocab"])
        for name in local:
            if name not in _KEYWORDS:
                self._define(name)
            elif name not in ("@version", "@protected", "@vocab", "@base", "@language", "@direction", "@propagate"):
                raise self._wrong(name, "a keyword cannot be defined anew")
        self.changed = self.changed or any(name not in _CORE_TERMS for name in local if name not in _KEYWORDS)

    def _vocab(self, value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong("@vocab", "must be an IRI")
        expanded = _expand(self.terms, self.vocabulary, value) if value else self.vocabulary
        if expanded is None or (value and not (is_uri(expanded) or expanded.startswith("_:"))):
            raise self._wrong("@vocab", f"not an IRI: {value[:80]!r}")
        return expanded

    def _define(self, name: str) -> None:
        if name in self._defined:
            if not self._defined[name]:
                raise self._wrong(name, "is defined by itself")
            return
        if not name or len(name) > TERM_LENGTH_MAX:
            raise self._wrong(name, f"a term has 1 to {TERM_LENGTH_MAX} characters")
        if _looks_like_keyword(name):
            return  # Reserved for later versions of JSON-LD, which says to ignore it (4.2.2 step 5).
        self._depth += 1
        if self._depth > PREFIX_DEPTH_MAX:
            raise self._wrong(name, "its prefixes are nested too deeply")
        self._defined[name] = False
        before = self.terms.pop(name, None)
        term = self._term(name, self._local[name])
        if before is not None and before.protected and name not in _CORE_TERMS:
            if term is None or not term.same(before):
                raise self._wrong(name, "an earlier @context protects this term")
            term = before
        if name in _CORE_TERMS:
            term = _CORE_TERMS[name]  # 5.5.7: nobody redefines the core
        if term is not None:
            self.terms[name] = term
        self._defined[name] = True
        self._depth -= 1

    def _term(self, name: str, value: Any) -> Term | None:
        """The definition; None when JSON-LD says to ignore it."""
        simple = isinstance(value, str)
        if value is None or simple:
            value = {"@id": value}
        if not isinstance(value, Mapping):
            raise self._wrong(name, "a term's definition is a text, an object or null")
        if "@context" in value and name not in CORE_TERMS:
            raise self._wrong(name, "has an @context of its own, which NGSI-LD does not allow (clause 5.5.7)")
        unknown = [key for key in value if key not in _DEFINITION_MEMBERS]
        if unknown:
            raise self._wrong(name, f"a term's definition has no {unknown[0][:40]!r}")
        term = Term(None, type_=self._type(name, value.get("@type")))
        term.protected = bool(value.get("@protected", self._protected))
        container = value.get("@container")
        if container is not None:
            names = container if isinstance(container, list) else [container]
            if not all(isinstance(item, str) and item in _KEYWORDS for item in names):
                raise self._wrong(name, "its @container is not one")
            term.container = tuple(sorted(names))
        if "@reverse" in value:
            term.reverse = True
            term.iri = self._iri(name, value["@reverse"])
            return term
        id_ = value.get("@id")
        if "@id" in value and id_ is None:
            return term
        if id_ is not None and id_ != name:
            if isinstance(id_, str) and id_ not in _KEYWORDS and _looks_like_keyword(id_):
                return None
            term.iri = self._iri(name, id_)
            if (":" in name[1:-1] or "/" in name) and self._without(name) != term.iri:
                raise self._wrong(name, "looks like an IRI and would stand for another")
            plain = ":" not in name and "/" not in name
            term.prefix = simple and plain and (term.iri[-1:] in _GEN_DELIMS or term.iri.startswith("_:"))
        else:
            term.iri = self._without(name)
            if term.iri is None or not (is_uri(term.iri) or term.iri.startswith("_:")):
                raise self._wrong(name, "stands for no IRI")
        if "@prefix" in value:
            if ":" in name or "/" in name or not isinstance(value["@prefix"], bool):
                raise self._wrong(name, "cannot be a prefix")
            term.prefix = value["@prefix"]
        return term

    def _without(self, name: str) -> str | None:
        """What a name means when its own definition does not say."""
        self._define_prefix(name)
        prefix = name.partition(":")[0]
        before = {prefix: self.terms[prefix]} if prefix in self.terms and prefix != name else {}
        return _expand(before, self.vocabulary, name)

    def _iri(self, name: str, id_: Any) -> str:
        if not isinstance(id_, str):
            raise self._wrong(name, "its @id is not a text")
        if id_ in self._local and id_ not in _KEYWORDS:
            self._define(id_)
        self._define_prefix(id_)
        iri = _expand(self.terms, self.vocabulary, id_)
        if iri == "@context" or iri is None or not (iri in _KEYWORDS or is_uri(iri) or iri.startswith("_:")):
            raise self._wrong(name, f"its @id is not an IRI: {id_[:80]!r}")
        return iri

    def _define_prefix(self, text: str) -> None:
        prefix, colon, rest = text.partition(":")
        if colon and not rest.startswith("//") and prefix in self._local:
            self._define(prefix)

    def _type(self, name: str, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong(name, "its @type is not a text")
        if value in self._local and value not in _KEYWORDS:
            self._define(value)
        self._define_prefix(value)
        type_ = _expand(self.terms, self.vocabulary, value)
        if type_ in ("@id", "@json", "@none", "@vocab") or (type_ is not None and is_uri(type_)):
            return type_
        raise self._wrong(name, f"its @type is not an IRI: {value[:80]!r}")

    @staticmethod
    def _wrong(name: str, detail: str) -> NgsiLdError:
        return NgsiLdError(detail, f"@context.{str(name)[:80]}", BAD_REQUEST_DATA)


def _compile_core() -> dict[str, Term]:
    compiler = _Compiler({})
    compiler.vocabulary = DEFAULT_VOCABULARY
    compiler.apply(CORE_TERMS)
    return compiler.terms


_CORE_TERMS: dict[str, Term] = {}
_CORE_TERMS.update(_compile_core())
CORE = Context(_CORE_TERMS, DEFAULT_VOCABULARY, CORE_CONTEXT, core=True)
"""The core @context alone: what holds when a request names no other."""
