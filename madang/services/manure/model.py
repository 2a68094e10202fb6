"""Entity types of livestock-manure transport: trucks with a weight terminal, registered places, forbidden zones, map,
and what the cleaning detector derives.

Names are those of the Smart Data Models where one exists (Vehicle, AgriFarm, AgriParcel, RoadSegment); the rest is
ours. Ranges are what a working device can send: a value outside is a broken device, not a measurement.
"""

from madang.model.entity import AttributeType, EntityType

SDM_VEHICLE = "Smart Data Models, Transportation/Vehicle"
SDM_FARM = "Smart Data Models, Agrifood/AgriFarm"
SDM_PARCEL = "Smart Data Models, Agrifood/AgriParcel"
SDM_ROAD = "Smart Data Models, Transportation/RoadSegment"
SDM_COMMON = "Smart Data Models, common schema"
OURS = "Madang"

VEHICLE = "Vehicle"
VEHICLE_REGISTRATION = "VehicleRegistration"
ORGANIZATION = "Organization"
AGRI_FARM = "AgriFarm"
AGRI_PARCEL = "AgriParcel"
TREATMENT_PLANT = "ManureTreatmentPlant"
VEHICLE_DEPOT = "VehicleDepot"
NO_SPREAD_ZONE = "NoSpreadZone"
ROAD_SEGMENT = "RoadSegment"
WATER_BODY = "WaterBody"
SETTLEMENT = "Settlement"
ADMINISTRATIVE_AREA = "AdministrativeArea"
VEHICLE_STOP = "VehicleStop"
MANURE_LOADING = "ManureLoading"
MANURE_UNLOADING = "ManureUnloading"
VEHICLE_TRIP = "VehicleTrip"
MANIFEST = "ManureManifest"
ODOUR_COMPLAINT = "OdourComplaint"

PLACE_TYPES = (AGRI_FARM, AGRI_PARCEL, TREATMENT_PLANT, VEHICLE_DEPOT)
"""Registered places that a truck can be at."""
PERMITTED_TYPES = (AGRI_PARCEL, TREATMENT_PLANT)
"""Where manure may be discharged."""

GROSS_WEIGHT_KG_MAX = 60_000
"""Korean roads allow 40 t; the rest is room for overloading."""
SPEED_KM_H_MAX = 180


def _name(source: str = SDM_COMMON) -> AttributeType:
    return AttributeType("name", title={"ko": "이름", "en": "Name"}, source=source)


def _area(source: str = SDM_COMMON) -> AttributeType:
    return AttributeType("location", kind="GeoProperty", title={"ko": "경계", "en": "Boundary"}, source=source)


def _mass(name: str, ko: str, en: str, source: str = OURS, maximum: float = GROSS_WEIGHT_KG_MAX) -> AttributeType:
    return AttributeType(name, unit="KGM", minimum=0, maximum=maximum, title={"ko": ko, "en": en}, source=source)


VEHICLE_TYPE = EntityType(
    VEHICLE,
    title={"ko": "운반차량", "en": "Truck"},
    attributes=(
        AttributeType("location", kind="GeoProperty", title={"ko": "위치", "en": "Position"}, source=SDM_VEHICLE),
        AttributeType(
            "speed",
            unit="KMH",
            minimum=0,
            maximum=SPEED_KM_H_MAX,
            title={"ko": "속도", "en": "Speed"},
            source=SDM_VEHICLE,
        ),
        AttributeType(
            "heading", unit="DD", minimum=0, maximum=360, title={"ko": "방향", "en": "Heading"}, source=SDM_VEHICLE
        ),
        _mass("grossWeight", "총중량", "Gross weight"),
        AttributeType("weightStable", title={"ko": "중량 안정", "en": "Weight stable"}, source=OURS),
        AttributeType("ignition", title={"ko": "시동", "en": "Ignition"}, source=OURS),
        AttributeType("ptoEngaged", title={"ko": "동력인출(펌프)", "en": "Pump drive (PTO)"}, source=OURS),
        AttributeType(
            "hdop",
            unit="C62",
            minimum=0,
            maximum=100,
            title={"ko": "위치 정밀도(HDOP)", "en": "Position dilution (HDOP)"},
            source=OURS,
        ),
        AttributeType(
            "batteryVoltage",
            unit="VLT",
            minimum=0,
            maximum=60,
            title={"ko": "배터리 전압", "en": "Battery voltage"},
            source=OURS,
        ),
        AttributeType("vehiclePlateIdentifier", title={"ko": "차량번호", "en": "Plate"}, source=SDM_VEHICLE),
        AttributeType("owner", kind="Relationship", title={"ko": "운반업체", "en": "Carrier"}, source=SDM_VEHICLE),
    ),
    kind="thing",
    data_class="personal",  # a truck's track is its driver's working day
    source=SDM_VEHICLE,
    parties=("owner",),
)

REGISTRATION_TYPE = EntityType(
    VEHICLE_REGISTRATION,
    title={"ko": "차량 등록", "en": "Vehicle registration"},
    attributes=(
        AttributeType("vehicle", kind="Relationship", title={"ko": "차량", "en": "Truck"}, source=OURS),
        AttributeType("vehiclePlateIdentifier", title={"ko": "차량번호", "en": "Plate"}, source=SDM_VEHICLE),
        AttributeType("owner", kind="Relationship", title={"ko": "운반업체", "en": "Carrier"}, source=SDM_VEHICLE),
        _mass("tareWeight", "공차중량", "Tare weight"),
        _mass("maxPayload", "최대적재량", "Maximum payload"),
        AttributeType(
            "weightNoise",
            unit="C62",
            minimum=0,
            maximum=0.2,
            title={"ko": "중량계 잡음(총중량 대비)", "en": "Weight noise (share of gross, 1 sigma)"},
            source=OURS,
        ),
    ),
    kind="reference",
    source=OURS,
    parties=("owner",),
)

ORGANIZATION_TYPE = EntityType(
    ORGANIZATION,
    title={"ko": "운반업체", "en": "Carrier"},
    attributes=(_name("schema.org/Organization"),),
    kind="reference",
    source="schema.org/Organization",
)

FARM_TYPE = EntityType(
    AGRI_FARM,
    title={"ko": "축산농가", "en": "Livestock farm"},
    attributes=(
        _name(SDM_FARM),
        _area(SDM_FARM),
        AttributeType("species", title={"ko": "축종", "en": "Species"}, source=OURS),
        AttributeType(
            "animalCount",
            unit="C62",
            minimum=0,
            maximum=1_000_000,
            title={"ko": "사육두수", "en": "Animals"},
            source=OURS,
        ),
        AttributeType(
            "permitClass",
            title={"ko": "시설 구분(허가·신고)", "en": "Permit class"},
            source="Act on the Management and Use of Livestock Excreta, art. 11",
        ),
    ),
    kind="reference",
    source=SDM_FARM,
)

PARCEL_TYPE = EntityType(
    AGRI_PARCEL,
    title={"ko": "살포 필지", "en": "Spreading parcel"},
    attributes=(
        _name(SDM_PARCEL),
        _area(SDM_PARCEL),
        AttributeType(
            "area", unit="MTK", minimum=0, maximum=100_000_000, title={"ko": "면적", "en": "Area"}, source=SDM_PARCEL
        ),
        AttributeType("category", title={"ko": "용도", "en": "Land use"}, source=SDM_PARCEL),
        _mass("allowedAmount", "허용 살포량", "Allowed amount", maximum=100_000_000),
    ),
    kind="reference",
    source=SDM_PARCEL,
)

PLANT_TYPE = EntityType(
    TREATMENT_PLANT,
    title={"ko": "처리시설", "en": "Treatment plant"},
    attributes=(_name(), _area(), _mass("capacity", "하루 처리용량", "Capacity per day", maximum=100_000_000)),
    kind="reference",
    source=OURS,
)

DEPOT_TYPE = EntityType(
    VEHICLE_DEPOT,
    title={"ko": "차고지", "en": "Depot"},
    attributes=(_name(), _area()),
    kind="reference",
    source=OURS,
)

ZONE_TYPE = EntityType(
    NO_SPREAD_ZONE,
    title={"ko": "살포 금지구역", "en": "No-spread zone"},
    attributes=(
        _name(),
        _area(),
        AttributeType("zoneType", title={"ko": "구역 종류", "en": "Kind of zone"}, source=OURS),
    ),
    kind="reference",
    source=OURS,
)

ROAD_TYPE = EntityType(
    ROAD_SEGMENT,
    title={"ko": "도로", "en": "Road"},
    attributes=(
        _name(SDM_ROAD),
        AttributeType("location", kind="GeoProperty", title={"ko": "선형", "en": "Course"}, source=SDM_ROAD),
        AttributeType("roadClass", title={"ko": "도로 등급", "en": "Road class"}, source=SDM_ROAD),
    ),
    kind="reference",
    data_class="public",
    source=SDM_ROAD,
)

WATER_TYPE = EntityType(
    WATER_BODY,
    title={"ko": "하천·호소", "en": "Water"},
    attributes=(_name(), _area()),
    kind="reference",
    data_class="public",
    source=OURS,
)

SETTLEMENT_TYPE = EntityType(
    SETTLEMENT,
    title={"ko": "마을", "en": "Settlement"},
    attributes=(_name(), _area()),
    kind="reference",
    data_class="public",
    source=OURS,
)

AREA_TYPE = EntityType(
    ADMINISTRATIVE_AREA,
    title={"ko": "행정구역", "en": "Administrative area"},
    attributes=(_name(), _area()),
    kind="reference",
    data_class="public",
    source=OURS,
)

_WHEN_AND_WHERE = (
    AttributeType("vehicle", kind="Relationship", title={"ko": "차량", "en": "Truck"}, source=OURS),
    AttributeType("startedAt", title={"ko": "시작", "en": "Started"}, source=OURS),
    AttributeType("endedAt", title={"ko": "끝", "en": "Ended"}, source=OURS),
    AttributeType("location", kind="GeoProperty", title={"ko": "위치", "en": "Position"}, source=OURS),
    AttributeType("place", kind="Relationship", title={"ko": "등록 장소", "en": "Registered place"}, source=OURS),
    AttributeType(
        "placeDistance",
        unit="MTR",
        minimum=0,
        title={"ko": "장소까지 거리", "en": "Distance to the place"},
        source=OURS,
    ),
    AttributeType("status", title={"ko": "상태", "en": "Status"}, source=OURS),
)
_WEIGHTS = (
    _mass("amount", "양", "Amount"),
    AttributeType(
        "amountError",
        unit="KGM",
        minimum=0,
        title={"ko": "양의 표준오차", "en": "Standard error of the amount"},
        source=OURS,
    ),
    AttributeType("weightBefore", unit="KGM", title={"ko": "이전 중량", "en": "Weight before"}, source=OURS),
    AttributeType("weightAfter", unit="KGM", title={"ko": "이후 중량", "en": "Weight after"}, source=OURS),
    AttributeType("moving", title={"ko": "이동 중", "en": "While moving"}, source=OURS),
    AttributeType(
        "startedBefore", title={"ko": "시작한 때의 끝", "en": "Had started by, where nobody saw it start"}, source=OURS
    ),
    AttributeType("unseen", title={"ko": "기록 공백 중", "en": "During a silence"}, source=OURS),
    AttributeType("track", kind="GeoProperty", title={"ko": "지난 자리", "en": "Where it went on"}, source=OURS),
)
"""`amountError` says how sure the amount is; `track` is where a spreader went, so that a rule tests the whole stretch
and not one point."""

STOP_TYPE = EntityType(
    VEHICLE_STOP,
    title={"ko": "정차", "en": "Stop"},
    attributes=_WHEN_AND_WHERE,
    kind="derived",
    data_class="personal",
    source=OURS,
    parties=("vehicle",),
)
LOADING_TYPE = EntityType(
    MANURE_LOADING,
    title={"ko": "적재", "en": "Loading"},
    attributes=_WHEN_AND_WHERE + _WEIGHTS,
    kind="derived",
    data_class="personal",
    source=OURS,
    parties=("vehicle",),
)
UNLOADING_TYPE = EntityType(
    MANURE_UNLOADING,
    title={"ko": "하역", "en": "Unloading"},
    attributes=_WHEN_AND_WHERE + _WEIGHTS,
    kind="derived",
    data_class="personal",
    source=OURS,
    parties=("vehicle",),
)
TRIP_TYPE = EntityType(
    VEHICLE_TRIP,
    title={"ko": "운행", "en": "Trip"},
    attributes=(
        *_WHEN_AND_WHERE,
        AttributeType("path", kind="GeoProperty", title={"ko": "경로", "en": "Path"}, source=OURS),
        AttributeType("distance", unit="MTR", minimum=0, title={"ko": "거리", "en": "Distance"}, source=OURS),
        _mass("loadedAmount", "적재량", "Loaded", maximum=1_000_000),
        _mass("unloadedAmount", "하역량", "Unloaded", maximum=1_000_000),
    ),
    kind="derived",
    data_class="personal",
    source=OURS,
    parties=("vehicle",),
)
COMPLAINT_TYPE = EntityType(
    ODOUR_COMPLAINT,
    title={"ko": "악취 민원", "en": "Odour complaint"},
    attributes=(
        AttributeType("location", kind="GeoProperty", title={"ko": "위치", "en": "Position"}, source=SDM_COMMON),
        AttributeType("dateObserved", title={"ko": "접수 시각", "en": "Observed"}, source=SDM_COMMON),
        AttributeType("severity", title={"ko": "정도", "en": "Severity"}, source=OURS),
    ),
    kind="thing",
    source=OURS,
)

ENTITY_TYPES: tuple[EntityType, ...] = (
    VEHICLE_TYPE,
    REGISTRATION_TYPE,
    ORGANIZATION_TYPE,
    FARM_TYPE,
    PARCEL_TYPE,
    PLANT_TYPE,
    DEPOT_TYPE,
    ZONE_TYPE,
    ROAD_TYPE,
    WATER_TYPE,
    SETTLEMENT_TYPE,
    AREA_TYPE,
    STOP_TYPE,
    LOADING_TYPE,
    UNLOADING_TYPE,
    TRIP_TYPE,
    COMPLAINT_TYPE,
)
