"""The common check of every sector service: `check_service(SERVICE)` names everything that is wrong with a declaration.

Public, so that authors outside this repository run it too: ``assert check_service(SERVICE) == []``. Unlike the rest of
this layer it reads files (the service's words and its source, for the reason codes in it): it belongs to tests and
never runs in a server.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from madang.model.entity import AttributeType, EntityType
from madang.procedure.check import LANGUAGES, ProcedureError, check_procedure
from madang.procedure.contract import RecordType
from madang.services.contract import Service
from madang.wire.source_check import check_source

ATTRIBUTE_KINDS = (
    "Property",
    "Relationship",
    "GeoProperty",
    "LanguageProperty",
    "VocabProperty",
    "ListProperty",
    "JsonProperty",
)
"""NGSI-LD attribute types (ETSI GS CIM 009 v1.9, clause 4.5)."""
ENTITY_KINDS = ("thing", "reference", "derived")
DATA_CLASSES = ("public", "internal", "personal", "sensitive")
LAYER_STYLES = ("area", "line", "place", "moving")
COLUMN_KINDS = ("text", "number", "instant", "state", "entity", "boolean", "place")
COLUMNS_OF_ANY = frozenset({"id", "type", "createdAt", "modifiedAt", "observedAt"})
"""What every entity has without declaring it."""
COLUMNS_OF_RECORDS = COLUMNS_OF_ANY | {"state", "version"}

_PLACE_IN_TEXT = re.compile(r"\{(\w+)")


def check_service(service: Service) -> list[str]:
    """Everything that is wrong with a service's declaration, one sentence each; empty when nothing is.

    Reads `service.locale_dir` (ko.json, en.json) and the Python files beside it. Pure otherwise.
    """
    return [f"{service.name}: {problem}" for check in _CHECKS for problem in check(service)]


def _names(service: Service) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", service.name):
        yield "a service's name is lower-case letters, digits and underscores"
    yield from _title("the service", service.title)
    types = [t.name for t in service.entity_types] + [t.name for t in service.record_types]
    yield from _unique("type", types)
    yield from _unique("detector", [d.id for d in service.detectors])
    yield from _unique("layer", [x.id for x in service.layers])
    yield from _unique("table of", [t.entity_type for t in service.tables])
    yield from _unique("parameter", [p.name for p in service.parameters])
    yield from _unique("indicator", [i.id for i in service.indicators])
    prefixed = [*service.rules, *(d.id for d in service.detectors), *(x.id for x in service.layers)]
    prefixed += [*(p.name for p in service.parameters), *(i.id for i in service.indicators)]
    yield from (
        f"{name}: begins with '{service.name}.'" for name in prefixed if not name.startswith(f"{service.name}.")
    )


def _entity_types(service: Service) -> Iterator[str]:
    for type_ in service.entity_types:
        yield from _title(type_.name, type_.title)
        if type_.kind not in ENTITY_KINDS:
            yield f"{type_.name}: kind {type_.kind!r} is none of {', '.join(ENTITY_KINDS)}"
        if not type_.source:
            yield f"{type_.name}: no source (a standard, a Smart Data Model, or ours)"
        yield from _attributes(type_.name, type_.data_class, type_.attributes)


def _record_types(service: Service) -> Iterator[str]:
    for type_ in service.record_types:
        yield from _attributes(type_.name, type_.data_class, type_.attributes)
        try:
            check_procedure(type_)
        except ProcedureError as error:
            yield from (f"{type_.name}: {line.strip()}" for line in str(error).splitlines()[1:])


def _attributes(owner: str, data_class: str, attributes: tuple[AttributeType, ...]) -> Iterator[str]:
    if data_class not in DATA_CLASSES:
        yield f"{owner}: data class {data_class!r} is none of {', '.join(DATA_CLASSES)}"
    yield from _unique(f"attribute of {owner}", [a.name for a in attributes])
    for attribute in attributes:
        where = f"{owner}.{attribute.name}"
        yield from _title(where, attribute.title)
        if attribute.kind not in ATTRIBUTE_KINDS:
            yield f"{where}: kind {attribute.kind!r} is no NGSI-LD attribute type"
        if not attribute.source:
            yield f"{where}: no source (a standard, a Smart Data Model, or ours)"
        low, high = attribute.minimum, attribute.maximum
        if (low is not None or high is not None) and attribute.unit is None:
            yield f"{where}: a number without a unit (C62 for a pure number)"
        if low is not None and high is not None and low >= high:
            yield f"{where}: range {low} to {high} is empty"


def _detectors(service: Service) -> Iterator[str]:
    entities, records = _declared(service)
    for detector in service.detectors:
        if not detector.version:
            yield f"{detector.id}: no version"
        if not detector.inputs:
            yield f"{detector.id}: no inputs, so it never runs"
        yield from (
            f"{detector.id}: input {name} is no declared type"
            for name in sorted(detector.inputs - {*entities, *records})
        )
        for lookup in detector.lookups:
            type_ = entities.get(lookup.type)
            if type_ is None and lookup.type not in records:
                yield f"{detector.id}: looks up {lookup.type}, which is no declared type"
                continue
            if type_ is not None and type_.kind != "reference":
                yield f"{detector.id}: looks up {lookup.type}, which is no reference: its versions are not kept"
            attributes = type_.attributes if type_ is not None else records[lookup.type].attributes
            kinds = {a.name: a.kind for a in attributes}
            yield from (
                f"{detector.id}: {lookup.type}.{name} is not declared" for name in lookup.by if name not in kinds
            )
            if lookup.place is not None and kinds.get(lookup.place) != "GeoProperty":
                yield f"{detector.id}: {lookup.type}.{lookup.place} is no declared GeoProperty"
        state = detector.initial("key")
        if state is not None and detector.decode(detector.encode(state)) != state:
            yield f"{detector.id}: decode(encode(initial state)) is another state"


def _views(service: Service) -> Iterator[str]:
    entities, records = _declared(service)
    for layer in service.layers:
        yield from _title(layer.id, layer.title)
        if layer.style not in LAYER_STYLES:
            yield f"{layer.id}: style {layer.style!r} is none of {', '.join(LAYER_STYLES)}"
        type_ = entities.get(layer.entity_type)
        if type_ is None:
            yield f"{layer.id}: {layer.entity_type} is no declared entity type"
            continue
        geometry = type_.find_attribute(layer.geometry)
        if geometry is None or geometry.kind != "GeoProperty":
            yield f"{layer.id}: {layer.entity_type}.{layer.geometry} is no declared GeoProperty"
        if layer.label and type_.find_attribute(layer.label) is None:
            yield f"{layer.id}: label {layer.entity_type}.{layer.label} is not declared"
    for table in service.tables:
        where = f"table of {table.entity_type}"
        yield from _title(where, table.title)
        owner = entities.get(table.entity_type) or records.get(table.entity_type)
        if owner is None:
            yield f"{where}: no declared type"
            continue
        yield from _columns(where, table.entity_type in records, owner.attributes, service, table.entity_type)
        sort = table.sort.removeprefix("-")
        known = {a.name for a in owner.attributes} | _own_columns(table.entity_type in records)
        if sort and sort not in known:
            yield f"{where}: sorted by {sort}, which is not declared"


def _columns(
    where: str, is_record: bool, attributes: tuple[AttributeType, ...], service: Service, entity_type: str
) -> Iterator[str]:
    declared = {a.name: a for a in attributes}
    table = next(t for t in service.tables if t.entity_type == entity_type)
    yield from _unique(f"column of the {where}", [c.attribute for c in table.columns])
    for column in table.columns:
        yield from _title(f"{where}, column {column.attribute}", column.title)
        if column.kind not in COLUMN_KINDS:
            yield f"{where}, column {column.attribute}: kind {column.kind!r} is none of {', '.join(COLUMN_KINDS)}"
        attribute = declared.get(column.attribute.split(".")[0])
        if attribute is None:
            if column.attribute not in _own_columns(is_record):
                yield f"{where}: column {column.attribute} is not declared"
        elif column.kind == "number" and "." not in column.attribute and (attribute.unit or "") != column.unit:
            yield f"{where}: column {column.attribute} says {column.unit!r}, the attribute {attribute.unit!r}"


def _figures(service: Service) -> Iterator[str]:
    for parameter in service.parameters:
        yield from _title(parameter.name, parameter.title)
        if not parameter.source:
            yield f"{parameter.name}: no source for its default (article, standard, measurement, or ours)"
        low, high = parameter.minimum, parameter.maximum
        default = parameter.default
        is_number = isinstance(default, int | float) and not isinstance(default, bool)
        if is_number and ((low is not None and default < low) or (high is not None and default > high)):
            yield f"{parameter.name}: default {default} lies outside {low} to {high}"
    for indicator in service.indicators:
        yield from _title(indicator.id, indicator.title)
        yield from _title(f"{indicator.id} method", indicator.method)
        if not indicator.unit:
            yield f"{indicator.id}: no unit"
    for rule, title in service.rules.items():
        yield from _title(rule, title)
    yield from (f"checklist of {r}, which is no rule" for r in service.checklists if r not in service.rules)


def _sources(service: Service) -> Iterator[str]:
    entities, _ = _declared(service)
    for source in service.sources:
        yield from (f"source {source.id}: {fault}" for fault in check_source(source))
        if source.secret_sha256:
            yield f"source {source.id}: brings a secret; each city gets its own at its first start"
        type_ = entities.get(source.mapping.entity_type)
        if type_ is None:
            yield f"source {source.id}: {source.mapping.entity_type} is no declared entity type"
            continue
        for mapped in source.mapping.attributes:
            attribute = type_.find_attribute(mapped.name)
            if attribute is None:
                yield f"source {source.id}: {type_.name}.{mapped.name} is not declared"
            elif attribute.kind != mapped.kind:
                yield f"source {source.id}: {mapped.name} is a {mapped.kind} here, declared as {attribute.kind}"
            elif mapped.unit is not None and mapped.unit != attribute.unit:
                yield f"source {source.id}: {mapped.name} is in {mapped.unit} here, declared in {attribute.unit}"


def _words(service: Service) -> Iterator[str]:
    if service.locale_dir is None:
        return
    words = {language: _load(service.locale_dir / f"{language}.json") for language in LANGUAGES}
    first = LANGUAGES[0]
    for language in LANGUAGES[1:]:
        yield from compare_words(words[first], words[language], first, language)
    codes = {code: f"checklist of {rule}" for rule, items in service.checklists.items() for code in items}
    codes |= _codes_in(service.locale_dir.parent)
    for code, place in sorted(codes.items()):
        yield from (
            f"{place}: reason {code!r} has no words in {language}"
            for language in LANGUAGES
            if code not in words[language]
        )


def compare_words(a: Mapping[str, str], b: Mapping[str, str], name_a: str, name_b: str) -> list[str]:
    """What differs between two languages' words: codes that one lacks, and {parameters} that only one of them uses.

    >>> compare_words({"x": "{a_kg} 감소"}, {"x": "fell"}, "ko", "en")
    ["x: ko uses ['a_kg'], en uses []"]
    """
    problems = [f"{code}: in {name_a} and not in {name_b}" for code in sorted(a.keys() - b.keys())]
    problems += [f"{code}: in {name_b} and not in {name_a}" for code in sorted(b.keys() - a.keys())]
    for code in sorted(a.keys() & b.keys()):
        in_a, in_b = (sorted(set(_PLACE_IN_TEXT.findall(text[code]))) for text in (a, b))
        if in_a != in_b:
            problems.append(f"{code}: {name_a} uses {in_a}, {name_b} uses {in_b}")
    return problems


_CHECKS = (_names, _entity_types, _record_types, _detectors, _views, _figures, _sources, _words)


def _declared(service: Service) -> tuple[dict[str, EntityType], dict[str, RecordType]]:
    return {t.name: t for t in service.entity_types}, {t.name: t for t in service.record_types}


def _own_columns(is_record: bool) -> frozenset[str]:
    return COLUMNS_OF_RECORDS if is_record else COLUMNS_OF_ANY


def _title(what: str, title: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{what}: no title in {language}" for language in LANGUAGES if not title.get(language, "").strip())


def _unique(what: str, names: Iterable[str]) -> Iterator[str]:
    yield from (f"{what} {name!r} is declared {n} times" for name, n in Counter(names).items() if n > 1)


def _load(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    words: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return words


def _codes_in(folder: Path) -> dict[str, str]:
    """Reason and measure codes that stand as literals in a folder's Python files, with the place of one use of each."""
    codes: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Reason", "Measure"}:
                code = _first_literal(node)
                if code is not None:
                    codes.setdefault(code, f"{path.name}:{node.lineno}")
    return codes


def _first_literal(call: ast.Call) -> str | None:
    values: list[Any] = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "code")]
    return next((v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)), None)
