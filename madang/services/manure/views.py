"""Map layers and tables of livestock-manure transport, as data."""

from madang.services.contract import Column, Layer, Table
from madang.services.manure import model

LAYERS: tuple[Layer, ...] = (
    Layer(
        "manure.areas",
        {"ko": "행정구역", "en": "Districts"},
        model.ADMINISTRATIVE_AREA,
        style="area",
        role="boundary",
        label="name",
        order=0,
    ),
    Layer(
        "manure.water",
        {"ko": "하천·호소", "en": "Water"},
        model.WATER_BODY,
        style="area",
        role="water",
        label="name",
        order=10,
    ),
    Layer(
        "manure.settlements",
        {"ko": "마을", "en": "Settlements"},
        model.SETTLEMENT,
        style="area",
        role="building",
        label="name",
        order=20,
    ),
    Layer(
        "manure.parcels",
        {"ko": "살포 필지", "en": "Parcels"},
        model.AGRI_PARCEL,
        role="permitted",
        label="name",
        order=30,
    ),
    Layer(
        "manure.zones",
        {"ko": "살포 금지구역", "en": "No-spread zones"},
        model.NO_SPREAD_ZONE,
        role="forbidden",
        label="name",
        order=40,
    ),
    Layer(
        "manure.roads",
        {"ko": "도로", "en": "Roads"},
        model.ROAD_SEGMENT,
        style="line",
        role="road",
        label="name",
        order=50,
    ),
    Layer("manure.farms", {"ko": "축산농가", "en": "Farms"}, model.AGRI_FARM, role="farm", label="name", order=60),
    Layer("manure.depots", {"ko": "차고지", "en": "Depots"}, model.VEHICLE_DEPOT, role="depot", label="name", order=65),
    Layer(
        "manure.plants", {"ko": "처리시설", "en": "Plants"}, model.TREATMENT_PLANT, role="plant", label="name", order=70
    ),
    Layer(
        "manure.complaints",
        {"ko": "악취 민원", "en": "Odour complaints"},
        model.ODOUR_COMPLAINT,
        style="place",
        role="complaint",
        order=80,
    ),
    Layer(
        "manure.loadings",
        {"ko": "적재", "en": "Loadings"},
        model.MANURE_LOADING,
        style="place",
        role="loading",
        order=85,
    ),
    Layer(
        "manure.unloadings",
        {"ko": "하역", "en": "Unloadings"},
        model.MANURE_UNLOADING,
        style="place",
        role="unloading",
        order=90,
    ),
    Layer(
        "manure.trucks",
        {"ko": "운반차량", "en": "Trucks"},
        model.VEHICLE,
        style="moving",
        role="truck",
        label="vehiclePlateIdentifier",
        order=100,
    ),
)

_VEHICLE = Column("vehicle", {"ko": "차량", "en": "Truck"}, kind="entity")
_STARTED = Column("startedAt", {"ko": "시작", "en": "Started"}, kind="instant")
_ENDED = Column("endedAt", {"ko": "끝", "en": "Ended"}, kind="instant")
_PLACE = Column("place", {"ko": "등록 장소", "en": "Registered place"}, kind="entity")
_STATUS = Column("status", {"ko": "상태", "en": "Status"}, kind="state")


def _kg(attribute: str, ko: str, en: str) -> Column:
    return Column(attribute, {"ko": ko, "en": en}, kind="number", unit="KGM")


_EVENT_COLUMNS = (
    _STARTED,
    _ENDED,
    _VEHICLE,
    _kg("amount", "양", "Amount"),
    _kg("weightBefore", "이전 중량", "Weight before"),
    _kg("weightAfter", "이후 중량", "Weight after"),
    _PLACE,
    Column("placeDistance", {"ko": "장소까지 거리", "en": "Distance to it"}, kind="number", unit="MTR"),
    Column("moving", {"ko": "이동 중", "en": "While moving"}, kind="boolean"),
    Column("location", {"ko": "위치", "en": "Position"}, kind="place"),
    _STATUS,
)

TABLES: tuple[Table, ...] = (
    Table(
        model.VEHICLE,
        {"ko": "운반차량", "en": "Trucks"},
        (
            Column("vehiclePlateIdentifier", {"ko": "차량번호", "en": "Plate"}),
            Column("owner", {"ko": "운반업체", "en": "Carrier"}, kind="entity"),
            Column("speed", {"ko": "속도", "en": "Speed"}, kind="number", unit="KMH"),
            _kg("grossWeight", "총중량", "Gross weight"),
            Column("ignition", {"ko": "시동", "en": "Ignition"}, kind="boolean"),
            Column("ptoEngaged", {"ko": "펌프", "en": "Pump"}, kind="boolean"),
            Column("location", {"ko": "위치", "en": "Position"}, kind="place"),
            Column("batteryVoltage", {"ko": "배터리", "en": "Battery"}, kind="number", unit="VLT", digits=1),
        ),
        sort="vehiclePlateIdentifier",
    ),
    Table(
        "ManureManifest",
        {"ko": "전자인계서", "en": "Manifests"},
        (
            Column("number", {"ko": "번호", "en": "Number"}),
            Column("state", {"ko": "상태", "en": "State"}, kind="state"),
            Column("manifestType", {"ko": "종류", "en": "Kind"}),
            Column("from", {"ko": "배출자", "en": "From"}, kind="entity"),
            Column("transporter", {"ko": "운반업체", "en": "Carrier"}, kind="entity"),
            Column("vehicle", {"ko": "차량", "en": "Truck"}, kind="entity"),
            Column("to", {"ko": "인수자", "en": "To"}, kind="entity"),
            Column("plannedAt", {"ko": "예정 시각", "en": "Planned"}, kind="instant"),
            _kg("plannedAmount", "예정량", "Planned amount"),
            _kg("acceptedAmount", "인수량", "Accepted"),
            _kg("discrepancy", "차이", "Discrepancy"),
            Column("openedAt", {"ko": "개시", "en": "Opened"}, kind="instant"),
            Column("closedAt", {"ko": "종료", "en": "Closed"}, kind="instant"),
        ),
        sort="-number",
    ),
    Table(model.MANURE_UNLOADING, {"ko": "하역", "en": "Unloadings"}, _EVENT_COLUMNS, sort="-startedAt"),
    Table(model.MANURE_LOADING, {"ko": "적재", "en": "Loadings"}, _EVENT_COLUMNS, sort="-startedAt"),
    Table(
        model.VEHICLE_TRIP,
        {"ko": "운행", "en": "Trips"},
        (
            _STARTED,
            _ENDED,
            _VEHICLE,
            Column("distance", {"ko": "거리", "en": "Distance"}, kind="number", unit="MTR"),
            _kg("loadedAmount", "적재량", "Loaded"),
            _kg("unloadedAmount", "하역량", "Unloaded"),
            _STATUS,
        ),
        sort="-startedAt",
    ),
    Table(
        model.AGRI_PARCEL,
        {"ko": "살포 필지", "en": "Parcels"},
        (
            Column("name", {"ko": "이름", "en": "Name"}),
            Column("category", {"ko": "용도", "en": "Land use"}),
            Column("area", {"ko": "면적", "en": "Area"}, kind="number", unit="MTK"),
            _kg("allowedAmount", "허용 살포량", "Allowed amount"),
        ),
        sort="name",
    ),
    Table(
        model.TREATMENT_PLANT,
        {"ko": "처리시설", "en": "Plants"},
        (Column("name", {"ko": "이름", "en": "Name"}), _kg("capacity", "하루 처리용량", "Capacity per day")),
        sort="name",
    ),
)
