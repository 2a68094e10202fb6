"""One truck's story from its samples, in order of observation: stops, loadings, unloadings, trips.

`Truck.feed` takes one sample and moves the story on. It never looks ahead and never asks a clock, so feeding the same samples gives the
same story. The detector (`detect_events`) owns late data and what was already told.

How a change of weight is found
-------------------------------
A truck changes its weight only while it is slow (below `SLOW_KM_H`); so time falls into *drives* and *slow phases*.

1. **At one spot** (parked): a change point between the samples before and after, whose slope is the same and cancels. Every few
   seconds, several window lengths, five standard errors of this truck's own noise.
2. **Against the drive before**: the level at the spot, or of the slow movement of a spreader, against the level while driving;
   the slope of the place counts as an error here, so only large changes pass.
3. **Across the phase**: the drive after against the drive before. This one also sees what happened while weight or position or the
   whole terminal was silent, and settles the amount. It needs some minutes of driving.

1 and 2 tell within seconds, 3 confirms, corrects or withdraws.
"""

from math import hypot
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from madang.services.manure.weighing import (
    DRIVING_NOISE_FACTOR,
    FLOOR_SHARE,
    MOVING_SLOPE_SHARE,
    NOISE_SHARE,
    SLOPE_SHARE,
    combine,
    drift_var,
    gain_var,
    next_noise,
    robust_mean,
    robust_share,
    sigmas,
)

SECOND = 10
"""Times are whole tenths of a second since the detector's first sample, places whole decimetres on its plane: small in the
stored state, exact in arithmetic."""
METRE = 10

SLOW_KM_H = 13.0
FAST_KM_H = 16.0
"""Below the first a slow phase begins, from the second on it ends: spreaders work at 2 to 12 km/h."""
PARKED_KM_H = 3.0
SPOT_RADIUS = 25 * METRE
"""Further away is another place with another slope. GPS scatter of a parked truck stays within."""
REACH_MIN = 60.0 * METRE
"""Fixes scatter, and a truck between two messages ten seconds apart may start and stop again within 50 m."""
REACH_FREE = 1e9
LOST_MAX = 18
"""Fixes in a row (three minutes) that may lie where the truck's speeds cannot have brought it: a receiver between walls or under trees
says so for a while. What lasts longer is where the truck is, and the place before was wrong."""
SAME_PLACE = 150 * METRE
SAME_EVENT_GAP = 30 * 60 * SECOND
"""Goes at one place with no more than this between them are one event."""
SETTLING = 20 * 60 * SECOND
SETTLING_SHARE = 0.12
"""A change the other way at the same place, this soon and this small beside the event before it, is that event settling."""
SILENCE = 60 * SECOND
"""Six missing messages: what is known then is judged as it stands."""
GAP = 90 * SECOND
"""A moved truck after such a silence may have done anything in between."""
BLIND = 30 * SECOND
"""Without position and speed for longer, a truck counts as slow, at an unknown place."""
OUTSIDE_MIN = 60 * SECOND
"""A slow phase that lasted so much longer than its longest stand may have changed the weight outside of it."""
PHASE_MIN = 25 * SECOND
"""A shorter slow phase is a crossing or a curve."""
STOP_MIN = 120 * SECOND
TRIP_PAUSE = 20 * 60 * SECOND
"""Parked this long with the engine on ends a trip too."""

SIGMAS_SPOT = 5.0
SIGMAS_SILENT = 4.2
"""One look, not thousands: less is enough when the truck falls silent, and across a phase."""
SIGMAS_ACROSS_EARLY = 5.0
SIGMAS_ACROSS = 4.3
SIGMAS_CONFLICT = 3.5
SIGMAS_AGREE = 2.5
"""What an event at a spot lost and what the drives around it say are averaged within this."""
SIGMAS_KEEP = 3.0
"""Below this a told event is withdrawn."""

EXCURSION_SHARE = 0.03
EXCURSION = 10 * 60 * SECOND
"""A parked truck's weight wanders by up to this share of gross for some minutes and comes back (wind, soft ground, a load that
moves). A change this small that no pump explains is told when it has lasted, or when the truck leaves or falls silent. Ours."""
PLACE_WAIT = 10 * 60 * SECOND
"""So long an event waits for a fix to say where it is; then it is told at the last place known."""

TAIL_MAX = 30
BASE_MAX = 24
"""The samples before the tail count as at most so many: a level of more than four minutes ago says little about now."""
MOVING_MAX = 16
POST_MAX = 30
"""Driving samples (five minutes) that a level across a phase is taken from."""
PUMPING_QUIET = 30
"""Samples (five minutes) without a change after which a pump was left running."""
CANDIDATES_MAX = 4
FACTS_MAX = 8
TRACK_MAX = 16
PATH_MAX = 32
WINDOWS = (3, 6, 12, 24)
ARRIVING = 2 * 60 * SECOND
"""A truck that slows down this long before it stands still is arriving, not spreading."""
SHIFT_SAMPLES = 8
"""So many driving samples in a row, taken together, tell that the weight is another one by now."""
SWINGS = 1.5
"""Neighbouring driving samples swing together: their mean has so much more variance than that of independent ones."""

LOADING, UNLOADING, STOP, TRIP = "load", "unload", "stop", "trip"
OPEN, CONFIRMED, WITHDRAWN = "open", "confirmed", "withdrawn"

IGNITION_ON, IGNITION_OFF, PTO_ON = 1, 2, 4
UNKNOWN_VAR = 1e12


class Sample(NamedTuple):
    """One reading, made small."""

    t: int
    w: int | None
    """Gross weight in kg."""
    v: int | None
    """Speed in 0.1 km/h."""
    x: int | None
    y: int | None
    flags: int


class Spec(NamedTuple):
    """What is registered about the truck."""

    weight_min: float
    weight_max: float
    """Outside, the scale is broken and not the truck light or heavy."""
    noise: float
    """1 sigma, share of gross."""
    amount_min: float
    """Least change that counts, kg."""
    tare: float = 0.0
    """Weight of the empty truck, kg; 0: not registered."""


DEFAULT_SPEC = Spec(1_000.0, 60_000.0, NOISE_SHARE, 300.0)


class Fact(Struct, frozen=True, array_like=True):
    """Something that happened. `kind`, `t0` name it within the story."""

    kind: str
    t0: int
    t1: int
    x: int
    y: int
    status: str = OPEN
    amount: float = 0.0
    var: float = UNKNOWN_VAR
    before: float = 0.0
    moving: bool = False
    gap: bool = False
    """Not seen happening: it lies in a silence between the two ends of `track`."""
    track: tuple[int, ...] = ()
    """x, y, x, y … of a moving event, the ends of a silence, or a trip's path."""
    distance: int = 0
    loaded: float = 0.0
    unloaded: float = 0.0
    earlier: float = 0.0
    """Amount of earlier goes of the same event, in earlier slow phases."""
    earlier_var: float = 0.0
    """Variance of `earlier`."""
    placed: bool = True
    """False: no fix came since the truck stands there; not to be told yet."""
    doubted: bool = False
    """It may be an excursion that comes back; not to be told yet."""
    after: float = 0.0
    """Gross weight afterwards, like `before` as well as it is known: slopes make their difference another one than the amount."""
    begun_by: int = 0
    """It began between `t0` and this; 0: at `t0`."""


class Candidate(Struct, frozen=True, array_like=True):
    """A slow phase that is over, waiting for the drive after it to tell what it changed."""

    t0: int
    t1: int
    x: int
    y: int
    track: tuple[int, ...]
    pre: float
    pre_var: float
    inside: float
    """Change of level within its longest spot (last samples minus first), slope-free."""
    inside_var: float
    dwell: int
    pto: int
    gap: bool
    moving: bool
    fact_t0: int
    """The loading or unloading that was seen in it; -1 none, -2 several."""
    fact_kind: str
    earlier: float = 0.0
    """Amount that this event had before the phase."""
    unheard: bool = False
    """The scale said nothing more before the truck left: its event may have gone on."""
    n: int = 0
    post: float = 0.0


class Truck(Struct, array_like=True):
    """The story so far. Lists and tuples are replaced, never changed in place, so a shallow copy is a snapshot."""

    t: int = -1
    w: int = -1
    x: int | None = None
    y: int | None = None
    km_h: float = 0.0
    fix_t: int = 0
    """Time of the last sample with a position or a speed."""
    lost: int = 0
    """Fixes in a row that lay too far away to be true."""
    frozen: bool = False
    """The receiver repeats one fix, though the truck drove."""
    reach: float = REACH_FREE
    """How far from the last place the truck may be by its speeds since."""
    noise: float = 0.0
    noise_driving: float = 0.0
    repeats: int = 0
    ignition: int = 0

    level: float = 0.0
    level_var: float = UNKNOWN_VAR
    """Gross weight without slope, as the drive and the events left it."""
    odd: int = 0
    """Driving samples in a row far to one side of the level."""

    slow: bool = False
    phase_t0: int = 0
    phase_x: int | None = None
    phase_y: int | None = None
    phase_gap: bool = False
    phase_pto: int = 0
    phase_pre: float = 0.0
    phase_pre_var: float = UNKNOWN_VAR
    phase_fact_t0: int = -1
    phase_fact_kind: str = ""
    phase_earlier: float = 0.0
    """Amount that the event of this phase had before the phase."""
    phase_track: tuple[int, ...] = ()
    best_dwell: int = 0
    best_x: int = 0
    best_y: int = 0
    best_inside: float = 0.0
    best_inside_var: float = UNKNOWN_VAR

    spot: bool = False
    """Parked now, or between two samples at the spot."""
    spot_t0: int = 0
    spot_t1: int = 0
    spot_x: float = 0.0
    spot_y: float = 0.0
    spot_n: int = 0
    astray: int = 0
    base: float = 0.0
    base_n: float = 0.0
    tail: list[int] = []
    tail_t: list[int] = []
    head: list[int] = []
    """First samples at the spot since the last event there."""
    crawl: list[tuple[int, int, int, int]] = []
    """(t, w, x, y) of the slow movement."""

    active: Fact | None = None
    active_ref: float = 0.0
    active_var: float = 0.0
    active_slope: bool = False
    """The reference has no slope of this place in it: the level comes from driving."""
    active_tail: list[int] = []
    active_quiet: int = 0

    candidates: list[Candidate] = []
    facts: list[Fact] = []
    """Newest last."""

    trip_t0: int = -1
    trip_x: int = 0
    trip_y: int = 0
    trip_distance: int = 0
    trip_path: list[int] = []
    trip_loaded: float = 0.0
    trip_unloaded: float = 0.0

    place_t: int = -1
    """Time of the last sample with a position."""
    unplaced: bool = False
    """Some fact waits for a place."""
    doubt_t0: int = -1
    """`t0` of the doubted fact; -1 none."""
    doubt_kind: str = ""
    doubt_var: float = 0.0
    """Variance of what its change is measured against."""
    doubt_level: float = 0.0
    doubt_level_var: float = UNKNOWN_VAR
    """The level before it."""
    spot_pto: int = 0
    """Time with the pump on in this phase before the spot."""
    head_t: int = 0
    """Time of the first weight at the spot."""
    head_n: int = 0
    """So many of `head` came before the pump."""
    recent: list[int] = []
    """The newest driving samples of this drive."""
    weight_t: int = -1
    """Time of the last weight that counted."""
    base_t: int = 0
    """Time of the newest weight in `base`."""
    heard: int = 0
    """Weights of the parked truck in this phase since the newest silence of the scale."""
    mute_t0: int = -1
    mute_t1: int = -1
    """The newest silence of the scale longer than `GAP`: time of the last weight before it and of the first one after; -1 none."""

    # --- one sample ---

    def feed(self, s: Sample, spec: Spec) -> None:
        """Take the next sample in time; one that is not later than the last is ignored."""
        t, w, v, x, y, flags = s
        if t <= self.t:
            return
        if self.noise == 0.0:
            self.noise = spec.noise
            self.noise_driving = spec.noise * DRIVING_NOISE_FACTOR
        since = t - self.t if self.t >= 0 else 0
        if w is not None:
            if not spec.weight_min <= w <= spec.weight_max:
                w = None
            elif w == self.w:
                # A scale with this much noise does not say the same kilogram twice: it is stuck, or it repeats itself.
                self.repeats += 1
                if spec.noise * w > 50.0:
                    w = None
            else:
                self.w = w
                self.repeats = 0
            if w is not None:
                if self.weight_t >= 0 and t - self.weight_t > GAP:
                    self.mute_t0, self.mute_t1 = self.weight_t, t
                if t - self.weight_t > SILENCE:
                    self.heard = 0
                self.weight_t = t
        self._reckon(since, v)
        if x is not None and (x, y) == (self.x, self.y):
            # Fixes scatter: one that says the same decimetre while the truck drives is stuck, until it says another.
            self.frozen = self.frozen or (v is not None and v * 0.1 >= PARKED_KM_H)
            if self.frozen:
                x = y = None
        elif x is not None:
            self.frozen = False
        if x is not None and y is not None and self.x is not None and self.y is not None:
            leap = hypot(x - self.x, y - self.y)
            far = leap > 500 * METRE and leap * 3.6 > 160.0 * max(since, SECOND) and self.lost < 3
            if far or (leap > self.reach and self.lost < LOST_MAX):
                self.lost += 1
                x = y = None
            else:
                self.lost = 0
                if v is None and since > 0:
                    v = int(leap * 36.0 / since)
        if since > SILENCE:
            self._after_silence(since, x, y, spec)
        blind = v is None and x is None
        if blind:
            km_h = self.km_h
        else:
            km_h = self.km_h = 0.0 if v is None else v * 0.1
            self.fix_t = t
        if flags & (IGNITION_ON | IGNITION_OFF):
            self.ignition = flags & (IGNITION_ON | IGNITION_OFF)

        if self.slow:
            if km_h >= FAST_KM_H:
                self._leave_phase(t, spec)
        elif km_h < SLOW_KM_H:
            self._enter_phase(t, x, y, spec, gap=False)
        elif blind and t - self.fix_t > BLIND:
            # Nobody knows how fast it is: it may be standing and pouring out.
            self.km_h = km_h = PARKED_KM_H
            self._enter_phase(self.fix_t, None, None, spec, gap=True)
        self._follow_trip(t, km_h, x, y, flags)
        self.t = t
        if x is not None and y is not None:
            if self.unplaced and self.slow and not self.spot and self.active is not None and km_h < PARKED_KM_H:
                self._place_facts(x, y, between=False)
            elif self.unplaced and not (self.slow and self.spot):
                # It drove on before a fix came: the event lies somewhere between the two.
                self._place_facts(x, y, between=True)
            self.x, self.y, self.place_t, self.reach = x, y, t, REACH_MIN
        elif self.unplaced and t - self.place_t > PLACE_WAIT:
            self._place_facts(self.x or 0, self.y or 0, between=True)
        if self.slow:
            if flags & PTO_ON:
                self.phase_pto += min(since, 2 * 10 * SECOND)
            self._feed_slow(t, w, km_h, x, y, flags, spec)
        elif w is not None:
            self._feed_driving(t, w, spec)

    def _reckon(self, since: int, v: int | None) -> None:
        """Let the speeds that the receiver measured (by Doppler, whatever it thinks its place is) widen the reach."""
        if v is None or since > BLIND:
            self.reach = REACH_FREE
        elif v * 0.1 >= PARKED_KM_H or self.km_h >= PARKED_KM_H:
            self.reach += max(v * 0.1, self.km_h) / 3.6 * METRE * (since / SECOND)

    def settle(self, spec: Spec) -> None:
        """Judge what is known as it stands, because nothing more has come for a while."""
        if self.active is None and self.slow and self.spot and len(self.tail) >= 3:
            self._test_spot(spec, SIGMAS_SILENT)
        if self.active is not None:
            self._close_active(spec)
        if self.doubt_t0 >= 0:
            self._settle_doubt(spec)
        if self.unplaced:
            self._place_facts(self.x or 0, self.y or 0, between=True)

    # --- driving ---

    def _feed_driving(self, t: int, w: int, spec: Spec) -> None:
        sigma = self.noise_driving * max(self.level, 3_000.0)
        if self.level_var >= UNKNOWN_VAR:
            self.level, self.level_var = float(w), sigma * sigma
            return
        noise_var = sigma * sigma
        residual = w - self.level
        far = 2.5 * sigma + 2.0 * self.level_var**0.5
        if residual > far:
            self.odd = self.odd + 1 if self.odd > 0 else 1
        elif residual < -far:
            self.odd = self.odd - 1 if self.odd < 0 else -1
        else:
            self.odd = 0
            self.noise_driving = next_noise(self.noise_driving, residual / self.level, spec.noise)
        self.recent = [*self.recent[1 - SHIFT_SAMPLES :], w]
        limit = 3.0 * sigma
        clipped = limit if residual > limit else -limit if residual < -limit else residual
        gain = self.level_var / (self.level_var + noise_var)
        self.level += gain * clipped
        self.level_var = max((1.0 - gain) * self.level_var, noise_var / POST_MAX)
        if self.candidates:
            self._feed_candidates(w, sigma, spec)
        if abs(self.odd) >= 6:
            # The weight is another one, though nothing was seen that could have changed it: begin anew from here.
            self.level, self.level_var, self.odd = float(w), noise_var, 0
        elif len(self.recent) == SHIFT_SAMPLES:
            now, now_var = robust_mean(self.recent), SWINGS * noise_var * robust_share(SHIFT_SAMPLES)
            if sigmas(now - self.level, now_var + self.level_var) > SIGMAS_CONFLICT:
                # It leaks while it drives, or did: the long memory would keep the heavier truck for minutes.
                self.level, self.level_var, self.odd = now, now_var, 0
                # An event is settled by the level it left, not by what the drive became since.
                self.candidates = [
                    c
                    for c in self.candidates
                    if c.fact_t0 == -1 or c.n == 0 or sigmas(now - c.post, now_var + noise_var / c.n) < 2.0
                ]

    def _feed_candidates(self, w: int, sigma: float, spec: Spec) -> None:
        moved: list[Candidate] = []
        judge = False
        for c in self.candidates:
            # Heavier from the first sample of the drive on than a loading left it: that loading went on unseen. Nothing else fills a truck.
            unseen = c.fact_kind == LOADING and self.odd == c.n + 1
            if c.fact_t0 != -1 and abs(self.odd) >= 2 and not unseen:
                moved.append(c)  # another change since then: this one is not to be corrected by it
                continue
            n = c.n + 1
            residual = w - c.post
            if n > 4 and abs(residual) > 3.0 * sigma:
                residual = 3.0 * sigma if residual > 0 else -3.0 * sigma
            moved.append(replace(c, n=n, post=c.post + residual / n if n > 1 else float(w)))
            if n in (3, 5, 8, 12, 16, 20, 25, POST_MAX):
                judge = True
        self.candidates = moved
        if judge:
            self._judge_candidates(spec)
            self.candidates = [c for c in self.candidates if c.n < POST_MAX]

    def _across(self, c: Candidate) -> tuple[float, float]:
        """Change of level from the drive before a phase to the drive after it: (kg, variance)."""
        sigma = self.noise_driving * max(c.pre, c.post)
        floor = FLOOR_SHARE * max(c.pre, c.post)
        # Swings of neighbouring samples are alike: a few of them say less than so many independent ones.
        few = sigma * sigma / 12
        pre_var = c.pre_var * 1.5 if c.pre_var > few else c.pre_var
        post_var = sigma * sigma / c.n * (1.5 if c.n < 12 else 1.0)
        return c.post - c.pre, pre_var + post_var + 2.0 * floor * floor

    def _judge_candidates(self, spec: Spec) -> None:
        best: Candidate | None = None
        best_score = 0.0
        best_change = best_var = 0.0
        for c in self.candidates:
            if c.n < 3:
                continue
            change, var = self._across(c)
            if c.fact_t0 != -1:
                if c.fact_t0 >= 0 and c.n >= 8:
                    self._correct(c, change, var, spec)
                continue
            if c.inside_var < UNKNOWN_VAR:
                apart = sigmas(change - c.inside, var + c.inside_var) > SIGMAS_CONFLICT
                if not (apart and (c.gap or c.t1 - c.t0 - c.dwell >= OUTSIDE_MIN)):
                    change, var = combine(change, var, c.inside, c.inside_var)
                # else it went while the truck crept or nobody listened: its longest stand need not know of it.
            z = sigmas(change, var)
            if z < (SIGMAS_ACROSS_EARLY if c.n < 12 else SIGMAS_ACROSS):
                continue
            if abs(change) - var**0.5 * (1.0 if change < 0 else 2.0) < spec.amount_min:
                continue
            if change < 0 and c.pto < 30 * SECOND and c.pre - spec.tare < -change - var**0.5:
                continue  # so much was not on the truck
            score = z * z / 2 + min(c.dwell, 600 * SECOND) / (60 * SECOND) + (6.0 if c.pto >= 30 * SECOND else 0.0)
            if c.gap:
                score += 2.0
            if best is None or score > best_score:
                best, best_score, best_change, best_var = c, score, change, var
        if best is None:
            return
        kind = LOADING if best_change > 0 else UNLOADING
        self._tell_across(best, best_change, best_var, best.post)
        # What the other phases of this time were tested against is explained now.
        self.level, self.level_var = best.post, (self.noise_driving * best.post) ** 2 / best.n
        told = self.facts[-1]
        self.candidates = [replace(best, fact_t0=told.t0, fact_kind=kind, earlier=told.earlier)]

    def _tell_across(self, c: Candidate, change: float, var: float, after: float) -> None:
        self._tell(
            Fact(
                LOADING if change > 0 else UNLOADING,
                c.t0,
                c.t1,
                c.x,
                c.y,
                CONFIRMED,
                abs(change),
                var,
                c.pre,
                moving=c.moving,
                gap=c.gap,
                track=c.track,
                after=after,
                begun_by=c.t1,
            )
        )

    def _correct(self, c: Candidate, change: float, var: float, spec: Spec) -> None:
        """Settle an event's amount, now that the drive after it is known; withdraw it when the drive contradicts it."""
        for i in range(len(self.facts) - 1, -1, -1):
            fact = self.facts[i]
            if fact.kind == c.fact_kind and fact.t0 == c.fact_t0:
                break
        else:
            return
        sign = 1.0 if fact.kind == LOADING else -1.0
        seen = fact.amount - c.earlier
        apart = 0.0 if c.inside_var >= UNKNOWN_VAR else sigmas(change - c.inside, var + c.inside_var)
        if apart > SIGMAS_AGREE and fact.kind == UNLOADING and change < c.inside and not (c.unheard or c.gap):
            return  # it was weighed to its end, and less was unloaded than the truck lost: the rest went on the way
        if c.inside_var >= UNKNOWN_VAR or apart > SIGMAS_CONFLICT:
            # Both cannot be right: something went on when nobody weighed it any more (the engine off, the scale silent).
            amount, variance = sign * change, var
        elif c.n not in (8, POST_MAX):
            return  # a longer drive is worth the wait only where it holds to its end: it may leak on the way
        else:
            amount, variance = combine(sign * change, var, sign * c.inside, c.inside_var)
        total = c.earlier + amount
        variance += fact.earlier_var
        if fact.status == WITHDRAWN:
            return
        # What neither a pump nor the stand explains must exceed the least amount by its error.
        doubtful = c.inside_var >= UNKNOWN_VAR and c.pto < 30 * SECOND and total - variance**0.5 < spec.amount_min
        if total < 0.5 * spec.amount_min or sigmas(total, variance) < SIGMAS_KEEP or doubtful:
            self._put(i, replace(fact, status=WITHDRAWN, amount=max(0.0, total), var=variance))
        else:
            # The drives know both levels without the slope of the place.
            before, after = fact.before, fact.after
            if c.earlier == 0.0 and c.pre_var < UNKNOWN_VAR:
                before, _ = combine(before, (SLOPE_SHARE * before) ** 2, c.pre, c.pre_var)
            if c.n:
                sigma = self.noise_driving * c.post
                after, _ = combine(after, (SLOPE_SHARE * after) ** 2, c.post, 1.5 * sigma * sigma / c.n)
            self._put(i, replace(fact, amount=total, var=variance, before=before, after=after))
            self._count_trip(fact.kind, amount - seen)

    # --- slow phases ---

    def _enter_phase(self, t: int, x: int | None, y: int | None, spec: Spec, *, gap: bool) -> None:
        self._end_drive(spec)
        self.slow = True
        self.heard = 0
        self.recent = []
        self.phase_t0 = t
        self.phase_x, self.phase_y = (self.x, self.y) if x is None else (x, y)
        self.phase_gap = gap
        self.phase_pto = 0
        self.phase_pre, self.phase_pre_var = self.level, self.level_var
        self.phase_fact_t0, self.phase_fact_kind, self.phase_earlier = -1, "", 0.0
        self.phase_track = ()
        self.best_dwell, self.best_inside, self.best_inside_var = 0, 0.0, UNKNOWN_VAR
        self.spot = False
        self.crawl = []

    def _end_drive(self, spec: Spec) -> None:
        """A drive too short to tell a new level by its length tells it by its last samples, when each of them is far to one side."""
        n = min(abs(self.odd), len(self.recent))
        if n < 3:
            return
        sigma = self.noise_driving * max(self.level, 3_000.0)
        self.level = robust_mean(self.recent[-n:])
        self.level_var = SWINGS * sigma * sigma * robust_share(n)
        self._explain(spec)

    def _after_silence(self, since: int, x: int | None, y: int | None, spec: Spec) -> None:
        self.settle(spec)
        self.level_var = min(UNKNOWN_VAR, self.level_var + drift_var(since / SECOND))
        if since < GAP:
            return
        moved = (
            x is None
            or self.x is None
            or y is None
            or self.y is None
            or hypot(x - self.x, y - self.y) > 2 * SPOT_RADIUS
        )
        if not moved and self.slow:
            if self.spot:
                sigma = self.noise * max(self.base, 3_000.0)
                self._fold_tail(0)
                drift = drift_var(since / SECOND)
                if self.base_n and drift:
                    self.base_n = 1.0 / (1.0 / self.base_n + drift / (sigma * sigma))
            return
        if x is None:
            return
        if self.slow:
            self._leave_phase(self.t, spec)
        last_x, last_y = self.x, self.y
        self._enter_phase(self.t, last_x, last_y, spec, gap=True)
        if last_x is not None and last_y is not None and y is not None:
            self.phase_track = (last_x, last_y, x, y)

    def _feed_slow(
        self, t: int, w: int | None, km_h: float, x: int | None, y: int | None, flags: int, spec: Spec
    ) -> None:
        parked = km_h < PARKED_KM_H
        if self.phase_gap and x is not None and y is not None and not self.phase_track and self.phase_x is not None:
            self.phase_track = (self.phase_x, self.phase_y or 0, x, y)
        if self.spot and self.spot_n == 0 and x is not None and y is not None:
            self.spot_x, self.spot_y, self.spot_n = float(x), float(y), 1
            if self.unplaced:
                self._place_facts(x, y, between=False)
        if self.spot and x is not None and y is not None:
            away = hypot(x - self.spot_x, y - self.spot_y)
            self.astray = self.astray + 1 if away > SPOT_RADIUS else 0
            # One fix gone astray from a parked truck is the receiver's; two are the truck's.
            if self.astray > (1 if parked else 0):
                self._leave_spot(spec)
        if parked:
            if not self.spot:
                self._enter_spot(t, x, y)
            elif x is not None and y is not None and self.spot_n < 20 and not self.astray:
                self.spot_n += 1
                self.spot_x += (x - self.spot_x) / self.spot_n
                self.spot_y += (y - self.spot_y) / self.spot_n
            self.spot_t1 = t
            dwell = t - self.spot_t0
            if dwell >= STOP_MIN:
                self._mark_stop(OPEN)
        if not parked and x is not None and y is not None and not self.phase_gap:
            self.phase_track = _lengthen(self.phase_track, x, y, 20 * METRE, TRACK_MAX)
        if w is None:
            return
        self.heard += parked
        if self.active is not None:
            self._feed_active(t, w, parked, x, y, flags, spec)
        elif parked:
            self._feed_spot(t, w, spec)
        else:
            self._feed_crawl(t, w, x, y, spec)

    def _enter_spot(self, t: int, x: int | None, y: int | None) -> None:
        self.spot = True
        self.spot_t0 = self.spot_t1 = t
        self.spot_pto = self.phase_pto
        n = 1
        if x is None or y is None:
            x, y = self.x or 0, self.y or 0
            n = 1 if t - self.place_t <= BLIND else 0
        self.spot_x, self.spot_y, self.spot_n, self.astray = float(x), float(y), n, 0
        self.base_n, self.base = 0.0, 0.0
        self.tail, self.tail_t, self.head, self.head_n = [], [], [], 0
        self.crawl = []

    def _leave_spot(self, spec: Spec) -> None:
        """The truck stands elsewhere: keep what this spot said about a change, and the level that it leaves with."""
        if self.doubt_t0 >= 0 and self.active is None:
            self._settle_doubt(spec)
        self.spot = False
        dwell = self.spot_t1 - self.spot_t0
        if dwell >= STOP_MIN:
            self._mark_stop(CONFIRMED)
        if dwell >= self.best_dwell:
            self.best_dwell, self.best_x, self.best_y = dwell, int(self.spot_x), int(self.spot_y)
            self.best_inside, self.best_inside_var = self._inside()
        self._fold_tail(0)
        if self.base_n >= 3:
            sigma = self.noise * self.base
            slope = SLOPE_SHARE * self.base
            var = sigma * sigma / self.base_n + slope * slope
            if self.active is None:
                if self.level_var >= UNKNOWN_VAR:
                    self.level, self.level_var = self.base, var
                elif abs(self.base - self.level) < 3.0 * (var + self.level_var) ** 0.5:
                    self.level, self.level_var = combine(self.level, self.level_var, self.base, var)
                elif self._came_straight():
                    # It was another one on arrival already: the newer measurement holds.
                    self.level, self.level_var = self.base, var
        self.base_n = 0.0
        self.tail, self.tail_t, self.head = [], [], []

    def _inside(self) -> tuple[float, float]:
        """Last samples at the spot minus the first ones since the last event there: (kg, variance)."""
        if self.spot_t1 - self.weight_t > BLIND:
            return 0.0, UNKNOWN_VAR  # what went on after the scale fell silent, nobody saw
        n_head, n_tail = len(self.head), min(len(self.tail), 12)
        if self.base_n == 0.0:
            n_tail = min(n_tail, len(self.tail) - n_head)
        if n_head < 2 or n_tail < 2:
            return 0.0, UNKNOWN_VAR
        before, after = robust_mean(self.head), robust_mean(self.tail[-n_tail:])
        sigma = self.noise * max(before, after)
        stood = self.spot_t1 - self.spot_t0
        var = sigma * sigma * (robust_share(n_head) + robust_share(n_tail)) + drift_var(stood / SECOND)
        if self.phase_pto < 30 * SECOND:
            # Three of these are the widest excursion: what a long stand without the pump drifted is no discharge.
            wander = EXCURSION_SHARE / 3.0 * max(before, after) * min(1.0, stood / EXCURSION)
            var += wander * wander
        return after - before, var

    def _fold_tail(self, keep: int) -> None:
        """Move all but the newest `keep` samples of the tail into the base."""
        cut = len(self.tail) - keep
        for w in self.tail[:cut]:
            if self.base_n < 1:
                self.base, self.base_n = float(w), 1.0
                continue
            residual = w - self.base
            limit = 3.0 * self.noise * self.base
            if self.base_n >= 4 and abs(residual) > limit:
                residual = limit if residual > 0 else -limit
            self.base_n = min(self.base_n + 1.0, float(BASE_MAX))
            self.base += residual / self.base_n
        if cut > 0:
            self.base_t = self.tail_t[cut - 1]
        self.tail, self.tail_t = self.tail[cut:], self.tail_t[cut:]

    def _feed_spot(self, t: int, w: int, spec: Spec) -> None:
        if not self.tail and self.base_n == 0:
            self.head_t = t
        self.tail = [*self.tail, w]
        self.tail_t = [*self.tail_t, t]
        n = len(self.tail)
        if len(self.head) < 6:
            self.head = [*self.head, w]
            self.head_n += self.phase_pto == self.spot_pto
        if n + self.base_n >= 4:
            mean = (self.base * self.base_n + sum(self.tail)) / (self.base_n + n)
            residual = w - mean
            # A look costs more than a step: not worth it while the newest three lie where the others do.
            sigma = self.noise * mean
            newest = (self.tail[-1] + self.tail[-2] + self.tail[-3]) / 3 - mean if n >= 3 else 0.0
            if n >= 3 and (abs(newest) > 1.1 * sigma or n % 6 == 0):
                self._test_spot(spec, SIGMAS_SPOT)
            else:
                self.noise = next_noise(self.noise, residual / mean, spec.noise)
        elif n >= 3:
            self._test_spot(spec, SIGMAS_SPOT)
        if n > TAIL_MAX and self.active is None:
            self._fold_tail(TAIL_MAX)
        if self.doubt_t0 >= 0 and t - self.doubt_t0 >= EXCURSION:
            self._settle_doubt(spec)

    def _test_spot(self, spec: Spec, threshold: float) -> None:
        tail, base, base_n = self.tail, self.base, self.base_n
        n = len(tail)
        if self.phase_pto >= 30 * SECOND:
            threshold -= 0.7
        best_z, best_q, best_slope, best_ref, best_ref_var = threshold, 0, False, 0.0, 0.0
        weight = max(self.level if self.level_var < UNKNOWN_VAR else 0.0, base, float(tail[0]))
        sigma = self.noise * weight
        slope = SLOPE_SHARE * weight
        total = sum(tail)
        elsewhere = self._maybe_elsewhere()
        least_up, least_down = self._least(LOADING, spec), self._least(UNLOADING, spec)
        for q in WINDOWS:
            if q > n:
                break
            post = robust_mean(tail[-q:])
            post_var = sigma * sigma * robust_share(q)
            pre_n = base_n + n - q
            if pre_n >= 2:
                before = tail[: n - q]
                # The plain mean: a spike in it makes one test a little blunter, no more.
                pre = (base * base_n + (sum(before) if q > n // 2 else total - sum(tail[-q:]))) / pre_n
                pre_var = sigma * sigma / pre_n
                change = post - pre
                if change >= least_up or -change >= least_down:
                    z = sigmas(change, pre_var + post_var)
                    if z > best_z:
                        best_z, best_q, best_slope, best_ref, best_ref_var = z, q, False, pre, pre_var
            if self.level_var < UNKNOWN_VAR and not elsewhere:
                change = post - self.level
                if change >= least_up or -change >= least_down:
                    z = sigmas(change, self.level_var + post_var + slope * slope)
                    if z > best_z:
                        best_z, best_q, best_slope, best_ref, best_ref_var = (
                            z,
                            q,
                            True,
                            self.level,
                            self.level_var + slope * slope,
                        )
        if best_q == 0:
            return
        arrived = self._arrived_with(best_ref, sigma) if best_slope else None
        if arrived is not None:
            change = robust_mean(tail[-best_q:]) - arrived
            arrived_var = sigma * sigma * robust_share(3)
            self.level, self.level_var = arrived, arrived_var + slope * slope
            self.phase_pre, self.phase_pre_var = self.level, self.level_var
            self._explain(spec)
            if abs(change) < spec.amount_min or sigmas(change, 2.0 * arrived_var) < threshold:
                return
            best_ref, best_ref_var, best_slope = arrived, arrived_var, False
        # Walk back to where it began: the samples before it lie at the reference.
        rising = robust_mean(tail[-best_q:]) > best_ref
        start = n - best_q
        while start > 0 and (
            tail[start - 1] - best_ref > 0.8 * sigma if rising else best_ref - tail[start - 1] > 0.8 * sigma
        ):
            start -= 1
        if not best_slope and base_n + start >= 2:
            best_ref = (base * base_n + sum(tail[:start])) / (base_n + start)
            best_ref_var = sigma * sigma / (base_n + start)
        t0 = self.tail_t[start - 1] if start > 0 else self.spot_t0 if base_n == 0 else self.base_t
        self._begin_active(
            rising,
            t0,
            int(self.spot_x),
            int(self.spot_y),
            best_ref,
            best_ref_var,
            best_slope,
            tail[start:],
            False,
            spec,
            self.tail_t[min(start, n - 1)],
        )

    def _arrived_with(self, ref: float, sigma: float) -> float | None:
        """The weight that the truck came to this spot with, if that is another one than the drive's level `ref`: its first samples
        here agree with each other and lie on the side of the change. What it lost, it lost on the way, seen by nobody; the balance
        shows it. None: it came with the level, or nobody can tell."""
        if len(self.head) < 3 or not self._came_straight():
            return None
        first, widest = self.head[:3], 2.5
        if self.head_n >= 5 and self.phase_pto > self.spot_pto:
            # Weighed before its pump was seen to start: more of them may scatter wider.
            first, widest = self.head[: self.head_n], 4.0
        if max(first) - min(first) > widest * sigma:
            return None
        arrived = robust_mean(first)
        var = sigma * sigma * robust_share(len(first)) + self.level_var + (SLOPE_SHARE * arrived) ** 2
        return arrived if sigmas(arrived - ref, var) > SIGMAS_KEEP else None

    def _explain(self, spec: Spec) -> None:
        """The truck came here with another weight than the drive's level, which a slow phase just before may have changed: the drive
        between was too short to tell. A load that went on unseen is corrected, and what a running pump took is told."""
        self.odd = 0
        for c in reversed(self.candidates):
            if c.n >= 8:
                continue
            change, var = self.level - c.pre, c.pre_var + self.level_var
            if c.fact_t0 >= 0:
                more = c.fact_kind == LOADING and c.inside_var < UNKNOWN_VAR and change > c.inside
                if more and sigmas(change - c.inside, var + c.inside_var) > SIGMAS_CONFLICT:
                    self._correct(replace(c, n=0), change, var, spec)
                    self.candidates = []
                    return
                continue
            pumped = c.fact_t0 == -1 and c.pto >= 30 * SECOND and sigmas(change, var) >= SIGMAS_SILENT - 0.7
            if pumped and abs(change) - var**0.5 >= spec.amount_min:
                self._tell_across(c, change, var, self.level)
                self.candidates = []
                return

    def _came_straight(self) -> bool:
        """From the drive to this spot without a pump, a silence or a field to spread on in between."""
        quiet = self.spot_pto < 15 * SECOND and self.phase_fact_t0 == -1 and not self.phase_gap
        soon = self.spot_t0 - self.phase_t0 <= ARRIVING and self.head_t - self.spot_t0 <= BLIND
        return quiet and soon and self.mute_t1 < self.phase_t0

    def _maybe_elsewhere(self) -> bool:
        """The scale was silent from an earlier slow phase into this one: a change since then need not have happened here. The drive
        after decides (`_judge_candidates`). Where the pump ran here and not there, it was here."""
        pumped = self.phase_pto >= 30 * SECOND
        return self.mute_t1 >= max(0, self.phase_t0) and any(
            c.t1 >= self.mute_t0 and (c.pto >= 30 * SECOND or not pumped) for c in self.candidates
        )

    def _least(self, kind: str, spec: Spec) -> float:
        """The least change that counts at this spot. Right after a loading the load settles, foams and drains, and the level it was
        taken for was picked from few samples: a small part of it the other way is no event."""
        for fact in reversed(self.facts):
            if fact.kind in (LOADING, UNLOADING) and fact.status != WITHDRAWN:
                near = hypot(fact.x - self.spot_x, fact.y - self.spot_y) <= SAME_PLACE
                if fact.kind != kind and near and self.t - fact.t1 <= SETTLING:
                    return max(spec.amount_min, SETTLING_SHARE * fact.amount)
                break
        return spec.amount_min

    def _feed_crawl(self, t: int, w: int, x: int | None, y: int | None, spec: Spec) -> None:
        if x is None or y is None:
            x, y = self.x or 0, self.y or 0
        self.crawl = [*self.crawl[-(MOVING_MAX - 1) :], (t, w, x, y)]
        n = len(self.crawl)
        if self.level_var >= UNKNOWN_VAR or n < 4 or self._maybe_elsewhere():
            return
        weight = max(self.level, float(w))
        sigma = self.noise_driving * weight
        slope = MOVING_SLOPE_SHARE * weight
        for q in (4, 8, 16):
            if q > n:
                return
            now = robust_mean([c[1] for c in self.crawl[-q:]])
            change = now - self.level
            var = self.level_var + sigma * sigma * robust_share(q) + slope * slope
            if abs(change) < max(spec.amount_min, SIGMAS_SPOT * var**0.5):
                continue
            start = n - q
            rising = change > 0
            while start > 0 and (self.crawl[start - 1][1] - self.level) * (1 if rising else -1) > 0.8 * sigma:
                start -= 1
            first = self.crawl[start]
            ws = [c[1] for c in self.crawl[start:]]
            self._begin_active(
                rising, first[0], first[2], first[3], self.level, self.level_var + slope * slope, True, ws, True, spec
            )
            return

    # --- an event while it happens ---

    def _begin_active(
        self,
        rising: bool,
        t0: int,
        x: int,
        y: int,
        ref: float,
        ref_var: float,
        slope: bool,
        ws: list[int],
        moving: bool,
        spec: Spec,
        begun_by: int = 0,
    ) -> None:
        kind = LOADING if rising else UNLOADING
        if self.doubt_t0 >= 0 and self.spot:
            before = self._doubted_fact()
            if kind != self.doubt_kind and before is not None:
                # It comes back: neither the one nor the other was an event, unless more comes back than went.
                self._withdraw_doubt(before)
                ref, ref_var = before.before, self.doubt_var
                after, sigma = robust_mean(ws), self.noise * ref
                change = (after - ref) if rising else (ref - after)
                var = ref_var + sigma * sigma * robust_share(len(ws))
                if change < spec.amount_min or sigmas(change, var) < SIGMAS_SILENT:
                    self._restart_spot(ws[-6:], robust_mean(ws[-6:]))
                    return
            else:
                self._settle_doubt(spec)
        track: tuple[int, ...] = ()
        if moving:
            for c in self.crawl:
                if c[0] >= t0:
                    track = _lengthen(track, c[2], c[3], 20 * METRE, TRACK_MAX)
        placed = self.spot_n > 0 if not moving else self.t - self.place_t <= BLIND
        self.unplaced = self.unplaced or not placed
        self.active = Fact(
            kind, t0, self.t, x, y, OPEN, 0.0, UNKNOWN_VAR, ref,
            moving=moving, track=track, placed=placed, begun_by=begun_by,
        )  # fmt: skip
        self.active_ref, self.active_var, self.active_slope = ref, ref_var, slope
        self.active_tail = ws[-12:]
        self.active_quiet = 0
        self.head = []
        self._measure_active(spec)
        if self._is_small(self.active):
            self.active = replace(self.active, doubted=True)
            self.doubt_t0, self.doubt_kind, self.doubt_var = t0, kind, ref_var
            self.doubt_level, self.doubt_level_var = self.level, self.level_var
        self._resume(self.active)

    def _is_small(self, fact: Fact) -> bool:
        """So little, without the pump, that it may come back."""
        least = fact.amount - 2.0 * fact.var**0.5
        return self.spot and self.phase_pto < 30 * SECOND and least < EXCURSION_SHARE * fact.before

    def _doubted_fact(self) -> Fact | None:
        return self._find(self.doubt_kind, self.doubt_t0)

    def _settle_doubt(self, spec: Spec) -> None:
        """The doubted change has lasted, or nothing more will be seen of it: measure it once more and tell or withdraw it."""
        fact = self._doubted_fact()
        if fact is None or not fact.doubted:
            self.doubt_t0 = -1
            return
        if fact.kind == UNLOADING and fact.before - spec.tare < fact.amount - fact.var**0.5:
            self._withdraw_doubt(fact)  # so much was not on the truck
            return
        ws = self.tail[-12:]
        if len(ws) >= 3:
            sign = 1.0 if fact.kind == LOADING else -1.0
            sigma = self.noise * fact.before
            change = sign * (robust_mean(ws) - fact.before)
            var = self.doubt_var + sigma * sigma * robust_share(len(ws))
            # As across a phase: what no pump explains must exceed the least amount by its error.
            if change - var**0.5 < spec.amount_min or sigmas(change, var) < SIGMAS_KEEP:
                self._withdraw_doubt(fact)
                return
            self._count_trip(fact.kind, change - fact.amount)
            fact = replace(fact, amount=change, var=var + gain_var(change), after=robust_mean(ws))
        self.doubt_t0 = -1
        self._put(self._index(fact), replace(fact, doubted=False))

    def _withdraw_doubt(self, fact: Fact) -> None:
        """It came back: the weight is what it was before."""
        self.doubt_t0 = -1
        self._put(self._index(fact), replace(fact, status=WITHDRAWN, doubted=False))
        self._count_trip(fact.kind, -fact.amount)
        self.level, self.level_var = self.doubt_level, self.doubt_level_var
        if self.phase_fact_t0 == fact.t0 and self.phase_fact_kind == fact.kind:
            self.phase_fact_t0, self.phase_fact_kind = -1, ""

    def _place_facts(self, x: int, y: int, *, between: bool) -> None:
        """Say where the events are that happened without a fix: here, or somewhere between the fix before and this one."""
        self.unplaced = False
        self.facts = [f if f.placed else self._placed(f, x, y, between) for f in self.facts]
        if self.active is not None and not self.active.placed:
            self.active = self._placed(self.active, x, y, between)

    def _placed(self, fact: Fact, x: int, y: int, between: bool) -> Fact:
        if not between:
            return replace(fact, x=x, y=y, placed=True, track=())
        return replace(fact, placed=True, gap=True, track=(fact.x, fact.y, x, y) if fact.kind != STOP else ())

    def _resume(self, fact: Fact) -> None:
        """Make it the newest fact, or another go of the last one at the same place."""
        for i in range(len(self.facts) - 1, -1, -1):
            last = self.facts[i]
            if last.kind not in (LOADING, UNLOADING):
                continue
            if last.status == WITHDRAWN:
                continue
            near = hypot(last.x - fact.x, last.y - fact.y) <= SAME_PLACE or _near_track(last, fact)
            near = near and last.placed and fact.placed
            if last.kind == fact.kind and not last.gap and fact.t0 - last.t1 <= SAME_EVENT_GAP and near:
                if fact.doubted:
                    self.doubt_t0 = -1  # another go of what is known, not a change out of nothing
                merged = replace(
                    fact,
                    t0=last.t0,
                    x=last.x,
                    y=last.y,
                    begun_by=last.begun_by,
                    before=last.before,
                    earlier=last.amount,
                    earlier_var=last.var,
                    moving=last.moving or fact.moving,
                    amount=last.amount + fact.amount,
                    var=last.var + fact.var,
                    doubted=last.doubted and fact.doubted,
                    track=_join(last.track, fact.track),
                )
                self.active = merged
                self.facts = [*self.facts[:i], *self.facts[i + 1 :], merged]
                self._mark_phase(merged)
                return
            break
        self._append(fact)
        self._mark_phase(fact)

    def _mark_phase(self, fact: Fact) -> None:
        if self.phase_fact_t0 == -1:
            self.phase_fact_t0, self.phase_fact_kind, self.phase_earlier = fact.t0, fact.kind, fact.earlier
        elif self.phase_fact_t0 != fact.t0 or self.phase_fact_kind != fact.kind:
            self.phase_fact_t0 = -2

    def _feed_active(self, t: int, w: int, parked: bool, x: int | None, y: int | None, flags: int, spec: Spec) -> None:
        active = self.active
        assert active is not None
        self.active_tail = [*self.active_tail[-11:], w]
        track = active.track
        if not parked and x is not None and y is not None:
            track = _lengthen(track or (active.x, active.y), x, y, 20 * METRE, TRACK_MAX)
        moving = active.moving or len(track) > 6
        before = active.amount
        index = self._index(active)
        self.active = active = replace(active, t1=t, track=track, moving=moving)
        self._measure_active(spec)
        assert self.active is not None
        if self.active.doubted and (t - self.doubt_t0 >= EXCURSION or not self._is_small(self.active)):
            self.doubt_t0 = -1
            self.active = replace(self.active, doubted=False)
        self._put(index, self.active)
        ws = self.active_tail
        if len(ws) < 8:
            return
        half = len(ws) // 2
        sigma = (self.noise if parked else self.noise_driving) * max(self.active_ref, float(ws[-1]))
        slope = abs(robust_mean(ws[half:]) - robust_mean(ws[:half]))
        if slope < 1.2 * sigma * (2.0 * robust_share(half)) ** 0.5 and self.active.amount <= before + 0.5 * sigma:
            self.active_quiet += 1
        else:
            self.active_quiet = 0
        # While the pump runs a pause is not the end, unless it was left running.
        if self.active_quiet >= (PUMPING_QUIET if flags & PTO_ON else 2) and len(ws) >= 10:
            self._close_active(spec)

    def _measure_active(self, spec: Spec) -> None:
        active = self.active
        assert active is not None
        ws = self.active_tail[-3:]
        sigma = self.noise * max(self.active_ref, float(ws[-1]))
        after = robust_mean(ws)
        change = after - self.active_ref if active.kind == LOADING else self.active_ref - after
        self.active = replace(
            active,
            amount=max(0.0, active.earlier + change),
            after=after,
            var=active.earlier_var + self.active_var + sigma * sigma * robust_share(len(ws)) + gain_var(change),
        )

    def _close_active(self, spec: Spec) -> None:
        """The weight is quiet again, or the truck leaves or falls silent."""
        active = self.active
        assert active is not None
        index = self._index(active)
        self.active = None
        ws = self.active_tail[-6:] if self.active_quiet else self.active_tail[-3:]
        self.active_tail = []
        after = robust_mean(ws)
        sigma = self.noise * max(after, self.active_ref)
        after_var = sigma * sigma * robust_share(len(ws))
        change = after - self.active_ref if active.kind == LOADING else self.active_ref - after
        var = self.active_var + after_var + gain_var(change)
        ended = replace(
            active,
            status=CONFIRMED,
            amount=max(0.0, active.earlier + change),
            var=active.earlier_var + var,
            after=after,
        )
        if change < 0.5 * spec.amount_min or sigmas(change, var) < SIGMAS_KEEP:
            if active.earlier > 0.0:
                ended = replace(ended, amount=active.earlier, var=active.earlier_var)
            else:
                ended = replace(ended, status=WITHDRAWN, doubted=False)
                self._put(index, ended)
                if self.doubt_t0 == active.t0:
                    self.doubt_t0 = -1
                if self.phase_fact_t0 == active.t0:
                    self.phase_fact_t0, self.phase_fact_kind = -1, ""
                self._restart_spot(ws, after)
                return
        self._put(index, ended)
        self._count_trip(ended.kind, ended.amount - active.earlier)
        sign = 1.0 if active.kind == LOADING else -1.0
        slope = SLOPE_SHARE * after
        direct, direct_var = after, after_var + slope * slope
        if self.active_slope or self.level_var >= UNKNOWN_VAR:
            self.level, self.level_var = direct, direct_var
        else:
            carried, carried_var = self.level + sign * change, self.level_var + var
            if carried_var < direct_var:
                self.level, self.level_var = carried, carried_var
            else:
                self.level, self.level_var = direct, direct_var
        self.odd = 0
        # Phases before this one can no longer be told from it by what follows.
        self.candidates = []
        self._restart_spot(ws, after)

    def _restart_spot(self, ws: list[int], after: float) -> None:
        self.tail, self.tail_t, self.crawl = [], [], []
        self.base, self.base_n, self.base_t = after, float(len(ws)), self.t
        self.head, self.head_n = list(ws) if self.spot else [], 0

    def _leave_phase(self, now: int, spec: Spec) -> None:
        """Driving again."""
        if self.active is not None:
            self._close_active(spec)
        if self.spot:
            self._leave_spot(spec)
        self.slow = False
        duration = self.t - self.phase_t0
        seen = self.phase_fact_t0 != -1
        if duration < PHASE_MIN and not self.phase_gap and not seen and self.phase_pto < 15 * SECOND:
            for crawled in self.crawl:
                self._feed_driving(crawled[0], crawled[1], spec)
            self.crawl = []
            return
        self.crawl = []
        if self.phase_pre_var >= UNKNOWN_VAR or self.phase_x is None or self.phase_y is None:
            return
        x, y = self.phase_x, self.phase_y
        if self.best_dwell > 0:
            x, y = self.best_x, self.best_y
        elif self.phase_track and not self.phase_gap:
            middle = len(self.phase_track) // 4 * 2
            x, y = self.phase_track[middle], self.phase_track[middle + 1]
        moving = self.best_dwell < 30 * SECOND and not self.phase_gap
        inside, inside_var = self.best_inside, self.best_inside_var
        if seen:
            inside, inside_var = 0.0, UNKNOWN_VAR
            fact = self._find(self.phase_fact_kind, self.phase_fact_t0)
            if fact is not None and not self.active_slope:
                inside = (fact.amount - self.phase_earlier) * (1.0 if fact.kind == LOADING else -1.0)
                inside_var = fact.var - fact.earlier_var
        self.candidates = [
            *self._kept_candidates(),
            Candidate(
                self.phase_t0,
                now if self.phase_gap else self.t,
                x,
                y,
                self.phase_track if moving or self.phase_gap else (),
                self.phase_pre,
                self.phase_pre_var,
                inside,
                inside_var,
                self.best_dwell,
                self.phase_pto,
                self.phase_gap,
                moving,
                self.phase_fact_t0,
                self.phase_fact_kind,
                self.phase_earlier,
                self.heard < 3 or self.t - self.weight_t > BLIND,
            ),
        ]

    def _kept_candidates(self) -> list[Candidate]:
        """Room for one more: the shortest stop without the pump goes first."""
        kept = self.candidates
        if len(kept) >= CANDIDATES_MAX:
            least = min(kept, key=lambda c: (c.pto >= 30 * SECOND or c.fact_t0 != -1, c.gap, c.dwell))
            kept = [c for c in kept if c is not least]
        return kept

    # --- facts ---

    def _find(self, kind: str, t0: int) -> Fact | None:
        for fact in reversed(self.facts):
            if fact.kind == kind and fact.t0 == t0:
                return fact
        return None

    def _index(self, fact: Fact) -> int:
        for i in range(len(self.facts) - 1, -1, -1):
            if self.facts[i].kind == fact.kind and self.facts[i].t0 == fact.t0:
                return i
        return -1

    def _put(self, index: int, fact: Fact) -> None:
        if index >= 0:
            self.facts = [*self.facts[:index], fact, *self.facts[index + 1 :]]

    def _append(self, fact: Fact) -> None:
        kept = [replace(f, track=()) if f.kind == TRIP and f.track else f for f in self.facts[-(FACTS_MAX - 1) :]]
        self.facts = [*kept, fact]

    def _tell(self, fact: Fact) -> None:
        """A fact found across a phase; part of the last one when that was at the same place."""
        active, self.active = self.active, None
        self._resume_quietly(fact)
        self.active = active
        self._count_trip(fact.kind, fact.amount)

    def _resume_quietly(self, fact: Fact) -> None:
        phase = self.phase_fact_kind, self.phase_fact_t0, self.phase_earlier
        self._resume(fact)
        self.active = None
        self.phase_fact_kind, self.phase_fact_t0, self.phase_earlier = phase

    def _mark_stop(self, status: str) -> None:
        t0, t1 = self.spot_t0, self.spot_t1
        fact = Fact(STOP, t0, t1, int(self.spot_x), int(self.spot_y), status, placed=self.spot_n > 0)
        self.unplaced = self.unplaced or not fact.placed
        for i in range(len(self.facts) - 1, -1, -1):
            if self.facts[i].kind == STOP:
                if self.facts[i].t0 == t0:
                    if status == CONFIRMED:
                        self._put(i, fact)
                    return
                break
        self._append(fact)

    # --- trips ---

    def _count_trip(self, kind: str, amount: float) -> None:
        if kind == LOADING:
            self.trip_loaded = max(0.0, self.trip_loaded + amount)
        else:
            self.trip_unloaded = max(0.0, self.trip_unloaded + amount)

    def _follow_trip(self, t: int, km_h: float, x: int | None, y: int | None, flags: int) -> None:
        if self.trip_t0 >= 0:
            long_stop = self.spot and self.spot_t1 - self.spot_t0 >= TRIP_PAUSE
            if flags & IGNITION_OFF or long_stop or t - self.t > TRIP_PAUSE:
                self._end_trip(self.t if t - self.t > TRIP_PAUSE else self.spot_t0 if long_stop else t)
                return
        if x is None or y is None:
            return
        if self.trip_t0 < 0:
            if km_h >= PARKED_KM_H and not flags & IGNITION_OFF:
                self.trip_t0, self.trip_x, self.trip_y, self.trip_distance = t, x, y, 0
                self.trip_path = [x, y]
            return
        if km_h >= PARKED_KM_H and self.x is not None and self.y is not None:
            self.trip_distance += int(hypot(x - self.x, y - self.y))
            path = self.trip_path
            if hypot(x - path[-2], y - path[-1]) > 250 * METRE:
                path = [*path, x, y]
                if len(path) > 2 * PATH_MAX:
                    path = [c for i in range(0, len(path) - 2, 4) for c in path[i : i + 2]] + path[-2:]
                self.trip_path = path

    def _end_trip(self, t: int) -> None:
        if self.trip_distance > 300 * METRE:
            path = self.trip_path
            if self.x is not None and self.y is not None:
                path = [*path, self.x, self.y]
            self._append(
                Fact(
                    TRIP,
                    self.trip_t0,
                    t,
                    path[-2],
                    path[-1],
                    CONFIRMED,
                    track=tuple(path),
                    distance=self.trip_distance,
                    loaded=self.trip_loaded,
                    unloaded=self.trip_unloaded,
                )
            )
        self.trip_t0, self.trip_path = -1, []
        self.trip_loaded = self.trip_unloaded = 0.0


def _lengthen(track: tuple[int, ...], x: int, y: int, step: int, most: int) -> tuple[int, ...]:
    """The track with one more point when it lies a step further; every second one goes when there are too many."""
    if track and hypot(x - track[-2], y - track[-1]) < step:
        return track
    track = (*track, x, y)
    if len(track) > 2 * most:
        track = tuple(c for i in range(0, len(track) - 2, 4) for c in track[i : i + 2]) + track[-2:]
    return track


def _join(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    joined = a + b
    while len(joined) > 2 * TRACK_MAX:
        joined = tuple(c for i in range(0, len(joined), 4) for c in joined[i : i + 2])
    return joined


def _near_track(a: Fact, b: Fact) -> bool:
    """Any point of the first's track within reach of the second's place."""
    return any(hypot(a.track[i] - b.x, a.track[i + 1] - b.y) <= SAME_PLACE for i in range(0, len(a.track), 2))
