"""The life cycle of an incident: from a finding to a reviewed outcome, whatever the sector.

Decisions that are ours:

- *Escalation is a level, not a state.* An incident that nobody acknowledged stays OPEN, so that nothing about what must be
  done with it changes; its level rises and further people are told. Being assigned is not being acknowledged: the deadline
  runs on until somebody says "I have seen it".
- *Severity is the worst of the live findings*, and the lane follows from it: critical and high ask to act, medium to look, low
  goes to the log.
- *A later finding of the same situation joins the incident whatever its state.* A resolved or reviewed incident stays so and shows
  the newcomer, unless the newcomer is worse than all that was known when it was resolved: then it opens again. A withdrawn
  incident opens again.
- *A finding of the same rule and situation takes the place of the one told before it*: an event is told again as it grows and is
  settled, and the incident shows the newest amount once. What it replaces stays under it in short, and in the earlier versions.
- *Late data withdraws findings, never people's work.* Without a live finding an incident that nobody touched becomes
  WITHDRAWN; one that somebody works on only shows the withdrawal.
- *Merging* hands the findings over and ends the merged incident; later findings of its situation go to the one it was
  merged into.
"""

from madang.model.entity import AttributeType
from madang.model.finding import SEVERITIES
from madang.procedure import incident_effects as effects
from madang.procedure.contract import Action, Argument, Procedure, RecordType
from madang.procedure.incident_effects import (
    ACKNOWLEDGED,
    CAUSES,
    ESCALATE,
    ESCALATE_AFTER,
    IN_PROGRESS,
    INCIDENT_TYPE,
    LIVE_STATES,
    MERGED,
    OPEN,
    RESOLVED,
    REVIEWED,
    WITHDRAWN,
    entry_of,
    finding_in,
    lane_of,
)

__all__ = [
    "ACKNOWLEDGED",
    "CAUSES",
    "ESCALATE",
    "ESCALATE_AFTER",
    "INCIDENT",
    "INCIDENT_TYPE",
    "IN_PROGRESS",
    "LIVE_STATES",
    "MERGED",
    "OPEN",
    "PROCEDURE",
    "RESOLVED",
    "REVIEWED",
    "WITHDRAWN",
    "entry_of",
    "finding_in",
    "lane_of",
]

_READ, _ACT, _REVIEW, _SYSTEM = "incident.read", "incident.act", "incident.review", "record.system"
_OURS = "Madang"


def _said(ko: str, en: str) -> dict[str, str]:
    return {"ko": ko, "en": en}


_NOTE = Argument("note", "text", title=_said("메모", "Note"))
_CAUSE_TITLE = _said("원인", "Cause")
_FINDING_ARGUMENTS = (
    Argument("finding", "object", required=True, title=_said("탐지 결과", "Finding")),
    Argument("findingId", "text", required=True, title=_said("탐지 번호", "Finding id")),
    Argument("seq", "integer", title=_said("변경 순번", "Log position")),
    Argument("checklist", "list", title=_said("점검 목록", "Checklist")),
)

_WITHDRAWAL_ARGUMENTS = (
    Argument("rule", "text", required=True, title=_said("규칙", "Rule")),
    Argument("situation", "text", required=True, title=_said("상황", "Situation")),
    Argument("reason", "object", title=_said("사유", "Reason")),
)

PROCEDURE = Procedure(
    states=(OPEN, ACKNOWLEDGED, IN_PROGRESS, RESOLVED, REVIEWED, MERGED, WITHDRAWN),
    final_states=(REVIEWED, MERGED, WITHDRAWN),
    reopening=("rejoin", "reopen"),
    actions=(
        Action(
            "open",
            _said("탐지로 열기", "Open by a finding"),
            (),
            (OPEN,),
            _SYSTEM,
            effects.can_open,
            effects.open_incident,
            _FINDING_ARGUMENTS,
            _said("탐지 결과로 사건을 엽니다.", "Opens an incident for a finding."),
        ),
        Action(
            "report",
            _said("직접 신고", "Report"),
            (),
            (OPEN,),
            _ACT,
            effects.free,
            effects.report,
            (
                Argument("title", "text", required=True, title=_said("내용", "What happened"), length_max=200),
                Argument("severity", "choice", required=True, title=_said("심각도", "Severity"), choices=SEVERITIES),
                Argument("location", "place", title=_said("위치", "Place")),
                Argument("subject", "entity", title=_said("대상", "About")),
                Argument("at", "instant", title=_said("발생 시각", "When")),
                _NOTE,
            ),
            _said("사건이 열리고 담당자를 기다립니다.", "Opens an incident that waits for somebody to take it."),
        ),
        Action(
            "acknowledge",
            _said("확인", "Acknowledge"),
            (OPEN,),
            (ACKNOWLEDGED,),
            _ACT,
            effects.free,
            effects.acknowledge,
            (_NOTE,),
            _said(
                "확인한 사람으로 기록되고 상급자 통보가 멈춥니다.",
                "You are on record as having seen it; escalation stops.",
            ),
        ),
        Action(
            "assign",
            _said("담당자 지정", "Assign"),
            LIVE_STATES,
            ("=",),
            _ACT,
            effects.free,
            effects.assign,
            (Argument("assignee", "text", required=True, title=_said("담당자", "Assignee"), length_max=200), _NOTE),
            _said(
                "담당자에게 알립니다. 확인 전이면 상급자 통보 시한은 그대로입니다.",
                "Tells the assignee. If nobody has acknowledged yet, the escalation deadline stays.",
            ),
        ),
        Action(
            "act",
            _said("조치 기록", "Record an action"),
            LIVE_STATES,
            (IN_PROGRESS,),
            _ACT,
            effects.can_act,
            effects.act,
            (
                _NOTE,
                Argument("item", "text", title=_said("점검 항목", "Checklist item"), length_max=40),
                Argument("done", "boolean", title=_said("완료", "Done")),
            ),
            _said("한 일을 기록하고 처리 중으로 바꿉니다.", "Records what was done; the incident is in progress."),
        ),
        Action(
            ESCALATE,
            _said("상급자 통보", "Escalate"),
            LIVE_STATES,
            ("=",),
            _ACT,
            effects.can_escalate,
            effects.escalate,
            (_NOTE,),
            _said("다음 단계 책임자에게 문자를 보냅니다.", "Sends a text message to the next level."),
            quiet=True,
        ),
        Action(
            "merge",
            _said("합치기", "Merge"),
            LIVE_STATES,
            (MERGED,),
            _REVIEW,
            effects.can_merge,
            effects.merge,
            (
                Argument(
                    "into", "entity", required=True, title=_said("합칠 사건", "Into"), entity_types=(INCIDENT_TYPE,)
                ),
                _NOTE,
            ),
            _said(
                "탐지 결과를 다른 사건으로 넘기고 이 사건을 끝냅니다.",
                "Hands the findings to the other incident and ends this one.",
            ),
        ),
        Action(
            "resolve",
            _said("종결", "Resolve"),
            LIVE_STATES,
            (RESOLVED,),
            _ACT,
            effects.free,
            effects.resolve,
            (Argument("cause", "choice", required=True, title=_CAUSE_TITLE, choices=CAUSES), _NOTE),
            _said("원인을 남기고 종결합니다. 다시 열 수 있습니다.", "Closes it with its cause. It can be reopened."),
        ),
        Action(
            "review",
            _said("검토", "Review"),
            (RESOLVED,),
            (REVIEWED,),
            _REVIEW,
            effects.can_review,
            effects.review,
            (
                Argument(
                    "verdict", "choice", required=True, title=_said("판정", "Verdict"), choices=("agreed", "corrected")
                ),
                Argument("cause", "choice", title=_CAUSE_TITLE, choices=CAUSES),
                _NOTE,
            ),
            _said(
                "처리 결과를 확정합니다. 탐지 정확도 통계에 쓰입니다.",
                "Settles the outcome. The rule's accuracy figures use it.",
            ),
        ),
        Action(
            "reopen",
            _said("다시 열기", "Reopen"),
            (RESOLVED, REVIEWED, WITHDRAWN),
            (ACKNOWLEDGED,),
            _REVIEW,
            effects.free,
            effects.reopen,
            (_NOTE,),
            _said(
                "다시 처리합니다. 다시 연 사람이 확인자가 됩니다.",
                "It is worked on again; you are on record as having seen it.",
            ),
            undo=True,
        ),
        Action(
            "comment",
            _said("의견", "Comment"),
            (*LIVE_STATES, RESOLVED, REVIEWED, WITHDRAWN, MERGED),
            ("=",),
            _ACT,
            effects.free,
            effects.comment,
            (Argument("text", "text", required=True, title=_said("의견", "Comment")),),
            _said("이력에 의견을 남깁니다.", "Adds a comment to the trail."),
            quiet=True,
        ),
        Action(
            "join",
            _said("탐지 추가", "Join a finding"),
            LIVE_STATES,
            ("=",),
            _SYSTEM,
            effects.can_open,
            effects.join,
            _FINDING_ARGUMENTS,
            _said(
                "같은 상황의 탐지 결과를 더합니다. 같은 규칙의 이전 결과는 새 결과로 바뀝니다.",
                "Adds another finding of the same situation; one of the same rule takes the place of what was told before.",
            ),
        ),
        Action(
            "rejoin",
            _said("끝난 뒤 탐지 추가", "Join a finding afterwards"),
            (RESOLVED, REVIEWED, WITHDRAWN),
            ("=", OPEN),
            _SYSTEM,
            effects.can_open,
            effects.rejoin,
            _FINDING_ARGUMENTS,
            _said(
                "같은 상황의 탐지 결과를 더하고, 전보다 심각하거나 철회된 사건이면 다시 엽니다.",
                "Adds another finding; opens again what was withdrawn or is worse than was known.",
            ),
        ),
        Action(
            "retell",
            _said("탐지 갱신", "Amount updated"),
            (*LIVE_STATES, RESOLVED, REVIEWED),
            ("=",),
            _SYSTEM,
            effects.can_retell,
            effects.retell,
            _FINDING_ARGUMENTS,
            _said(
                "이미 있는 탐지 결과를 새 값으로 바꿉니다. 심각도는 높아지지 않습니다.",
                "A finding that stands is told with newer figures; it is no worse than before.",
            ),
            quiet=True,
        ),
        Action(
            "absorb",
            _said("합쳐진 사건 받기", "Take over findings"),
            LIVE_STATES,
            ("=",),
            _SYSTEM,
            effects.free,
            effects.absorb,
            (
                Argument(
                    "from", "entity", required=True, title=_said("합쳐진 사건", "From"), entity_types=(INCIDENT_TYPE,)
                ),
                Argument("findings", "list", title=_said("탐지 결과", "Findings")),
                Argument("checklist", "list", title=_said("점검 목록", "Checklist")),
            ),
            _said("합쳐진 사건의 탐지 결과를 받습니다.", "Takes over the findings of a merged incident."),
        ),
        Action(
            "withdraw",
            _said("탐지 철회", "Withdraw a finding"),
            (OPEN,),
            (WITHDRAWN, "="),
            _SYSTEM,
            effects.can_withdraw,
            effects.withdraw,
            _WITHDRAWAL_ARGUMENTS,
            _said(
                "늦게 온 자료로 탐지 결과를 거둡니다. 남은 탐지가 없고 아무도 손대지 않았으면 사건을 철회합니다.",
                "Late data takes a finding back; with none left, an incident that nobody touched is withdrawn.",
            ),
        ),
        Action(
            "retract",
            _said("탐지 철회 표시", "Show a withdrawal"),
            (ACKNOWLEDGED, IN_PROGRESS, RESOLVED, REVIEWED),
            ("=",),
            _SYSTEM,
            effects.can_withdraw,
            effects.retract,
            _WITHDRAWAL_ARGUMENTS,
            _said(
                "늦게 온 자료로 탐지 결과를 거둡니다. 사람이 한 일은 그대로 둡니다.",
                "Late data takes a finding back; what people did stays.",
            ),
        ),
    ),
)


def _attribute(name: str, ko: str, en: str, kind: str = "Property", unit: str | None = None) -> AttributeType:
    return AttributeType(name, kind=kind, unit=unit, title=_said(ko, en), source=_OURS)


INCIDENT = RecordType(
    name=INCIDENT_TYPE,
    title=_said("사건", "Incident"),
    attributes=(
        _attribute("number", "사건 번호", "Number"),
        _attribute("severity", "심각도", "Severity"),
        _attribute("lane", "대응 구분", "Lane"),
        _attribute("title", "내용", "Title"),
        _attribute("rules", "규칙", "Rules"),
        _attribute("subject", "대상", "About", kind="Relationship"),
        _attribute("involved", "관련", "Involved", kind="Relationship"),
        _attribute("location", "위치", "Place", kind="GeoProperty"),
        _attribute("markedAt", "발생 시각", "Happened"),
        _attribute("openedAt", "접수 시각", "Opened"),
        _attribute("acknowledgedBy", "확인자", "Acknowledged by"),
        _attribute("assignee", "담당자", "Assignee"),
        _attribute("level", "통보 단계", "Escalation level", unit="C62"),
        _attribute("cause", "원인", "Cause"),
        _attribute("withdrawn", "철회됨", "Withdrawn"),
        _attribute("unseen", "새 소식", "Unseen"),
        _attribute("mergedInto", "합쳐진 곳", "Merged into", kind="Relationship"),
    ),
    procedure=PROCEDURE,
    state_titles={
        OPEN: _said("접수", "Open"),
        ACKNOWLEDGED: _said("확인", "Acknowledged"),
        IN_PROGRESS: _said("처리 중", "In progress"),
        RESOLVED: _said("종결", "Resolved"),
        REVIEWED: _said("검토 완료", "Reviewed"),
        MERGED: _said("합쳐짐", "Merged"),
        WITHDRAWN: _said("철회", "Withdrawn"),
    },
    indexed=("subject", "number"),
    number_prefix="I",
    read_permission=_READ,
)
