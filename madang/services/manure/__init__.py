"""Livestock-manure transport: from truck weight and position to illegal dumping (domain page 1)."""

from pathlib import Path

from madang.services.contract import Service
from madang.services.manure.detect import RulesDetector
from madang.services.manure.detect_events import EventsDetector
from madang.services.manure.indicators import INDICATOR_PARAMETERS, INDICATORS
from madang.services.manure.model import ENTITY_TYPES
from madang.services.manure.parameters import PARAMETERS, RULES
from madang.services.manure.procedure import CHECKLISTS, RECORD_TYPES
from madang.services.manure.sources import TRUCK_SOURCE
from madang.services.manure.views import LAYERS, TABLES

SERVICE = Service(
    name="manure",
    title={"ko": "가축분뇨 운반", "en": "Livestock-manure transport"},
    entity_types=ENTITY_TYPES,
    record_types=RECORD_TYPES,
    detectors=(EventsDetector(), RulesDetector()),
    layers=LAYERS,
    tables=TABLES,
    indicators=INDICATORS,
    parameters=(*PARAMETERS, *INDICATOR_PARAMETERS),
    rules=RULES,
    checklists=CHECKLISTS,
    sources=(TRUCK_SOURCE,),
    locale_dir=Path(__file__).parent / "locale",
)
