"""Benchmark `manure.rules`: how many of the simulated events the rules find, and how often they are wrong.

    python -m benchmarks.manure_rules [--write]

Whole city days of 40 trucks, one after the other, each on a seed that the detectors were not developed with: enriched days (many
more cheats) for recall and precision, natural ones for false alarms. Counts are summed over the days; intervals are Wilson's for
shares and Garwood's for the rate. The seeds are part of the id and do not change under it.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from madang import __version__
from madang.app.evaluate import evaluate_manure
from madang.model.statistics import poisson_interval, wilson_interval

ID = "manure.rules"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
TRUCKS = 40
ENRICHED_SEEDS = (301, 302, 303, 304)
"""One day each: some 70 true events a day."""
NATURAL_SEEDS = (311, 312, 313, 314, 315)
"""One day each: 200 truck-days."""
COUNTS = ("true", "false", "missed")


def summed(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One rule over several days."""
    parts = list(parts)
    total: dict[str, Any] = {name: sum(part[name] for part in parts) for name in COUNTS}
    true, found, happened = total["true"], total["true"] + total["false"], total["true"] + total["missed"]
    total["recall"] = true / happened if happened else None
    total["recall_ci"] = wilson_interval(true, happened)
    total["precision"] = true / found if found else None
    total["precision_ci"] = wilson_interval(true, found)
    total["median_delay_s_by_day"] = [part["median_delay_s"] for part in parts]
    return total


def rules_of(days: list[dict[str, Any]]) -> dict[str, Any]:
    """Every rule, and all of them."""
    names = sorted({rule for day in days for rule in day["rules"]})
    rules = {name: summed(day["rules"][name] for day in days if name in day["rules"]) for name in names}
    baseline = summed(part for day in days for part in day["baseline"].values())
    return {"rules": rules, "all": summed(day["all"] for day in days), "baseline": baseline}


def run(seeds: Iterable[int], enriched: bool) -> list[dict[str, Any]]:
    """One day for each seed."""
    days = []
    for seed in seeds:
        day = evaluate_manure(seed=seed, days=1, trucks=TRUCKS, enriched=enriched)
        counts = " ".join(f"{name}={day['all'][name]}" for name in COUNTS)
        print(f"seed {seed} enriched={enriched}: {counts} in {day['took_s']} s", flush=True)
        days.append(day)
    return days


def main() -> None:
    """Run, print, and write the result when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    write = parser.parse_args().write
    began = time.monotonic()
    enriched, natural = run(ENRICHED_SEEDS, True), run(NATURAL_SEEDS, False)
    false = sum(day["all"]["false"] for day in natural)
    truck_days = sum(day["truck_days"] for day in natural)
    low, high = poisson_interval(false)
    messages = sum(day["messages"] for day in (*enriched, *natural))
    result = {
        "id": ID,
        "origin": "simulated",
        "version": __version__,
        "machine": {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "system": platform.platform(),
        },
        "trucks": TRUCKS,
        "enriched": {"seeds": ENRICHED_SEEDS, "events": summed(d["all"] for d in enriched)["true"]
                     + summed(d["all"] for d in enriched)["missed"], **rules_of(enriched)},
        "natural": {
            "seeds": NATURAL_SEEDS,
            "truck_days": truck_days,
            "false_alarms": false,
            "false_alarms_per_truck_day": false / truck_days,
            "false_alarms_per_truck_day_ci": [low / truck_days, high / truck_days],
            "baseline_false_alarms": sum(p["false"] for d in natural for p in d["baseline"].values()),
            **rules_of(natural),
        },
        "messages": messages,
        "took_s": round(time.monotonic() - began, 1),
    }  # fmt: skip
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if write:
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
