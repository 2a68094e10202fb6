"""Tables: any entity or record type as rows, filtered and sorted; the same selection as a page and as a file."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from madang.hub.queries import life
from madang.hub.queries.answers import Choice, ColumnInfo, TableInfo, TablePage
from madang.hub.queries.entities import plain
from madang.hub.queries.errors import BadQuestion, NotFound
from madang.hub.queries.look import Look
from madang.hub.words import find_label, last_part
from madang.model.entity import AttributeType, Entity
from madang.ngsild.q import parse_q
from madang.ngsild.query import And, Compare, Contains, Node, Order, Query
from madang.procedure.attributes import STATUS
from madang.services.contract import Column, Table

PAGE_MAX = 1_000
EXPORT_PAGE = 2_000
TEXT_LENGTH_MAX = 200
ID = "id"


class TableFilter(Struct, frozen=True):
    """A selection of rows."""

    type: str
    filter: str = ""
    """NGSI-LD q."""
    text: str = ""
    states: tuple[str, ...] = ()
    sort: str = ""
    limit: int = 100
    offset: int = 0


def list_tables(look: Look) -> list[TableInfo]:
    """Declared tables of types that the caller may see, with the number of rows that it sees."""
    found = []
    for table in look.hub.registry.tables.values():
        if not look.may_see_type(table.entity_type):
            continue
        record_type = look.hub.registry.record_types.get(table.entity_type)
        states = (
            []
            if record_type is None
            else [Choice(s, look.hub.words.state(s, look.lang, record_type)) for s in record_type.procedure.states]
        )
        count = look.query(Query(types=(table.entity_type,), limit=1, count=True)).total or 0
        found.append(
            TableInfo(
                entity_type=table.entity_type,
                title=look.title(table.title, table.entity_type),
                columns=[_column_info(look, column) for column in table.columns],
                sort=table.sort,
                is_record=record_type is not None,
                states=states,
                count=count,
                permission=look.subject(table.entity_type).read_permission,
            )
        )
    return found


def _column_info(look: Look, column: Column) -> ColumnInfo:
    unit = look.hub.words.unit(column.unit, look.lang)
    title = look.title(column.title, column.attribute)
    return ColumnInfo(column.attribute, title, column.kind, unit, column.digits)


def table_of(look: Look, type_: str) -> Table:
    """The declared table of a type, else one made of its declared attributes. Raises NotFound for an unknown type."""
    registry = look.hub.registry
    table = registry.tables.get(type_)
    if table is not None:
        return table
    declared = registry.entity_types.get(type_) or registry.record_types.get(type_)
    if declared is None:
        known = ", ".join(sorted({*registry.tables, *registry.entity_types, *registry.record_types}))
        raise NotFound(f"There is no table of {type_}; known: {known}.")
    state = (
        () if type_ not in registry.record_types else (Column("state", {"ko": "상태", "en": "State"}, kind="state"),)
    )
    return Table(type_, declared.title, (*state, *(_column_of(attribute) for attribute in declared.attributes)))


def _column_of(attribute: AttributeType) -> Column:
    kind = {"Relationship": "entity", "GeoProperty": "place"}.get(attribute.kind, "text")
    if attribute.unit is not None or attribute.minimum is not None:
        kind = "number"
    elif attribute.name.endswith("At"):
        kind = "instant"
    return Column(attribute.name, attribute.title, kind=kind, unit=attribute.unit or "", digits=0)


def get_page(look: Look, asked: TableFilter) -> TablePage:
    """A page of rows with the number of all. Raises NotFound, Refused, BadQuestion, NgsiLdError (a wrong filter)."""
    look.require_type(asked.type)
    table = table_of(look, asked.type)
    query = _query(look, table, asked, asked.limit, asked.offset, count=True)
    page = look.query(query)
    total = page.total or 0
    columns = _visible(look, table)
    rows = [_row(look, columns, entity) for entity in page.entities]
    return TablePage(
        columns=[_column_info(look, column) for column in columns],
        rows=rows,
        total=total,
        truncated=asked.offset + len(rows) < total,
    )


def iterate_rows(look: Look, asked: TableFilter) -> tuple[list[Column], Iterator[tuple[str, list[Any], list[str]]]]:
    """The whole selection of `asked`, whatever its limit and offset: columns, and (id, values, texts) of every row.
    Raises as `get_page` does, before the first row."""
    look.require_type(asked.type)
    table = table_of(look, asked.type)
    columns = _visible(look, table)
    _query(look, table, asked, 1, 0, count=False)

    def rows() -> Iterator[tuple[str, list[Any], list[str]]]:
        offset = 0
        while True:
            page = look.query(_query(look, table, asked, EXPORT_PAGE, offset, count=False))
            for entity in page.entities:
                cells = [_cell(look, column, entity) for column in columns]
                yield entity.id, [value for value, _ in cells], [text for _, text in cells]
            offset += len(page.entities)
            if len(page.entities) < EXPORT_PAGE:
                return

    return columns, rows()


def _visible(look: Look, table: Table) -> list[Column]:
    hidden = look.mask(table.entity_type).names
    return [column for column in table.columns if column.attribute not in hidden]


def _query(look: Look, table: Table, asked: TableFilter, limit: int, offset: int, *, count: bool) -> Query:
    names = {column.attribute for column in table.columns}
    is_record = look.hub.registry.is_record(asked.type)
    items: list[Node] = []
    if asked.filter:
        items.append(parse_q(asked.filter))
    if asked.text:
        searched = tuple(
            _stored(c.attribute, is_record) for c in table.columns if c.kind in ("text", "entity", "state")
        )
        items.append(Contains(asked.text[:TEXT_LENGTH_MAX], searched))
    if asked.states:
        items.append(Compare(STATUS, "==", list(asked.states)))
    order: tuple[Order, ...] = ()
    sort = asked.sort or table.sort
    if sort:
        name = sort.removeprefix("-")
        if name not in names and name != ID:
            raise BadQuestion(
                "sort", f"must be one of {', '.join(sorted(names | {ID}))}, with '-' before it to descend"
            )
        order = (Order(_stored(name, is_record), descending=sort.startswith("-")),)
    return Query(
        types=(asked.type,),
        where=None if not items else (items[0] if len(items) == 1 else And(tuple(items))),
        order=order,
        limit=limit,
        offset=offset,
        count=count,
    )


def _stored(name: str, is_record: bool) -> str:
    """The attribute that a column shows: a record's state is its `status`."""
    return STATUS if is_record and name == "state" else name


def _row(look: Look, columns: list[Column], entity: Entity) -> dict[str, Any]:
    row: dict[str, Any] = {"id": entity.id, "label": find_label(entity) or last_part(entity.id)}
    for column in columns:
        value, text = _cell(look, column, entity)
        if value is not None:
            row[column.attribute] = {"value": value, "text": text}
    return row


def _cell(look: Look, column: Column, entity: Entity) -> tuple[Any, str]:
    """(value, text) of one cell; (None, "") where there is nothing."""
    registry, words = look.hub.registry, look.hub.words
    record_type = registry.record_types.get(entity.type)
    attribute = entity.attributes.get(_stored(column.attribute, record_type is not None))
    value = None if attribute is None else plain(attribute)
    if value is None:
        return None, ""
    if column.kind == "state":
        if record_type is not None:
            return value, words.state(str(value), look.lang, record_type)
        return value, life.choice_title(look, column.attribute, str(value))
    if column.kind == "entity":
        targets = value if isinstance(value, list) else [value]
        return value, ", ".join(look.label(str(target)) for target in targets)
    if column.kind == "instant":
        return value, words.instant(value, look.lang)
    if column.kind == "number":
        return value, words.value(value, column.unit, look.lang, column.digits)
    declared = AttributeType(column.attribute, unit=column.unit or None)
    return value, life.value_text(look, declared, value)
