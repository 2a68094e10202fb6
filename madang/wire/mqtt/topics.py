"""Topic names and topic filters (clause 4.7)."""


def find_topic_fault(topic: str) -> str | None:
    """Why `topic` may not be published to, or None when it may.

    >>> find_topic_fault("manure/T-1/telemetry")
    >>> find_topic_fault("manure/+/telemetry")
    'a topic that is published to holds no wildcard [MQTT-3.3.2-2]'
    """
    if not topic:
        return "the topic is empty [MQTT-4.7.3-1]"
    if "+" in topic or "#" in topic:
        return "a topic that is published to holds no wildcard [MQTT-3.3.2-2]"
    if "\0" in topic:
        return "the topic holds U+0000 [MQTT-4.7.3-2]"
    return None


def find_filter_fault(filter_: str) -> str | None:
    """Why `filter_` is no topic filter, or None when it is one.

    >>> find_filter_fault("city/#/x")
    '"#" must be the last level and stand alone in it [MQTT-4.7.1-2]'
    """
    if not filter_:
        return "the topic filter is empty [MQTT-4.7.3-1]"
    if "\0" in filter_:
        return "the topic filter holds U+0000 [MQTT-4.7.3-2]"
    if "#" in filter_ and (filter_.index("#") != len(filter_) - 1 or (len(filter_) > 1 and filter_[-2] != "/")):
        return '"#" must be the last level and stand alone in it [MQTT-4.7.1-2]'
    if "+" in filter_ and any("+" in level and level != "+" for level in filter_.split("/")):
        return '"+" must stand alone in its level [MQTT-4.7.1-3]'
    return None


def matches(filter_: str, topic: str) -> bool:
    """True when the (valid) filter selects the (valid) topic.

    ``#`` also selects its parent level; neither wildcard selects a topic that begins with ``$`` [MQTT-4.7.2-1].

    >>> matches("sport/tennis/#", "sport/tennis"), matches("+/+", "/finance"), matches("#", "$SYS/uptime")
    (True, True, False)
    """
    if filter_ == topic:
        return True
    if topic[:1] == "$" and filter_[:1] in ("+", "#"):
        return False
    wanted = filter_.split("/")
    levels = topic.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(levels) or (level != "+" and level != levels[i]):
            return False
    return len(levels) == len(wanted)
