"""Names for the generated town: ordinary Korean words joined so that no real place is meant, with romanisation
(Revised Romanization of Korean, Ministry of Culture notice 2000-8, simplified: no assimilation across the joint)."""

Name = tuple[str, str]
"""(Korean, English)."""

CITY: Name = ("마당시", "Madang")
RIVER: Name = ("마당강", "Madang River")
BROOKS: tuple[Name, ...] = (("솔내", "Sollae Stream"), ("방아천", "Banga Stream"))
RESERVOIR: Name = ("방아저수지", "Banga Reservoir")
TOWNS: tuple[Name, ...] = (
    ("솔내면", "Sollae-myeon"),
    ("느티읍", "Neuti-eup"),
    ("방아면", "Banga-myeon"),
    ("한실면", "Hansil-myeon"),
    ("가람면", "Garam-myeon"),
    ("새뜰면", "Saetteul-myeon"),
)
VILLAGES: tuple[Name, ...] = (
    ("솔골", "Solgol"),
    ("새터", "Saeteo"),
    ("안말", "Anmal"),
    ("양지말", "Yangjimal"),
    ("논골", "Nongol"),
    ("돌다리", "Doldari"),
    ("무너미", "Muneomi"),
    ("벌말", "Beolmal"),
    ("샘골", "Saemgol"),
    ("쇠골", "Soegol"),
    ("장터말", "Jangteomal"),
    ("절골", "Jeolgol"),
    ("큰골", "Keungol"),
    ("한밭", "Hanbat"),
    ("갈미", "Galmi"),
    ("오리골", "Origol"),
    ("감나무골", "Gamnamugol"),
    ("대실", "Daesil"),
    ("매실말", "Maesilmal"),
    ("버드내", "Beodeunae"),
    ("구름재", "Gureumjae"),
    ("봉화골", "Bonghwagol"),
    ("서당말", "Seodangmal"),
    ("은골", "Eungol"),
    ("밤골", "Bamgol"),
    ("물레방아말", "Mullebangamal"),
    ("고개말", "Gogaemal"),
    ("두루미", "Durumi"),
    ("가재울", "Gajaeul"),
    ("모래내", "Moraenae"),
    ("뒷들", "Dwitdeul"),
    ("너른들", "Neoreundeul"),
    ("까치말", "Kkachimal"),
    ("옹달", "Ongdal"),
    ("바람골", "Baramgol"),
    ("진달래말", "Jindallaemal"),
    ("송아지말", "Songajimal"),
    ("해오름", "Haeoreum"),
    ("달맞이", "Dalmaji"),
    ("여울", "Yeoul"),
    ("소나무골", "Sonamugol"),
    ("아랫말", "Araenmal"),
    ("윗샘", "Witsaem"),
    ("잣골", "Jatgol"),
    ("참샘", "Chamsaem"),
    ("토끼재", "Tokkijae"),
    ("호두말", "Hodumal"),
    ("강변말", "Gangbyeonmal"),
    ("농바위", "Nongbawi"),
    ("도리실", "Dorisil"),
    ("미나리골", "Minarigol"),
    ("박달재", "Bakdaljae"),
)
_FARM_FIRST: tuple[Name, ...] = (
    ("푸른들", "Pureundeul"),
    ("한솔", "Hansol"),
    ("누리", "Nuri"),
    ("햇살", "Haessal"),
    ("은하", "Eunha"),
    ("참좋은", "Chamjoeun"),
    ("다온", "Daon"),
    ("미르", "Mireu"),
    ("가온", "Gaon"),
    ("새봄", "Saebom"),
    ("도담", "Dodam"),
    ("초롱", "Chorong"),
    ("아람", "Aram"),
    ("해찬", "Haechan"),
    ("나래", "Narae"),
    ("온새", "Onsae"),
    ("늘푸른", "Neulpureun"),
    ("단비", "Danbi"),
    ("마루", "Maru"),
    ("보람", "Boram"),
    ("서리울", "Seoriul"),
    ("소담", "Sodam"),
    ("여름", "Yeoreum"),
    ("우람", "Uram"),
    ("윤슬", "Yunseul"),
    ("이든", "Ideun"),
    ("정다운", "Jeongdaun"),
    ("찬들", "Chandeul"),
    ("큰들", "Keundeul"),
    ("한울", "Hanul"),
)
_FARM_KIND: dict[str, tuple[Name, ...]] = {
    "pig": (("농장", "Farm"), ("양돈", "Pig Farm")),
    "cattle": (("목장", "Ranch"), ("한우", "Hanwoo Farm")),
    "dairy": (("낙농", "Dairy"), ("목장", "Ranch")),
}
PLANTS: tuple[Name, ...] = (
    ("마당시 가축분뇨 공공처리장", "Madang Public Manure Treatment Plant"),
    ("솔내 공동자원화센터", "Sollae Joint Recycling Centre"),
    ("한실 액비유통센터", "Hansil Liquid Fertiliser Centre"),
)
DEPOTS: tuple[Name, ...] = (
    ("북부 차고지", "North Depot"),
    ("남부 차고지", "South Depot"),
    ("강변 차고지", "Riverside Depot"),
    ("한실 차고지", "Hansil Depot"),
)
RING_ROAD: Name = ("마당순환로", "Madang Ring Road")
STREET_WORDS: tuple[Name, ...] = (
    ("느티나무", "Neutinamu"),
    ("은행나무", "Eunhaengnamu"),
    ("시청", "Sicheong"),
    ("시장", "Sijang"),
    ("강변", "Gangbyeon"),
    ("역전", "Yeokjeon"),
    ("봄내", "Bomnae"),
    ("솔밭", "Solbat"),
    ("학교", "Hakgyo"),
    ("우물", "Umul"),
    ("들꽃", "Deulkkot"),
    ("바위", "Bawi"),
)


def farm_name(number: int, species: str) -> Name:
    """The name of the farm with this number; distinct for the first 120 numbers of one species."""
    first = _FARM_FIRST[number % len(_FARM_FIRST)]
    kinds = _FARM_KIND[species]
    kind = kinds[(number // len(_FARM_FIRST)) % len(kinds)]
    return f"{first[0]}{kind[0]}", f"{first[1]} {kind[1]}"


def parcel_name(village: Name, lot: int, sub: int) -> Name:
    """A parcel by its lot number, as cadastral maps name it."""
    return f"{village[0]}리 {lot}-{sub}", f"{lot}-{sub} {village[1]}-ri"
