"""How often things happen in the sample city: habits, cheats, faults of terminals and sensors. Each figure says where it comes from.

"domain" is the project's page on livestock manure; "field" is general knowledge of fleet telematics and on-board
weighing, as makers' manuals
and fleet operators state it, rounded; "ours" is chosen to make a believable city. Shares are probabilities.
"""

from msgspec import Struct


class Cheats(Struct, frozen=True):
    """Probability, per trip of a driver who cheats, of each kind. The rest of the trips is honest."""

    river_part: float
    """Dumps 1–4 t at the bank on the way, delivers the rest (domain: illegal unloading at night)."""
    river_all: float
    """Dumps everything at the bank and declares it delivered."""
    field_part: float
    """Stops at a field that nobody registered and lets 1–4 t go."""
    field_spread: float
    """Spreads the whole load while driving over an unregistered field (domain: the Jeju cases of 2014–2017)."""
    wrong_place: float
    """Unloads at a registered place that is not on the manifest: 'it was nearer'."""
    no_manifest: float
    """Hauls farm to plant or parcel without any manifest."""
    no_manifest_dump: float
    """Hauls without a manifest and dumps at a bank or field."""
    hold_back: float
    """Delivers short, finishes the manifest, dumps the rest later."""
    dribble: float
    """Lets 1.2–3 t run out on the road while driving; also what a hatch left open does."""


class Rates(Struct, frozen=True):
    """All rates. Times are local."""

    cheaters: float = 0.075
    """Share of drivers who cheat now and then: 3 of 40 (domain: a few prosecutions among 61 vehicles a year; ours)."""
    cheats: Cheats = Cheats(0.025, 0.008, 0.010, 0.006, 0.014, 0.010, 0.004, 0.006, 0.008)
    """About 9 % of a cheating driver's trips: some 0.8 true events per city day (ours; prosecuted cases are rarer,
    undetected ones are not known)."""
    dusk_share: float = 0.7
    """Share of dumps that wait for 17:30–19:30 when planned in the afternoon."""
    wrong_place_mistake: float = 0.001
    """An honest driver goes to a parcel that is not on the manifest (ours)."""
    no_manifest_mistake: float = 0.001
    """An honest driver forgets the manifest altogether (ours)."""
    fuse_pulled: float = 0.015
    """Of dumps: the terminal loses power from before to after (domain D10, D11: gaps and tamper)."""
    dump_ignition_off: float = 0.12
    """Of dumps: by gravity with the engine off, nothing is sent meanwhile."""
    off_day: float = 0.07
    """Truck in the workshop or without work that day (ours)."""
    sunday_share: float = 0.22
    """Trucks that work on a Sunday (ours)."""
    night_trip: float = 0.03
    """Trucks with one more trip between 19:30 and 23:00 (ours: farms call when the pit is full)."""
    rain_day: float = 0.28
    """Days with rain: about 100 of 365 in Korea (climate normals, 1991–2020, rounded)."""

    # Manifest habits (domain: taps on a phone; small farms cannot keep up with data entry)
    precheck_late: float = 0.07
    """Taps precheck 1–8 min after loading began: inside the grace."""
    precheck_very_late: float = 0.003
    """… 8–14 min after: neither here nor there; goes to the ignore list."""
    finish_late: float = 0.06
    """Finishes 15–45 min after unloading."""
    finish_early: float = 0.015
    """Taps finish on arrival, up to 8 min before the unloading ends."""
    confirm_forgotten: float = 0.05
    """Receiver confirms only after a reminder, 4 to 7 days later."""
    dispute: float = 0.012
    """Receiver disputes an honest delivery (weighbridge differs)."""
    cancel: float = 0.012
    """Manifest made and cancelled: farm not ready."""
    manual_amount: float = 0.15
    """Types the amount instead of taking the device's."""
    farmer_signs_on_phone: float = 0.7
    """Farmer signs on the driver's phone (domain: normal in Korea)."""

    # Near misses (all ours, per trip)
    outside_edge: float = 0.07
    """Unloads through a hose 8–19 m outside the parcel's edge."""
    odd_stop: float = 0.10
    """Stops loaded, 5–45 min, at an odd place, discharging nothing."""
    bank_lunch: float = 0.012
    """Rests loaded at the river bank."""
    plant_queue: float = 0.35
    """Queues at the plant's gate, moving up by truck lengths."""
    slow_traffic: float = 0.06
    """A jam or road works at 3–9 km/h for 200–700 m, where the way comes nearest to the water."""
    towed: float = 0.006
    """Stuck in a wet field, pulled out by a tractor: the scale swings by 0.5–2 t for some minutes."""
    wash: float = 0.35
    """Per day: washed at the depot (30–120 kg of water and dirt come and go)."""

    # Sensors (field: on-board scales on leaf or air springs, 1–2 % of gross; drift with temperature)
    sigma_low: float = 0.010
    sigma_high: float = 0.018
    """1-sigma of a single standing reading as a share of gross, per truck, uniform between."""
    weight_missing: float = 0.003
    """Messages without weight, single (field: bus collisions between scale and terminal)."""
    weight_gap_per_day: float = 0.10
    """Longer gaps of 1–12 min per truck and day (field: loose plug)."""
    stuck_per_day: float = 0.03
    """Reading frozen for 3–20 min."""
    spike_per_day: float = 0.25
    """1–3 messages of nonsense (0, tare, 65,535 cut to 16 bits): scale restarting."""
    rezero_per_day: float = 0.015
    """Scale restarts with its zero moved by 60–220 kg until the evening."""

    # Positions (field: 3–8 m with road-vehicle receivers; worse under trees and between houses)
    gps_jump_per_day: float = 0.35
    """Multipath: 30–150 m off for 1–4 messages."""
    gps_frozen_per_day: float = 0.03
    """Fix frozen for 1–5 min."""
    gps_outage_per_day: float = 0.25
    """No fix for 0.5–6 min (underpass, wet trees, antenna)."""

    # Terminals and network (field)
    duplicate: float = 0.003
    """Messages sent again because the PUBACK was lost."""
    delayed: float = 0.001
    """Messages that come 10–60 s late on a live link."""
    net_outage_per_day: float = 0.6
    """No network outside the known holes, 1–8 min."""
    reboot_per_day: float = 0.04
    """Terminal restarts: 20–60 s lost; old firmware begins its sequence at 1 again."""
    old_firmware: float = 0.15
    """Terminals whose sequence restarts."""
    clock_minutes_per_day: float = 0.004
    """Device clock 2–4 min off for a day (no fix since a battery change)."""
    rollover_unit: float = 0.025
    """Old receivers that report dates 1024 weeks back until their first good fix (domain D11, 2019-04-06)."""
    invalid: float = 0.0001
    """Broken payloads: cut JSON, longitude 900, empty."""


NATURAL = Rates()
"""As a city is: for false alarms per truck-day."""

ENRICHED = Rates(cheaters=0.5, cheats=Cheats(0.09, 0.03, 0.05, 0.03, 0.06, 0.05, 0.03, 0.03, 0.04), dusk_share=0.4)
"""Half of the drivers cheat in 41 % of their trips: at least 200 true events in five days, for recall."""

STORY = Rates(
    cheaters=0.25,
    cheats=Cheats(0.035, 0.008, 0.012, 0.010, 0.02, 0.015, 0.006, 0.008, 0.008),
    dusk_share=0.6,
    off_day=0.03,
    sunday_share=1.0,
)
"""For the demo: a few incidents within some hours, never a Sunday."""
