"""The common check, one line for every service; a folder under madang/services that is not listed here fails."""

from pathlib import Path

import pytest

import madang.services
from madang.services.check import check_service
from madang.services.contract import Service
from madang.services.manure import SERVICE as MANURE

SERVICES: list[Service] = [
    MANURE,
]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_declaration_is_sound(service: Service) -> None:
    assert check_service(service) == []


def test_every_folder_is_listed() -> None:
    folder = Path(madang.services.__file__).parent
    assert sorted(p.parent.name for p in folder.glob("*/__init__.py")) == sorted(s.name for s in SERVICES)
