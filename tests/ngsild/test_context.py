"""JSON-LD @contexts: expansion and compaction agree with PyLD, and the core always wins (clause 5.5.7)."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyld import jsonld

from madang.ngsild.context import CORE, compile_context
from madang.ngsild.core_context import CORE_CONTEXT, CORE_TERMS, is_core_context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import compact, expand

DEFAULT = "https://uri.etsi.org/ngsi-ld/default-context/"
PUBLISHED = "3ed25ee406f32557c9254ed24348c4a4184502a1a33d5d227588624a51dfc69f"
"""SHA-256 of the @context value of ngsi-ld-core-context-v1.9.jsonld as published by ETSI, its JSON with sorted names and
without blanks."""
# PyLD would fetch the one remote context that the core names, for a term that no test here uses.
ORACLE_CORE = {name: value for name, value in CORE_TERMS.items() if name != "ngsildproof"}


def test_the_core_is_the_published_one() -> None:
    text = json.dumps(CORE_TERMS, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == PUBLISHED


@pytest.mark.parametrize(
    ("address", "is_core"),
    [
        (CORE_CONTEXT, True),
        ("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld", True),
        ("http://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.3.jsonld", True),
        # The name that the conformance suite uses for a context that is not there (043_01).
        ("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-non-existing.jsonld", False),
        ("https://example.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld", False),
        (7, False),
    ],
)
def test_addresses_of_the_core(address: object, is_core: bool) -> None:
    assert is_core_context(address) is is_core


def oracle_expand(contexts: list[Any], name: str) -> str | None:
    """The IRI that PyLD gives a property; None when it drops it."""
    document = {"@context": contexts, "@id": "urn:x:1", name: {"@id": "urn:x:2"}, "urn:x:kept": 1}
    found = [key for key in jsonld.expand(document)[0] if key not in ("@id", "urn:x:kept")]
    return found[0] if found else None


def oracle_compact(contexts: list[Any], iri: str) -> str:
    """The name that PyLD gives a type."""
    compacted = jsonld.compact({"@id": "urn:x:1", "@type": [iri]}, {"@context": contexts})
    return str(next(value for key, value in compacted.items() if key in ("type", "@type")))


SUFFIXES = ("speed", "colour", "a/b", "차량")
PREFIXES = {"p0": "https://a.example/", "p1": "https://a.example/b#", "p2": "urn:b:", "p3": "https://c.example/x"}
TERMS = tuple(f"t{n}" for n in range(6))
ids = st.one_of(
    st.sampled_from(list(PREFIXES.values())).flatmap(lambda p: st.sampled_from([p + s for s in SUFFIXES])),
    st.sampled_from(sorted(PREFIXES)).flatmap(lambda p: st.sampled_from([f"{p}:{s}" for s in SUFFIXES])),
    st.sampled_from([*TERMS, "unknown"]),
    st.sampled_from(["https://d.example/", "https://d.example/e"]),
)
definitions = st.one_of(
    ids,
    st.none(),
    st.builds(lambda id_: {"@id": id_}, ids),
    st.builds(lambda id_, type_: {"@id": id_, "@type": type_}, ids, st.sampled_from(["@id", "@vocab", "t1", "p0:T"])),
    st.builds(lambda id_: {"@id": id_, "@container": "@list"}, ids),
    st.builds(lambda prefix: {"@id": "https://e.example/x", "@prefix": prefix}, st.booleans()),
    st.just({"@type": "@id"}),
    st.just(7),
)
members = st.lists(
    st.builds(
        lambda prefixes, terms: {**{name: PREFIXES[name] for name in prefixes}, **terms},
        st.lists(st.sampled_from(sorted(PREFIXES)), unique=True),
        st.dictionaries(st.sampled_from(TERMS), definitions, max_size=5),
    ),
    min_size=1,
    max_size=3,
)
names = st.one_of(
    st.sampled_from([*TERMS, "unknown", "location", "title", "DateTime", *PREFIXES]),
    st.sampled_from(sorted(PREFIXES)).flatmap(lambda p: st.sampled_from([f"{p}:{s}" for s in SUFFIXES])),
    st.sampled_from(["https://a.example/speed", "urn:b:colour", "ngsi-ld:x", "t1:x", DEFAULT + "speed"]),
)


@given(members, st.lists(names, min_size=1, max_size=4))
def test_expansion_agrees_with_pyld(user: list[dict[str, Any]], asked: list[str]) -> None:
    """For every context and name: PyLD and we give the same IRI, or both refuse the context."""
    contexts = [ORACLE_CORE, *user, ORACLE_CORE]
    try:
        context = compile_context(user)
    except NgsiLdError:
        with pytest.raises(jsonld.JsonLdError):
            oracle_expand(contexts, asked[0])
        return
    for name in asked:
        assert context.expand_term(name) == oracle_expand(contexts, name), name


iris = st.one_of(
    st.sampled_from([p + s for p in PREFIXES.values() for s in SUFFIXES]),
    st.sampled_from([*PREFIXES.values(), "https://d.example/", "https://d.example/e", "https://e.example/xy"]),
    st.sampled_from([DEFAULT + "speed", DEFAULT + "t1", DEFAULT + "location", "https://uri.etsi.org/ngsi-ld/location"]),
)


@given(members, st.lists(iris, min_size=1, max_size=4))
def test_compaction_agrees_with_pyld(user: list[dict[str, Any]], asked: list[str]) -> None:
    """For every context whose terms are not coerced (there PyLD goes by the value) and every IRI: the same name."""
    plain = [{k: v for k, v in member.items() if not (isinstance(v, dict) and len(v) > 1)} for member in user]
    plain = [{k: v for k, v in m.items() if v not in ({"@type": "@id"}, 7)} for m in plain]
    try:
        context = compile_context(plain)
    except NgsiLdError:
        return
    for iri in asked:
        try:
            expected = oracle_compact([ORACLE_CORE, *plain, ORACLE_CORE], iri)
        except jsonld.JsonLdError as error:
            # "absolute IRI confused with prefix": the scheme of the IRI is also a prefix. We keep the IRI.
            assert "confused" in str(error)
            continue
        assert context.compact_iri(iri) == expected


@given(members, names)
def test_a_name_comes_back(user: list[dict[str, Any]], name: str) -> None:
    """What is stored under a context and shown under it stands for the same IRI."""
    try:
        context = compile_context(user)
        stored = context.stored_name(name)
    except NgsiLdError:
        return
    assert context.expand_term(context.shown_name(stored)) == context.expand_term(name)
    assert expand(stored) == context.expand_term(name)
    assert compact(expand(stored)) == stored


def test_the_core_wins_over_the_documents_terms() -> None:
    """5.5.7. PyLD with the core as the last context says the same."""
    user = {"location": "https://a.example/here", "status": "https://a.example/state", "speed": "https://a.example/v"}
    context = compile_context([user])
    for name in user:
        assert context.expand_term(name) == oracle_expand([user, ORACLE_CORE], name)
    assert context.stored_name("location") == "location"
    assert context.stored_name("speed") == "https://a.example/v"
    assert context.shown_name("https://a.example/v") == "speed"
    assert context.shown_name("https://a.example/here") == "https://a.example/here"


def test_the_default_vocabulary_wins_over_the_documents() -> None:
    """The core's @vocab comes last; a term that was defined under the document's keeps it. PyLD says the same."""
    user = {"@vocab": "https://a.example/", "speed": {"@type": "@id"}}
    context = compile_context([user])
    for name in ("speed", "colour"):
        assert context.expand_term(name) == oracle_expand([ORACLE_CORE, user, ORACLE_CORE], name)
    assert context.stored_name("colour") == "colour"


def test_without_an_own_context_names_stay() -> None:
    assert compile_context([]) is CORE
    assert CORE.is_core and compile_context([], [CORE_CONTEXT]).is_core
    assert CORE.stored_name("속도") == CORE.shown_name("속도") == "속도"


def test_words_of_a_vocabulary() -> None:
    context = compile_context([{"ex": "https://a.example/", "bus": "ex:Bus"}])
    assert context.stored_word("bus") == "https://a.example/Bus"
    assert context.shown_word("https://a.example/Bus") == "bus"
    assert context.stored_word("two words") == context.shown_word("two words") == "two words"
    assert CORE.stored_word("https://uri.etsi.org/ngsi-ld/default-context/bus") == "bus"
    assert CORE.shown_word("https://a.example/Bus") == "https://a.example/Bus"


def test_coercions() -> None:
    context = compile_context(
        [
            {
                "ex": "https://a.example/",
                "owner": {"@id": "ex:owner", "@type": "@id"},
                "at": {"@id": "ex:at", "@type": "DateTime"},
            }
        ]
    )
    assert context.coercion("owner") == "@id"
    assert context.coercion("at") == context.coercion("observedAt") == "https://uri.etsi.org/ngsi-ld/DateTime"
    assert context.coercion("ex") is None and context.coercion("nobody") is None


def test_one_name_for_one_iri_whatever_its_value() -> None:
    """Ours: an uncoerced term is preferred, then the shortest, then the first."""
    iri = "https://a.example/x"
    both = compile_context(
        [{"b": {"@id": iri, "@type": "@id"}, "longer": iri, "c": {"@id": iri, "@container": "@list"}}]
    )
    assert both.compact_iri(iri) == "longer"
    assert compile_context([{"b": {"@id": iri, "@type": "@id"}}]).compact_iri(iri) == "b"


@pytest.mark.parametrize(
    ("user", "where"),
    [
        ({"a": "b:c", "b": "a:c"}, "@context."),
        ({"a": 7}, "@context.a"),
        ({"a": {"@id": 7}}, "@context.a"),
        ({"a": {"@id": "@context"}}, "@context.a"),
        ({"a": {"@id": "urn:x:1", "@type": "no iri"}}, "@context.a"),
        ({"a": {"@id": "urn:x:1", "@nonsense": 1}}, "@context.a"),
        ({"a": {"@id": "urn:x:1", "@container": "@nonsense"}}, "@context.a"),
        ({"@type": "urn:x:1"}, "@context.@type"),
        ({"@vocab": 7}, "@context.@vocab"),
        ({"@version": 1.0}, "@context.@version"),
        ({"@protected": "yes"}, "@context.@protected"),
        ({"@import": "https://a.example/c"}, "@context.@import"),
        ({"": "urn:x:1"}, "@context."),
    ],
)
def test_wrong_contexts_are_refused(user: dict[str, Any], where: str) -> None:
    """PyLD refuses them too, but for @import, which it would fetch, and for a wrong @protected, which JSON-LD 1.1 (API 4.1.2)
    forbids and PyLD lets pass."""
    with pytest.raises(NgsiLdError) as caught:
        compile_context([user])
    assert caught.value.where.startswith(where)
    if not user.keys() & {"@import", "@protected"}:
        with pytest.raises(jsonld.JsonLdError):
            oracle_expand([ORACLE_CORE, user], "a")


def test_a_protected_term_stays() -> None:
    first = {"@protected": True, "a": "urn:x:1"}
    assert compile_context([first, {"a": "urn:x:1"}]).expand_term("a") == "urn:x:1"
    with pytest.raises(NgsiLdError):
        compile_context([first, {"a": "urn:x:2"}])


@pytest.mark.parametrize("name", ["a b", "", 7, None, "@type", "gone", "kind", "nobody:"])
def test_names_that_mean_nothing(name: object) -> None:
    context = compile_context([{"gone": None, "kind": "@type"}])
    with pytest.raises(NgsiLdError):
        context.stored_name(name, "here")
