"""Write the folder of a new sector, in the shape of every other, with first passing tests: ``make new-service NAME=bins``.

What it writes runs: one entity type, one parameter, one detector with its rule, a layer, a table, words in both languages.
Replace the example piece by piece; `make check` says what is missing at every step.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")

FILES = {
    "madang/services/@name@/__init__.py": '''\
"""@Title@: say here in one sentence what people get from it."""

from pathlib import Path

from madang.services.@name@.detect import DETECTORS
from madang.services.@name@.model import ENTITY_TYPES, PARAMETERS, RULES
from madang.services.@name@.views import LAYERS, TABLES
from madang.services.contract import Service

SERVICE = Service(
    name="@name@",
    title={"ko": "@Title@", "en": "@Title@"},
    entity_types=ENTITY_TYPES,
    detectors=DETECTORS,
    layers=LAYERS,
    tables=TABLES,
    parameters=PARAMETERS,
    rules=RULES,
    locale_dir=Path(__file__).parent / "locale",
)
''',
    "madang/services/@name@/model.py": '''\
"""Entity types, parameters and rules of @name@: names, units, ranges, who may see them, where they come from."""

from madang.model.entity import AttributeType, EntityType
from madang.services.contract import Parameter

DEVICE = "@Type@"
"""Use the name of a Smart Data Model where there is one."""
OURS = "Madang"

ENTITY_TYPES: tuple[EntityType, ...] = (
    EntityType(
        DEVICE,
        title={"ko": "@Title@ 장치", "en": "@Title@ device"},
        attributes=(
            AttributeType("location", kind="GeoProperty", title={"ko": "위치", "en": "Position"}, source=OURS),
            AttributeType(
                "level", unit="P1", minimum=0, maximum=100, title={"ko": "수준", "en": "Level"}, source=OURS
            ),
        ),
        source=OURS,
    ),
)

LEVEL_MAX = "@name@.level_max"
PARAMETERS: tuple[Parameter, ...] = (
    Parameter(LEVEL_MAX, 80, {"ko": "수준 한계(%)", "en": "Level limit (%)"}, "ours", minimum=0, maximum=100),
)

RULE = "@name@.R1"
RULES: dict[str, dict[str, str]] = {RULE: {"ko": "수준 초과", "en": "Level above the limit"}}
''',
    "madang/services/@name@/detect.py": '''\
"""Detectors of @name@. Pure: time, data and limits are handed in (madang/flow/contract.py)."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from madang.flow.contract import Detector, Lookup, Ref, Step, check_format
from madang.model.change import READING, Change
from madang.model.finding import HIGH, Evidence, Finding, Measure, Reason
from madang.model.time import SECOND, Instant
from madang.services.@name@ import model


FORMAT = 1
"""Raise it when the state changes its shape: stored states of an older one start anew."""


class LevelState(Struct, frozen=True):
    """What is remembered of one device."""

    key: str
    above: bool = False
    """The level was above the limit at the last reading: a finding is made when it rises, not while it stays."""
    format: int = FORMAT


class LevelDetector:
    """R1: the level of a device rises above `@name@.level_max`."""

    id = "@name@.level"
    version = "1"
    inputs = frozenset({model.DEVICE})
    lookups: tuple[Lookup, ...] = ()

    def initial(self, key: str) -> LevelState:
        """Nothing was seen yet."""
        return LevelState(key)

    def keys(self, change: Change, ref: Ref) -> Iterable[str]:
        """One state per device."""
        return (change.entity_id,) if change.kind == READING else ()

    def step(self, state: LevelState, change: Change, ref: Ref) -> Step:
        """A finding when the level rises above the limit. Late readings are history only: they change nothing here."""
        level = change.value("level")
        if change.late or not isinstance(level, int | float):
            return Step(state)
        limit = ref.parameter(model.LEVEL_MAX)
        above = level > limit
        after = LevelState(state.key, above)
        if not above or state.above:
            return Step(after)
        finding = Finding(
            rule=model.RULE,
            rule_version=self.version,
            situation=f"@name@:{change.entity_id}:{change.observed_at // SECOND}",
            subject=change.entity_id,
            severity=HIGH,
            reason=Reason("@name@.level_above", {"level": level, "limit": limit}),
            marked_at=change.observed_at,
            completed_at=change.observed_at,
            measures=(Measure("@name@.level", level, limit, "P1", ">"),),
            evidence=(Evidence(change.entity_id, ("level",), change.observed_at, change.observed_at),),
        )
        return Step(after, findings=(finding,))

    def tick(self, state: LevelState, now: Instant, ref: Ref) -> Step:
        """Nothing happens by time alone."""
        return Step(state)

    def encode(self, state: LevelState) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(state)

    def decode(self, document: bytes) -> LevelState:
        """The state again. Raises OlderFormat for an older format (the key starts anew), ValueError for a newer one."""
        check_format(document, FORMAT, self.id)
        return msgspec.json.decode(document, type=LevelState)


DETECTORS: tuple[Detector[Any], ...] = (LevelDetector(),)
''',
    "madang/services/@name@/views.py": '''\
"""What people see of @name@, as data."""

from madang.services.@name@ import model
from madang.services.contract import Column, Layer, Table

LAYERS: tuple[Layer, ...] = (
    Layer("@name@.devices", {"ko": "@Title@ 장치", "en": "@Title@ devices"}, model.DEVICE, style="place", order=100),
)

TABLES: tuple[Table, ...] = (
    Table(
        model.DEVICE,
        {"ko": "@Title@ 장치", "en": "@Title@ devices"},
        (Column("level", {"ko": "수준", "en": "Level"}, kind="number", unit="P1"),),
        sort="-level",
    ),
)
''',
    "madang/services/@name@/locale/ko.json": """\
{
  "@name@.level": "수준",
  "@name@.level_above": "수준 {level} %, 한계 {limit} %"
}
""",
    "madang/services/@name@/locale/en.json": """\
{
  "@name@.level": "Level",
  "@name@.level_above": "Level {level} % is above the limit of {limit} %"
}
""",
    "madang/services/@name@/README.md": """\
# @Title@

What it does, for whom, from which data, with which limits, and with the source of each number. A reader new to the sector must be
able to say from this folder alone what is detected, from what, who may act, and what happens when nobody does.

| Rule | Fires when | From | Limit |
|---|---|---|---|
| R1 | the level rises above the limit | `@Type@.level` | `@name@.level_max`, 80 %, ours |
""",
    "tests/services/@name@/test_detect.py": '''\
"""R1 fires once when the level rises above the limit. Expected values are computed by hand from the readings."""

from typing import Any, cast

from madang.flow.contract import Ref
from madang.model.change import READING, Change
from madang.model.entity import prop
from madang.model.finding import Reason
from madang.model.time import parse_instant
from madang.services.@name@ import model
from madang.services.@name@.detect import LevelDetector

DEVICE = "urn:ngsi-ld:@Type@:1"
AT = parse_instant("2026-11-23T02:00:00Z")


class Limits:
    """A ref that knows the default parameters."""

    def parameter(self, name: str) -> Any:
        """The default of a declared parameter."""
        return next(p.default for p in model.PARAMETERS if p.name == name)


def run(*levels: float) -> list[Reason]:
    """The reasons of all findings over readings one microsecond apart."""
    detector, ref = LevelDetector(), cast(Ref, Limits())
    state, reasons = detector.initial(DEVICE), []
    for n, level in enumerate(levels):
        attributes = {"level": prop(level, "P1")}
        change = Change(n + 1, READING, AT + n, AT + n, DEVICE, model.DEVICE, attributes)
        step = detector.step(state, change, ref)
        state = detector.decode(detector.encode(step.state))
        reasons += [finding.reason for finding in step.findings]
    return reasons


def test_1_below_the_limit_is_nothing() -> None:
    assert run(10, 80) == []


def test_2_rising_above_is_one_finding() -> None:
    assert run(10, 81, 95) == [Reason("@name@.level_above", {"level": 81, "limit": 80})]


def test_3_falling_and_rising_again_is_a_second() -> None:
    assert len(run(81, 10, 90)) == 2
''',
}
"""Path -> text; ``@name@``, ``@Title@`` and ``@Type@`` are put in."""

EVERY_SERVICE = "tests/services/test_every_service.py"


def write_service(root: Path, name: str) -> list[Path]:
    """Write the folder of service `name` under the repository `root` and list it for the common check.

    Raises ValueError when the name is not lower-case letters, digits and underscores, or is taken.
    """
    if not NAME.fullmatch(name) or name in {"contract", "check"}:
        raise ValueError(f"{name!r}: a service's name is lower-case letters, digits and underscores, for example bins")
    if (root / "madang" / "services" / name).exists():
        raise ValueError(f"madang/services/{name} is there already")
    title = name.replace("_", " ").capitalize()
    type_ = "".join(part.capitalize() for part in name.split("_")) + "Device"
    written = []
    for path, text in FILES.items():
        target = root / path.replace("@name@", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        for mark, value in (("@name@", name), ("@Title@", title), ("@Type@", type_)):
            text = text.replace(mark, value)
        target.write_text(text, encoding="utf-8")
        written.append(target)
    listing = root / EVERY_SERVICE
    text = listing.read_text(encoding="utf-8")
    imports = [line for line in text.splitlines() if re.match(r"from madang\.services\.\w+ import SERVICE as ", line)]
    added = sorted([*imports, f"from madang.services.{name} import SERVICE as {name.upper()}"])
    text = text.replace("\n".join(imports), "\n".join(added)).replace("]\n", f"    {name.upper()},\n]\n", 1)
    listing.write_text(text, encoding="utf-8")
    return [*written, listing]


def tidy(root: Path, written: list[Path]) -> None:
    """Sort imports and wrap lines: both depend on the length and the first letter of the name."""
    ruff = Path(sys.executable).parent / "ruff"
    python = [str(path) for path in written if path.suffix == ".py"]
    for command in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([str(ruff), *command, "--no-cache", *python], cwd=root, check=True)


def main() -> int:
    """The command; 0 when the service was written, 2 when the name cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="lower-case letters, digits and underscores: bins, care_calls")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="another checkout")
    arguments = parser.parse_args()
    try:
        written = write_service(arguments.root, arguments.name)
    except ValueError as error:
        print(f"new-service: {error}", file=sys.stderr)
        return 2
    tidy(arguments.root, written)
    for path in written:
        print(path.relative_to(arguments.root))
    print(f"\nNext: .venv/bin/python -m pytest tests/services/{arguments.name} tests/services/test_every_service.py")
    print("then name it in madang/app (the only place that knows which services run), and replace the example.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
