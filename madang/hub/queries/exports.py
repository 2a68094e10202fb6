"""A table's selection as a file: CSV and Excel of exactly what the filter selects, never cut.

Files are opened in spreadsheets, and a spreadsheet runs what begins like a formula. A text cell of ours that does gets an
apostrophe before it in CSV (OWASP, CSV injection) and stays a text cell in Excel.
"""

import csv
from collections.abc import Iterator
from datetime import datetime
from io import TextIOWrapper
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO, Any

import xlsxwriter

from madang.hub.queries.look import Look
from madang.hub.queries.tables import TableFilter, iterate_rows
from madang.services.contract import Column

IN_MEMORY_MAX = 4 * 1024 * 1024
"""Bytes of a file kept in memory; a larger one goes to a temporary file of the system."""
XLSX_ROWS_MAX = 1_048_575
"""Rows that an Excel sheet can hold below its header; further rows go to further sheets."""
XLSX_TEXT_MAX = 32_767
"""Characters of an Excel cell."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(look: Look, asked: TableFilter) -> IO[bytes]:
    """The selection as CSV in UTF-8 with a byte-order mark (Excel reads Korean only so), at its beginning. RFC 4180.

    Raises what `iterate_rows` raises."""
    columns, rows = iterate_rows(look, asked)
    file: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY_MAX)  # noqa: SIM115 - the answer closes it
    try:
        text = TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(_header(look, columns))
        for id_, values, texts in rows:
            writer.writerow([id_, *(_csv_cell(look, c, v, t) for c, v, t in zip(columns, values, texts, strict=True))])
        text.detach()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def write_xlsx(look: Look, asked: TableFilter) -> IO[bytes]:
    """The selection as an Excel workbook, at its beginning; memory stays constant. Raises what `iterate_rows` raises."""
    columns, rows = iterate_rows(look, asked)
    file: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY_MAX)  # noqa: SIM115 - the answer closes it
    try:
        with TemporaryDirectory(prefix="madang-") as folder:
            options = {
                "constant_memory": True,
                "tmpdir": folder,
                "strings_to_formulas": False,
                "strings_to_urls": False,
            }
            book = xlsxwriter.Workbook(file, options)
            _write_sheets(look, book, columns, rows)
            book.close()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _write_sheets(
    look: Look, book: Any, columns: list[Column], rows: Iterator[tuple[str, list[Any], list[str]]]
) -> None:
    head = book.add_format({"bold": True})
    instant = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    sheet, line = None, 0
    for id_, values, texts in rows:
        if sheet is None or line > XLSX_ROWS_MAX:
            sheet, line = _new_sheet(look, book, columns, head), 1
        sheet.write_string(line, 0, id_[:XLSX_TEXT_MAX])
        for place, (column, value, text) in enumerate(zip(columns, values, texts, strict=True), 1):
            if value is None:
                continue
            if column.kind == "number" and _is_number(value):
                sheet.write_number(line, place, value)
            elif column.kind == "boolean" and isinstance(value, bool):
                sheet.write_boolean(line, place, value)
            elif column.kind == "instant" and (moment := look.hub.words.local(value)) is not None:
                sheet.write_datetime(line, place, moment.replace(tzinfo=None), instant)
            else:
                sheet.write_string(line, place, text[:XLSX_TEXT_MAX])
        line += 1
    if sheet is None:
        _new_sheet(look, book, columns, head)


def _new_sheet(look: Look, book: Any, columns: list[Column], head: Any) -> Any:
    sheet = book.add_worksheet()
    for place, title in enumerate(_header(look, columns)):
        sheet.write_string(0, place, title, head)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(columns), 18)
    return sheet


def _header(look: Look, columns: list[Column]) -> list[str]:
    """Titles with their units; instants with the zone that they are written in."""
    titles = ["id"]
    for column in columns:
        title = look.title(column.title, column.attribute)
        unit = look.hub.words.unit(column.unit, look.lang)
        if column.kind == "instant":
            unit = look.hub.words.zone.key
        titles.append(f"{title} ({unit})" if unit else title)
    return titles


def _csv_cell(look: Look, column: Column, value: Any, text: str) -> Any:
    if value is None:
        return ""
    if column.kind == "number" and _is_number(value):
        return value
    if column.kind == "boolean" and isinstance(value, bool):
        return "true" if value else "false"
    if column.kind == "instant":
        moment: datetime | None = look.hub.words.local(value)
        return guard(text) if moment is None else moment.isoformat()
    return guard(text)


def guard(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> guard("=1+1"), guard("12가 3456")
    ("'=1+1", '12가 3456')
    """
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
