"""The common check of every detector: `check_detector` runs one over changes and says what breaks the contract.

Public, so that authors outside this repository run it too. It belongs to tests and never runs in a server.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from madang.flow.contract import Detector, Emit, Ref, Step
from madang.model.change import Change
from madang.model.finding import SEVERITIES, Finding
from madang.model.time import Instant

STATE_BYTES_MAX = 16_384
"""States are written often, with every batch of changes; one that grows beyond this is not bounded."""
OUTPUTS_MAX = 64


def check_detector(
    detector: Detector[Any],
    changes: Sequence[Change],
    ref: Ref,
    *,
    words: Mapping[str, Mapping[str, str]] | None = None,
    rules: Iterable[str] | None = None,
    ticks: bool = True,
) -> list[str]:
    """Everything that is wrong, one sentence each; empty when nothing is.

    `changes` in log order, as the hub would hand them over; choose them so that they reach every branch of the detector.
    `words`: code -> sentence by language; with it, every reason and measure must have words in every language. `rules`: the rules
    that it may report.

    Checked at every step: the same call twice gives the same answer; the given state is not changed; the state survives
    encode and decode, and the
    decoded state goes on just alike; `wake_at` does not lie in the past; keys do not see each other; findings and emits are well formed.
    """
    wrong: list[str] = []
    if not detector.id or "." not in detector.id or not detector.version:
        wrong.append(f"{detector.id!r}: id is <service>.<name>, version is not empty")
    allowed = None if rules is None else frozenset(rules)
    states: dict[str, Any] = {}
    wakes: dict[str, Instant] = {}
    now = 0
    for change in changes:
        if change.recorded_at < now:
            wrong.append(f"change {change.seq}: log time goes back; the changes are not in log order")
        now = max(now, change.recorded_at)
        if change.entity_type not in detector.inputs:
            continue
        for key, wake_at in sorted(wakes.items(), key=lambda item: (item[1], item[0])) if ticks else ():
            if wake_at <= now:
                del wakes[key]
                step = _call(detector, "tick", key, states[key], now, ref, wrong)
                _keep(detector, key, step, states, wakes, now, f"tick of {key}", words, allowed, wrong)
        keys = list(detector.keys(change, ref))
        if keys != list(detector.keys(change, ref)) or len(set(keys)) != len(keys):
            wrong.append(f"change {change.seq}: keys differ from call to call, or repeat")
        for key in keys:
            state = states[key] if key in states else detector.initial(key)
            others = {k: detector.encode(s) for k, s in list(states.items())[:4] if k != key}
            step = _call(detector, "step", key, state, change, ref, wrong)
            _keep(detector, key, step, states, wakes, now, f"change {change.seq}", words, allowed, wrong)
            wrong.extend(
                f"change {change.seq}: the state of {k} changed with that of {key}"
                for k, document in others.items()
                if k in states and detector.encode(states[k]) != document
            )
        if len(wrong) > 20:
            break
    return wrong


def _call(detector: Detector[Any], what: str, key: str, state: Any, moved: Any, ref: Ref, wrong: list[str]) -> Step:
    """Call three times: as it is, again, and from the decoded state. All must be alike."""
    before = detector.encode(state)
    call = getattr(detector, what)
    first: Step = call(state, moved, ref)
    if detector.encode(state) != before:
        wrong.append(f"{what} of {key}: it changes the state that it is given")
        return first
    again: Step = call(state, moved, ref)
    if _plain(detector, again) != _plain(detector, first):
        wrong.append(f"{what} of {key}: the same call gives another answer")
    decoded = detector.decode(before)
    if detector.encode(decoded) != before:
        wrong.append(f"{what} of {key}: decode and encode give another document")
    onward: Step = call(decoded, moved, ref)
    if _plain(detector, onward) != _plain(detector, first):
        wrong.append(f"{what} of {key}: the decoded state goes on differently")
    return first


def _plain(detector: Detector[Any], step: Step) -> tuple[Any, ...]:
    document = None if step.state is None else detector.encode(step.state)
    return document, step.findings, step.emits, step.wake_at


def _keep(
    detector: Detector[Any],
    key: str,
    step: Step,
    states: dict[str, Any],
    wakes: dict[str, Instant],
    now: Instant,
    where: str,
    words: Mapping[str, Mapping[str, str]] | None,
    rules: frozenset[str] | None,
    wrong: list[str],
) -> None:
    if step.state is None:
        states.pop(key, None)
        wakes.pop(key, None)
        return
    states[key] = step.state
    size = len(detector.encode(step.state))
    if size > STATE_BYTES_MAX:
        wrong.append(f"{where}: the state of {key} has {size} bytes (at most {STATE_BYTES_MAX})")
    if len(step.emits) + len(step.findings) > OUTPUTS_MAX:
        wrong.append(f"{where}: {len(step.emits) + len(step.findings)} outputs in one step (at most {OUTPUTS_MAX})")
    if step.wake_at is None:
        wakes.pop(key, None)
    else:
        wakes[key] = step.wake_at
        if where.startswith("tick") and step.wake_at <= now:
            wrong.append(f"{where}: asks to be woken at {step.wake_at}, which has passed: it would be woken for ever")
    for finding in step.findings:
        wrong.extend(f"{where}: {problem}" for problem in check_finding(finding, words, rules))
    for emit in step.emits:
        wrong.extend(f"{where}: {problem}" for problem in check_emit(emit, detector))


def check_finding(
    finding: Finding, words: Mapping[str, Mapping[str, str]] | None = None, rules: frozenset[str] | None = None
) -> list[str]:
    """What is wrong with one finding."""
    wrong: list[str] = []
    if rules is not None and finding.rule not in rules:
        wrong.append(f"rule {finding.rule} is not declared")
    if finding.severity not in SEVERITIES:
        wrong.append(f"severity {finding.severity!r} is none of {', '.join(SEVERITIES)}")
    if ":" not in finding.situation:
        wrong.append(f"situation {finding.situation!r} is not <service>:<what>")
    if not finding.subject or not finding.rule_version:
        wrong.append("no subject or no rule version")
    if not finding.withdraws and not finding.evidence:
        wrong.append(f"{finding.rule}: no evidence: nobody could believe or refute it")
    wrong.extend(f"{finding.rule}: evidence ends before it begins" for e in finding.evidence if e.to_at < e.from_at)
    codes = [finding.reason.code, *(r.code for r in finding.would_differ), *(m.code for m in finding.measures)]
    for language, sentences in (words or {}).items():
        wrong.extend(f"{code} has no words in {language}" for code in codes if code not in sentences)
        for reason in (finding.reason, *finding.would_differ):
            asked = _places(sentences.get(reason.code, ""))
            wrong.extend(f"{reason.code} in {language} needs {{{p}}}" for p in asked if p not in reason.params)
    try:
        msgspec.json.encode(finding)
    except TypeError as error:
        wrong.append(f"{finding.rule}: cannot be written as JSON ({error})")
    return wrong


def check_emit(emit: Emit, detector: Detector[Any]) -> list[str]:
    """What is wrong with one derived observation."""
    wrong: list[str] = []
    if not emit.entity_id.startswith("urn:") or not emit.entity_type:
        wrong.append(f"emit {emit.entity_id!r}: the id is no URN or there is no type")
    if emit.entity_type in detector.inputs:
        wrong.append(f"emit of {emit.entity_type}: it would feed on itself")
    for name, attribute in emit.attributes.items():
        if not isinstance(attribute, dict) or ("value" not in attribute and "object" not in attribute):
            wrong.append(f"emit {emit.entity_id}: {name} is no NGSI-LD attribute")
    return wrong


def _places(text: str) -> list[str]:
    return [part.split("}")[0].split("|")[0] for part in text.split("{")[1:] if "}" in part]
