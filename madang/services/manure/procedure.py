"""The life cycle of a manifest (전자인계서), from draft to confirmation.

One transport: one supplier, one vehicle, one load, one or more receivers. The *number* is issued by `precheck` alone and is
what an inspector asks for; the id carries the same code from the first draft on, so that a draft that never passes leaves a gap.
A manifest is *open* from `precheck` (`openedAt`) to `finish` or `cancel` (`closedAt`): only then may its vehicle carry manure.

Who acts: the carrier (`manifest.carry`) up to `finish`; supplier and receiver (`manifest.confirm`) afterwards, never the
carrier; an officer (`manifest.correct`) opens a correction. Whoever types, `on_behalf_of` names who agreed; city staff who type
for a side without it name the side (`role`) and the signer. One receiver's confirmation is enough where a tour had several,
and names the whole accepted amount.
"""

from madang.model.entity import AttributeType
from madang.procedure.contract import Action, Argument, Procedure, RecordType
from madang.services.manure import manifest as m
from madang.services.manure import manifest_guards as g
from madang.services.manure.model import (
    AGRI_FARM,
    AGRI_PARCEL,
    GROSS_WEIGHT_KG_MAX,
    ORGANIZATION,
    TREATMENT_PLANT,
    VEHICLE,
)

_CARRY, _CONFIRM, _CORRECT = "manifest.carry", "manifest.confirm", "manifest.correct"
_SYSTEM = "record.system"
_OURS = "Madang, after the sector's page"
MANIFEST_TYPES = ("manure", "liquidFertiliser", "compost")
SIGNING_METHODS = ("login", "app", "driver-phone", "farmer-phone", "weighbridge", "sms", "paper")
"""How somebody signed; ``driver-phone``: on the phone of the driver, normal in Korea."""


def _said(ko: str, en: str) -> dict[str, str]:
    return {"ko": ko, "en": en}


def _kg(name: str, ko: str, en: str, *, required: bool = False, minimum: float = 0) -> Argument:
    return Argument(
        name,
        "number",
        required=required,
        title=_said(ko, en),
        unit="KGM",
        minimum=minimum,
        maximum=GROSS_WEIGHT_KG_MAX,
    )


_SIGNER = (
    Argument("signer", "text", title=_said("서명자", "Signed by"), length_max=100),
    Argument("method", "choice", title=_said("서명 방법", "How signed"), choices=SIGNING_METHODS),
)
_AT = Argument("at", "instant", title=_said("시각", "When"))
_SOURCE = Argument("source", "choice", title=_said("중량 출처", "Weighed by"), choices=("device", "manual"))
_ROLE = Argument("role", "choice", title=_said("동의하는 쪽", "Who agrees"), choices=m.PARTY_ROLES)
_REASON = Argument("reason", "text", required=True, title=_said("사유", "Reason"), length_max=500)
_TYPE = Argument("manifestType", "choice", title=_said("종류", "Kind"), choices=MANIFEST_TYPES)
_VEHICLE = Argument("vehicle", "entity", title=_said("차량", "Truck"), entity_types=(VEHICLE,))
_DRIVER = Argument("driver", "text", title=_said("운전자", "Driver"), length_max=100)
_CARRIER = Argument(
    "transporter", "entity", title=_said("운반자", "Carrier"), entity_types=(ORGANIZATION, AGRI_FARM, TREATMENT_PLANT)
)
_TO = Argument("to", "list", title=_said("인수지", "To"), entity_types=(AGRI_PARCEL, TREATMENT_PLANT))
_PLANNED_AT = Argument("plannedAt", "instant", title=_said("예정 시각", "Planned time"))
_PLANNED = _kg("plannedAmount", "예정량", "Planned amount", minimum=1)
_ACCEPTED = _kg("acceptedAmount", "인수량", "Accepted amount")
_REMARKS = Argument("remarks", "list", title=_said("비고", "Remarks"))

_PLAN = (_CARRIER, _VEHICLE, _DRIVER, _TO, _PLANNED_AT, _PLANNED, _REMARKS)
_SUPPLIER = Argument(
    "from", "entity", required=True, title=_said("배출자", "Supplier"), entity_types=(AGRI_FARM, TREATMENT_PLANT)
)
_TYPE_REQUIRED = Argument("manifestType", "choice", required=True, title=_said("종류", "Kind"), choices=MANIFEST_TYPES)

PROCEDURE = Procedure(
    states=(
        m.DRAFT, m.PRECHECKED, m.STARTED, m.LOADED, m.IN_TRANSIT, m.UNLOADED, m.AWAITING_CONFIRMATION, m.CONFIRMED,
        m.DISPUTED, m.OVERDUE, m.REJECTED_FULL, m.REJECTED_PARTIAL, m.UNDER_CORRECTION, m.CORRECTED, m.CANCELLED,
    ),
    final_states=(m.CONFIRMED, m.CORRECTED, m.CANCELLED),
    reopening=("correct",),
    actions=(
        Action(
            "create",
            _said("작성", "Create"),
            (),
            (m.DRAFT,),
            _CARRY,
            g.can_create,
            m.create,
            (_TYPE_REQUIRED, _SUPPLIER, *_PLAN, *_SIGNER),
            _said("임시로 저장합니다. 아직 번호는 없습니다.", "Saves a draft. It has no number yet."),
        ),
        Action(
            "change",
            _said("변경", "Change"),
            (m.DRAFT, m.PRECHECKED, m.STARTED, m.LOADED, m.IN_TRANSIT),
            ("=",),
            _CARRY,
            g.can_change,
            m.change,
            (_TYPE, *_PLAN),
            _said(
                "적재 전에는 차량과 종류, 하역 전에는 인수지를 바꿀 수 있습니다.",
                "Truck and kind may change until loading, the receivers until unloading.",
            ),
        ),
        Action(
            "precheck",
            _said("사전 확인", "Pre-check"),
            (m.DRAFT,),
            (m.PRECHECKED,),
            _CARRY,
            g.can_precheck,
            m.precheck,
            (),
            _said("번호를 발급합니다. 이때부터 운반할 수 있습니다.", "Issues the number. Carrying is allowed from now on."),
        ),
        Action(
            "start",
            _said("출발", "Start"),
            (m.PRECHECKED,),
            (m.STARTED,),
            _CARRY,
            g.can_carry,
            m.start,
            (_AT, *_SIGNER),
            _said("농가로 출발합니다.", "The truck sets out for the farm."),
        ),
        Action(
            "load",
            _said("적재", "Load"),
            (m.STARTED,),
            (m.LOADED,),
            _CARRY,
            g.can_carry,
            m.load,
            (
                _kg("amount", "적재량", "Loaded amount", required=True, minimum=1),
                _AT,
                Argument("place", "place", title=_said("적재지", "Where")),
                _SOURCE,
                *_SIGNER,
            ),
            _said(
                "적재량을 기록합니다. 이후에는 차량을 바꿀 수 없습니다.",
                "Records the load. The truck cannot change afterwards.",
            ),
        ),
        Action(
            "depart",
            _said("운송", "Depart"),
            (m.LOADED, m.REJECTED_FULL, m.REJECTED_PARTIAL),
            (m.IN_TRANSIT,),
            _CARRY,
            g.can_carry,
            m.depart,
            (_AT,),
            _said("인수지로 출발합니다.", "The truck leaves for the receiver."),
        ),
        Action(
            "unload",
            _said("하역", "Unload"),
            (m.IN_TRANSIT, m.UNLOADED),
            (m.UNLOADED,),
            _CARRY,
            g.can_unload,
            m.unload,
            (
                _kg("amount", "하역량", "Unloaded amount", required=True, minimum=1),
                Argument(
                    "place",
                    "entity",
                    required=True,
                    title=_said("하역지", "Where"),
                    entity_types=(AGRI_PARCEL, TREATMENT_PLANT),
                ),
                _AT,
                _SOURCE,
                *_SIGNER,
            ),
            _said("하역량을 기록합니다. 여러 번 할 수 있습니다.", "Records an unloading. It may be repeated."),
        ),
        Action(
            "finish",
            _said("운반 종료", "Finish"),
            (m.UNLOADED, m.REJECTED_FULL, m.REJECTED_PARTIAL),
            (m.AWAITING_CONFIRMATION,),
            _CARRY,
            g.can_carry,
            m.finish,
            (_AT, _kg("residue", "잔량", "Left on the truck"), _REMARKS, *_SIGNER),
            _said(
                "배출자와 인수자에게 확인을 요청합니다. 7일 안에 확인해야 합니다.",
                "Asks supplier and receiver to confirm; they have 7 days.",
            ),
        ),
        Action(
            "confirm",
            _said("확인", "Confirm"),
            (m.AWAITING_CONFIRMATION, m.OVERDUE),
            (m.CONFIRMED, "=", m.DISPUTED),
            _CONFIRM,
            g.can_confirm,
            m.confirm,
            (_ROLE, _ACCEPTED, *_SIGNER),
            _said(
                "양쪽이 확인하면 끝납니다. 양이 10% 넘게 다르면 조정으로 넘어갑니다.",
                "Done when both have confirmed; amounts that differ by more than 10 % are disputed.",
            ),
        ),
        Action(
            "dispute",
            _said("이의 제기", "Dispute"),
            (m.AWAITING_CONFIRMATION, m.OVERDUE, m.UNDER_CORRECTION),
            (m.DISPUTED,),
            _CONFIRM,
            g.can_dispute,
            m.dispute,
            (_ROLE, _REASON, _ACCEPTED, *_SIGNER),
            _said("상대방에게 알립니다. 15일 안에 합의해야 합니다.", "Tells the other side; both have 15 days to settle."),
        ),
        Action(
            "agree",
            _said("합의", "Agree"),
            (m.DISPUTED, m.UNDER_CORRECTION, m.OVERDUE),
            (m.CONFIRMED, m.CORRECTED),
            _CONFIRM,
            g.can_agree,
            m.agree,
            (_ROLE, _ACCEPTED, *_SIGNER),
            _said("이의나 정정을 받아들이고 끝냅니다.", "Settles the dispute or accepts the correction."),
        ),
        Action(
            "reject",
            _said("인수 거부", "Reject"),
            (m.IN_TRANSIT, m.UNLOADED),
            (m.REJECTED_FULL, m.REJECTED_PARTIAL),
            _CONFIRM,
            g.can_reject,
            m.reject,
            (
                Argument(
                    "extent", "choice", required=True, title=_said("거부 범위", "How much"), choices=("full", "partial")
                ),
                _kg("rejectedAmount", "거부량", "Rejected amount"),
                Argument(
                    "alternate",
                    "entity",
                    title=_said("대체 인수지", "Alternate receiver"),
                    entity_types=(AGRI_PARCEL, TREATMENT_PLANT),
                ),
                _REASON,
                *_SIGNER,
            ),
            _said(
                "배출자와 운반자에게 알립니다. 대체 인수지로 보내거나 돌려보냅니다.",
                "Tells supplier and carrier; the rest goes to the alternate receiver or back.",
            ),
        ),
        Action(
            "correct",
            _said("정정", "Correct"),
            (m.CONFIRMED, m.CORRECTED),
            (m.UNDER_CORRECTION,),
            _CORRECT,
            g.can_correct,
            m.correct,
            (
                _REASON,
                _TYPE,
                _VEHICLE,
                _DRIVER,
                _kg("loadedAmount", "적재량", "Loaded amount"),
                Argument("unloaded", "list", title=_said("하역 내역", "Unloadings")),
                _ACCEPTED,
                _kg("residue", "잔량", "Left on the truck"),
                _REMARKS,
            ),
            _said(
                "새 판으로 고칩니다. 이전 판은 남고, 상대방이 합의해야 합니다.",
                "Makes a new version; the earlier ones stay, and the other side has to agree.",
            ),
        ),
        Action(
            "cancel",
            _said("취소", "Cancel"),
            m.BEFORE_LOADING,
            (m.CANCELLED,),
            _CARRY,
            g.can_cancel,
            m.cancel,
            (_REASON,),
            _said("운반하지 않고 끝냅니다. 되돌릴 수 없습니다.", "Ends it without a transport. This cannot be undone."),
        ),
        Action(
            "remind",
            _said("확인 독촉", "Remind"),
            (m.AWAITING_CONFIRMATION, m.DISPUTED, m.UNDER_CORRECTION),
            ("=",),
            _SYSTEM,
            g.can_always,
            m.remind,
            (Argument("hoursLeft", "integer", required=True, title=_said("남은 시간", "Hours left"), unit="HUR"),),
            _said("아직 확인하지 않은 쪽에 문자를 보냅니다.", "Sends a text message to who has not signed."),
            quiet=True,
        ),
        Action(
            "expire",
            _said("기한 경과", "Expire"),
            (m.AWAITING_CONFIRMATION, m.DISPUTED, m.UNDER_CORRECTION),
            (m.OVERDUE,),
            _SYSTEM,
            g.can_always,
            m.expire,
            (),
            _said("기한이 지났음을 담당 부서에 알립니다.", "Tells the office that the time is up."),
        ),
    ),
)  # fmt: skip


def _attribute(name: str, ko: str, en: str, kind: str = "Property", unit: str | None = None) -> AttributeType:
    return AttributeType(name, kind=kind, unit=unit, title=_said(ko, en), source=_OURS)


MANIFEST_TYPE = RecordType(
    name=m.MANIFEST,
    title=_said("전자인계서", "Manifest"),
    attributes=(
        _attribute("number", "번호", "Number"),
        _attribute("manifestType", "종류", "Kind"),
        _attribute("from", "배출자", "Supplier", kind="Relationship"),
        _attribute("transporter", "운반자", "Carrier", kind="Relationship"),
        _attribute("vehicle", "차량", "Truck", kind="Relationship"),
        _attribute("driver", "운전자", "Driver"),
        _attribute("to", "인수지", "To", kind="Relationship"),
        _attribute("plannedAt", "예정 시각", "Planned time"),
        _attribute("plannedAmount", "예정량", "Planned amount", unit="KGM"),
        _attribute("openedAt", "개시", "Opened"),
        _attribute("startedAt", "출발", "Started"),
        _attribute("loaded", "적재", "Loaded"),
        _attribute("loadedAmount", "적재량", "Loaded amount", unit="KGM"),
        _attribute("unloaded", "하역", "Unloaded"),
        _attribute("unloadedAmount", "하역량", "Unloaded amount", unit="KGM"),
        _attribute("finishedAt", "운반 종료", "Finished"),
        _attribute("closedAt", "종료", "Closed"),
        _attribute("acceptedAmount", "인수량", "Accepted amount", unit="KGM"),
        _attribute("residue", "잔량", "Left on the truck", unit="KGM"),
        _attribute("discrepancy", "차이", "Discrepancy", unit="KGM"),
        _attribute("confirmBy", "확인 기한", "Confirm by"),
        _attribute("confirmedAt", "확인 시각", "Confirmed"),
        _attribute("confirmations", "확인한 쪽", "Confirmed by"),
        _attribute("remarks", "비고", "Remarks"),
        _attribute("signatures", "서명", "Signatures"),
        _attribute("corrections", "정정 이력", "Corrections"),
        _attribute("rejections", "거부 이력", "Rejections"),
    ),
    procedure=PROCEDURE,
    state_titles={
        m.DRAFT: _said("작성 중", "Draft"),
        m.PRECHECKED: _said("번호 발급", "Number issued"),
        m.STARTED: _said("출발", "Started"),
        m.LOADED: _said("적재", "Loaded"),
        m.IN_TRANSIT: _said("운송 중", "In transit"),
        m.UNLOADED: _said("하역", "Unloaded"),
        m.AWAITING_CONFIRMATION: _said("확인 대기", "Awaiting confirmation"),
        m.CONFIRMED: _said("확인 완료", "Confirmed"),
        m.DISPUTED: _said("이의 조정 중", "Disputed"),
        m.OVERDUE: _said("기한 경과", "Overdue"),
        m.REJECTED_FULL: _said("전량 거부", "Rejected in full"),
        m.REJECTED_PARTIAL: _said("일부 거부", "Rejected in part"),
        m.UNDER_CORRECTION: _said("정정 중", "Under correction"),
        m.CORRECTED: _said("정정 완료", "Corrected"),
        m.CANCELLED: _said("취소", "Cancelled"),
    },
    data_class="personal",  # drivers and signers are named
    indexed=("vehicle", "number", "from", "transporter"),
    number_prefix="M",
    parties=("from", "transporter", "to"),
    read_permission="manifest.read",
)
RECORD_TYPES = (MANIFEST_TYPE,)

CHECKLISTS: dict[str, tuple[str, ...]] = {
    "manure.D1": ("manure.do.call-driver", "manure.do.inspect-place", "manure.do.sample", "manure.do.photo"),
    "manure.D2": ("manure.do.call-driver", "manure.do.check-manifest", "manure.do.correct-manifest"),
    "manure.D4": ("manure.do.call-driver", "manure.do.check-manifest", "manure.do.ask-farm"),
    "manure.D8": ("manure.do.compare-weights", "manure.do.ask-both-sides", "manure.do.calibrate"),
}
"""What to do about each rule, shown on the incident to tick off (ours, after the sector's page: inspect, document, reconcile)."""
