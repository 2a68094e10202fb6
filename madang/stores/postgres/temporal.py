"""The evolution of entities: not yet in this store (docs/adr/0027). Whoever asks is told so; nothing is lost, the history is kept."""

from typing import Any, NoReturn

from madang.hub.ports import AggregateRow, InstanceRow, StoreError
from madang.model.change import Change

_TEXT = "the temporal API is not yet available with the PostgreSQL store: use the embedded one for it"


def _not_yet() -> NoReturn:
    raise StoreError(_TEXT)


class NoEvolution:
    """The temporal part of `madang.hub.ports.Read` and `Tx`."""

    def list_evolving(self, entity_id: str) -> list[str]:
        _not_yet()

    def list_instances(self, *args: Any, **more: Any) -> list[InstanceRow]:
        _not_yet()

    def aggregate(self, *args: Any, **more: Any) -> list[AggregateRow] | None:
        _not_yet()

    def put_instances(self, *args: Any, **more: Any) -> Change:
        _not_yet()

    def edit_instance(self, *args: Any, **more: Any) -> bool:
        _not_yet()

    def cut_evolution(self, *args: Any, **more: Any) -> None:
        _not_yet()

    def is_evolution_only(self, id_: str) -> bool:
        _not_yet()
