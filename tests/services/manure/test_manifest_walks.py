"""The manifest under random hands, and its words."""

import ast
import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from madang.model.caller import SYSTEM, Caller
from madang.model.record import Record
from madang.procedure.contract import Context
from madang.procedure.engine import Decision, decide
from madang.services.manure import manifest
from madang.services.manure.procedure import CHECKLISTS, MANIFEST_TYPE
from tests.hub.record_bench import NOON
from tests.services.manure.manifest_bench import (
    ARGUMENTS,
    CARRIER,
    FARM,
    FARMER,
    FIRM,
    OFFICER,
    PARCEL,
    PLANT,
    RECEIVER,
    STRANGER,
    Register,
)

ID = "urn:ngsi-ld:ManureManifest:M-2026-000001"

# --- words ---


def test_every_reason_has_words_in_both_languages() -> None:
    folder = Path(manifest.__file__).parent
    source = "".join((folder / f"{name}.py").read_text() for name in ("manifest", "manifest_guards"))
    codes = {
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "no"
        and isinstance(node.args[0], ast.Constant)
    }
    codes |= set(re.findall(r'"(no-[a-z]+)"\)', source)) | set(
        re.findall(r'"([a-z-]+)", (?:confirm|settle|diff|left)', source)
    )
    codes |= {"overdue"}
    assert len(codes) > 30
    wanted = {f"manure.manifest.{code}" for code in codes} | {c for items in CHECKLISTS.values() for c in items}
    for lang in ("ko", "en"):
        words = json.loads((folder / "locale" / f"{lang}.json").read_text(encoding="utf-8"))
        assert wanted - set(words) == set()


# --- random walks ---

_CALLERS = (CARRIER, FARMER, RECEIVER, OFFICER, STRANGER, SYSTEM)
_STEP = st.tuples(
    st.sampled_from([a.name for a in MANIFEST_TYPE.procedure.actions]),
    st.sampled_from(_CALLERS),
    st.sampled_from([None, None, None, FARM, PLANT, FIRM]),
    st.fixed_dictionaries(
        {},
        optional={
            "amount": st.sampled_from([1, 4000, 8000, 20_000]),
            "acceptedAmount": st.sampled_from([0, 4000, 8000]),
            "loadedAmount": st.sampled_from([4000, 8000]),
            "role": st.sampled_from(["discharger", "treater"]),
            "extent": st.sampled_from(["full", "partial"]),
            "to": st.sampled_from([[], [PLANT], [PARCEL, PLANT]]),
        },
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEP, max_size=60))
def test_random_walks_stay_in_the_table(steps: list[tuple[str, Caller, str | None, dict[str, Any]]]) -> None:
    """Whoever does whatever in whatever order: only declared states, one version an action, a trail without gaps, a number only
    after the precheck, and an amount never above what was loaded."""
    refs = Register()
    record: Record | None = None
    trail: list[Any] = []
    for name, caller, behalf, extra in steps:
        action = MANIFEST_TYPE.procedure.find_action(name)
        assert action is not None
        declared = {a.name for a in action.arguments}
        signer = {"signer": "Kim"} if "signer" in declared else {}
        arguments = ARGUMENTS.get(name, {}) | signer | {k: v for k, v in extra.items() if k in declared}
        ctx = Context(caller.principal, behalf, NOON + len(trail), refs, caller.permissions | {"*"}, caller.party)
        decision = decide(MANIFEST_TYPE, record, name, arguments, ctx, ID)
        if isinstance(decision, Decision):
            before = None if record is None else record.state
            assert decision.transition.from_state == before
            record = decision.record
            json.dumps(record.data)  # plain JSON
            trail.append(decision.transition)
            refs.records[record.id] = record
            assert record.state in MANIFEST_TYPE.procedure.states
            assert record.version == len(trail)
            assert ("number" in record.data) == any(t.action == "precheck" for t in trail)
            assert all({d.action for d in decision.effect.deadlines} <= {"expire", "remind"} for _ in trail)
    assert [t.version for t in trail] == list(range(1, len(trail) + 1))
    assert [t.to_state for t in trail[:-1]] == [t.from_state for t in trail[1:]]
