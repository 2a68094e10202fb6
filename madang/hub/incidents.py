"""From findings to incidents. Runs inside the transaction that commits the finding, so the single writer keeps it
free of races: two findings of one situation can never open two incidents.

The link of kind ``situation`` leads from a situation to its incident. It is never removed: a merged incident is followed to the one
that took its findings over.
"""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from madang.hub.ports import Tx
from madang.hub.records import Records
from madang.model.caller import SYSTEM
from madang.model.finding import Finding
from madang.model.record import Record
from madang.procedure.incident import INCIDENT_TYPE, MERGED, OPEN, RESOLVED, REVIEWED, WITHDRAWN
from madang.procedure.incident_effects import is_known, is_retelling
from madang.services.contract import Parameter

logger = structlog.get_logger(__name__)

SITUATION = "situation"
"""Kind of the link from a situation to its incident."""
MERGES_MAX = 64
"""Merges followed from one incident to the next; a longer chain is a broken store."""

INCIDENT_PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "incident.escalate_critical_min",
        3,
        {"ko": "위급 사건의 확인 시한 (분)", "en": "Time to acknowledge a critical incident (min)"},
        "ours: a control room answers a life-safety alarm within three minutes",
        minimum=1,
        maximum=1_440,
    ),
    Parameter(
        "incident.escalate_high_min",
        10,
        {"ko": "높음 사건의 확인 시한 (분)", "en": "Time to acknowledge a high incident (min)"},
        "ours",
        minimum=1,
        maximum=1_440,
    ),
    Parameter(
        "incident.escalate_medium_min",
        60,
        {"ko": "보통 사건의 확인 시한 (분)", "en": "Time to acknowledge a medium incident (min)"},
        "ours; an incident of low severity never escalates",
        minimum=1,
        maximum=10_080,
    ),
)


class Incidents:
    """Opens, joins and withdraws incidents for findings."""

    def __init__(self, records: Records, checklists: Mapping[str, Sequence[str]] | None = None) -> None:
        """`checklists`: rule -> reason codes of what to do, put on every incident that has a finding of the rule."""
        self._records = records
        self._checklists = checklists or {}

    def apply_finding_in(self, tx: Tx, finding: Finding, finding_id: str, seq: int) -> Record | None:
        """Let a finding open an incident, join the one of its situation (in the place of an earlier telling of its rule; quietly,
        when it is no worse than that), or withdraw an earlier finding from it.

        `finding_id` is its identity: applying it again changes nothing. Gives the incident as it is now; None when there was
        nothing to withdraw.
        """
        incident = self.find_in(tx, finding.situation)
        if finding.withdraws:
            return self._withdraw(tx, incident, finding)
        arguments = {
            "finding": msgspec.to_builtins(finding),
            "findingId": finding_id,
            "seq": seq,
            "checklist": list(self._checklists.get(finding.rule, ())),
        }
        if incident is None:
            incident = self._records.create_in(tx, SYSTEM, INCIDENT_TYPE, "open", arguments)
            tx.put_link(SITUATION, finding.situation, incident.id)
            return incident
        if is_known(incident.data, finding_id):
            return incident
        if incident.state != WITHDRAWN and is_retelling(incident.data, finding):
            action = "retell"
        else:
            action = "rejoin" if incident.state in (RESOLVED, REVIEWED, WITHDRAWN) else "join"
        return self._records.act_in(tx, SYSTEM, incident.id, action, arguments)

    def find_in(self, tx: Tx, situation: str) -> Record | None:
        """The incident that findings of the situation belong to now, merges followed; None when there is none."""
        id_ = tx.find_link(SITUATION, situation)
        for _ in range(MERGES_MAX):
            incident = None if id_ is None else tx.find_record(id_)
            if incident is None or incident.state != MERGED:
                return incident
            id_ = incident.data["mergedInto"]
        raise RuntimeError(f"{id_}: more than {MERGES_MAX} merges in a row")

    def _withdraw(self, tx: Tx, incident: Record | None, finding: Finding) -> Record | None:
        standing = incident is not None and any(
            not entry["withdrawn"]
            and entry["finding"]["rule"] == finding.rule
            and entry["finding"]["situation"] == finding.situation
            for entry in incident.data["findings"]
        )
        if incident is None or not standing:
            logger.info("nothing to withdraw", rule=finding.rule, situation=finding.situation)
            return None
        arguments = {
            "rule": finding.rule,
            "situation": finding.situation,
            "reason": {"code": finding.reason.code, "params": finding.reason.params},
        }
        action = "withdraw" if incident.state == OPEN else "retract"
        return self._records.act_in(tx, SYSTEM, incident.id, action, arguments)
