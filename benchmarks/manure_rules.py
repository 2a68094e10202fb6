"""Benchmark `manure.rules.3`: how many of the simulated events the rules find, and how often they are wrong.

    python -m benchmarks.manure_rules [--write] [--days FOLDER]

Whole city days of 40 trucks, one after the other, each on a seed that the detectors were not developed with: enriched days (many
more cheats) for recall and precision, natural ones for false alarms. Counts are summed over the days; intervals are Wilson's for
shares and Garwood's for the rate. The seeds are part of the id and do not change under it. The results of `manure.rules` (seeds 301 to
304 and 311 to 315) and `manure.rules.2` (401 to 404 and 411 to 416) are kept; they told what to mend, so their days are no longer unseen.
This id has days that nobody had looked at, four natural days more, and the same measure.

With ``--days`` each day's result is kept in the folder under a digest of the sector's code, so that a run that was stopped goes on.
"""

import argparse
import hashlib
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from madang import __version__
from madang.app.evaluate import evaluate_manure
from madang.model.statistics import poisson_interval, wilson_interval

ID = "manure.rules.3"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
CODE = Path(__file__).parents[1] / "madang" / "services" / "manure"
TRUCKS = 40
ENRICHED_SEEDS = (441, 442, 443, 444)
"""One day each: some 70 true events a day."""
NATURAL_SEEDS = tuple(range(451, 461))
"""One day each: about 37 truck-days, for not every truck works every day."""
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


def code_digest() -> str:
    """Of the sector's modules: a kept day counts only for the code that it was judged with."""
    digest = hashlib.sha256()
    for module in sorted(CODE.glob("*.py")):
        digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()[:16]


def run(seeds: Iterable[int], enriched: bool, folder: Path | None) -> list[dict[str, Any]]:
    """One day for each seed; those kept in the folder are not run again."""
    days = []
    for seed in seeds:
        kept = None if folder is None else folder / f"{ID}-{seed}-{code_digest()}.json"
        if kept is not None and kept.exists():
            days.append(json.loads(kept.read_text(encoding="utf-8")))
            continue
        day = evaluate_manure(seed=seed, days=1, trucks=TRUCKS, enriched=enriched)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(day), encoding="utf-8")
        counts = " ".join(f"{name}={day['all'][name]}" for name in COUNTS)
        print(f"seed {seed} enriched={enriched}: {counts} in {day['took_s']} s", flush=True)
        days.append(day)
    return days


def main() -> None:
    """Run, print, and write the result when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    parser.add_argument(
        "--days", type=Path, metavar="FOLDER", help="keep each day's result here, and go on from those kept"
    )
    arguments = parser.parse_args()
    enriched = run(ENRICHED_SEEDS, True, arguments.days)
    natural = run(NATURAL_SEEDS, False, arguments.days)
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
        "took_s": round(sum(day["took_s"] for day in (*enriched, *natural)), 1),
    }  # fmt: skip
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if arguments.write:
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
