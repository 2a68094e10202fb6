"""Limits of livestock-manure transport that a city may set, and the titles of the rules."""

from madang.services.contract import Parameter

DISCHARGE_MIN_KG = "manure.discharge_min_kg"
PLACE_BUFFER_M = "manure.place_buffer_m"
MANIFEST_GRACE_MIN = "manure.manifest_grace_min"
BALANCE_SHARE = "manure.balance_share"
BALANCE_KG = "manure.balance_kg"
CONFIRM_WITHIN_H = "manure.confirm_within_h"

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        DISCHARGE_MIN_KG,
        300,
        {"ko": "하역으로 보는 최소량 (kg)", "en": "Least amount that counts as a discharge (kg)"},
        "Suggested default of the sector's page (300 kg or 5 sigma of the weight noise)",
        minimum=100,
        maximum=5_000,
    ),
    Parameter(
        PLACE_BUFFER_M,
        30,
        {"ko": "등록 장소의 여유 거리 (m)", "en": "Buffer around registered places (m)"},
        "Suggested default of the sector's page",
        minimum=0,
        maximum=500,
    ),
    Parameter(
        MANIFEST_GRACE_MIN,
        10,
        {"ko": "전자인계서 앞뒤 유예 (분)", "en": "Grace before and after a manifest (min)"},
        "Ours: drivers open and close a manifest some minutes early or late",
        minimum=0,
        maximum=240,
    ),
    Parameter(
        BALANCE_SHARE,
        0.10,
        {"ko": "물질수지 허용 비율", "en": "Mass balance tolerance (share of loaded)"},
        "40 CFR 267.72: significant discrepancy of bulk waste is more than 10 % by weight",
        minimum=0,
        maximum=1,
    ),
    Parameter(
        BALANCE_KG,
        500,
        {"ko": "물질수지 허용량 (kg)", "en": "Mass balance tolerance (kg)"},
        "Suggested default of the sector's page",
        minimum=0,
        maximum=20_000,
    ),
    Parameter(
        CONFIRM_WITHIN_H,
        168,
        {"ko": "인수 확인 기한 (시간)", "en": "Time to confirm a manifest (h)"},
        "Netherlands rVDM: confirmation by supplier and receiver within 7 days",
        minimum=1,
        maximum=2_160,
    ),
)

RULES: dict[str, dict[str, str]] = {
    "manure.D1": {"ko": "허가되지 않은 곳에서 하역", "en": "Unloading outside any permitted place"},
    "manure.D2": {"ko": "전자인계서에 없는 장소에 하역", "en": "Unloading at a place that is not on the manifest"},
    "manure.D4": {"ko": "전자인계서 없이 적재·하역", "en": "Loading or unloading without an open manifest"},
    "manure.D8": {"ko": "적재량과 하역량 불일치", "en": "Loaded and unloaded amounts do not agree"},
}
