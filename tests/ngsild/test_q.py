"""The q language. Expected trees written by hand from clause 4.9."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.ngsild.errors import TOO_COMPLEX_QUERY, NgsiLdError
from madang.ngsild.q import parse_q
from madang.ngsild.query import And, Between, Compare, Exists, Node, Not, Or


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("speed", Exists("speed")),
        ("speed>50", Compare("speed", ">", 50)),
        ("speed>=-1.5e3", Compare("speed", ">=", -1500.0)),
        (' brand == "Kia" ', Compare("brand", "==", "Kia")),
        (r'brand=="a\"b\\c;|)"', Compare("brand", "==", r'a"b\c;|)')),
        ("on==true", Compare("on", "==", True)),
        ("on!=false", Compare("on", "!=", False)),
        ("owner==urn:ngsi-ld:Organization:c1", Compare("owner", "==", "urn:ngsi-ld:Organization:c1")),
        ("at<2026-11-23T11:14:09+09:00", Compare("at", "<", "2026-11-23T02:14:09Z")),
        ("day==2026-11-23", Compare("day", "==", "2026-11-23")),
        ("hour==12:00:00Z", Compare("hour", "==", "12:00:00Z")),
        ("speed==10..20", Between("speed", 10, 20)),
        ("speed!=10..20", And((Exists("speed"), Not(Between("speed", 10, 20))))),
        ('state=="OPEN","ACK"', Compare("state", "==", ["OPEN", "ACK"])),
        ("n==1,2.5,urn:x:1", Compare("n", "==", [1, 2.5, "urn:x:1"])),
        ("speed.accuracy<2", Compare("speed", "<", 2, sub=("accuracy",))),
        ("speed.observedAt>2026-01-01T00:00:00Z", Compare("speed", ">", "2026-01-01T00:00:00Z", sub=("observedAt",))),
        ("address[city.name]==\"Jeju\"", Compare("address", "==", "Jeju", path=("city", "name"))),
        ("a.b[c]", Exists("a", path=("c",), sub=("b",))),
        ("a;b|c;d", Or((And((Exists("a"), Exists("b"))), And((Exists("c"), Exists("d")))))),
        ("a;(b|c)", And((Exists("a"), Or((Exists("b"), Exists("c")))))),
        ("name~=^12.*;b", And((Compare("name", "~=", "^12.*"), Exists("b")))),
        ("name~=(?i)(a|b);c", And((Compare("name", "~=", "(?i)(a|b)"), Exists("c")))),
        ('name!~="a;b|c"', Compare("name", "!~=", "a;b|c")),
        ("(name~=[)]x)", Compare("name", "~=", "[)]x")),
        ("속도>3", Compare("속도", ">", 3)),
    ],
)  # fmt: skip
def test_a_query_is_its_tree(text: str, tree: Node) -> None:
    assert parse_q(text) == tree


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1), (";", 1), ("a;", 3), ("a|", 3), ("(a", 3), ("a)", 2), ("a>", 3), ("a==", 4), ("a==foo bar", 8),
        ("a==12x", 4), ('a=="x', 4), ("a>1,2", 6), ("a>1..2", 7), ("a==1..true", 11),
        ("a[b", 4), ("a.", 3), ("a b", 3), ("a==2026-13-01T00:00:00Z", 4), ("a~=(", 4), ("1a", 1), ("a==1e999", 4),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_place(text: str, place: int) -> None:
    with pytest.raises(NgsiLdError) as caught:
        parse_q(text)
    assert f"at character {place}:" in caught.value.detail


@pytest.mark.parametrize(
    "text",
    ["a" * 5000, "(" * 17 + "a" + ")" * 17, ";".join(["a"] * 129), "a~=(x+)+", "a~=(a|aa)*", r"a~=(.)\1",
     "a==" + ",".join("1" for _ in range(300)), ".".join(["a"] * 20), "a~=" + ".*" * 9, "a~=x{2000}", "a~=" + "x" * 300],
)  # fmt: skip
def test_what_could_take_for_ever_is_refused(text: str) -> None:
    with pytest.raises(NgsiLdError) as caught:
        parse_q(text)
    assert caught.value.kind == TOO_COMPLEX_QUERY


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='abé."(),;|=!<>~[]{}*+\\0123456789-T:Z truefals', max_size=60))
def test_any_text_parses_or_raises_the_one_error(text: str) -> None:
    """Never anything but a tree or NgsiLdError."""
    try:
        parse_q(text)
    except NgsiLdError as error:
        assert error.where == "q"


NAME = st.sampled_from(["speed", "owner", "속도", "a1", "true"])
PATH = st.lists(st.sampled_from(["x", "accuracy"]), max_size=2).map(tuple)
NUMBER = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
VALUE = NUMBER | st.booleans() | st.text(max_size=10)
COMPARES = st.builds(Compare, NAME, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), VALUE, PATH, PATH) | st.builds(
    Compare, NAME, st.just("=="), st.lists(VALUE, min_size=2, max_size=4), PATH, PATH
)
TREES = st.recursive(
    COMPARES | st.builds(Exists, NAME, PATH, PATH) | st.builds(Between, NAME, NUMBER, NUMBER, PATH, PATH),
    lambda x: st.lists(x, min_size=2, max_size=3).flatmap(
        lambda items: st.sampled_from([And(tuple(items)), Or(tuple(items))])
    ),
    max_leaves=8,
)


def written(node: Node) -> str:
    """A tree as q text, by the grammar in the module's docstring."""
    match node:
        case And(items):
            return ";".join(f"({written(item)})" for item in items)
        case Or(items):
            return "|".join(f"({written(item)})" for item in items)
        case Exists():
            return where(node)
        case Between():
            return f"{where(node)}=={literal(node.low)}..{literal(node.high)}"
        case Compare():
            values = node.value if isinstance(node.value, list) else [node.value]
            return f"{where(node)}{node.op}{','.join(literal(value) for value in values)}"
    raise AssertionError(node)


def where(node: Any) -> str:
    inside = f"[{'.'.join(node.path)}]" if node.path else ""
    return ".".join([node.attribute, *node.sub]) + inside


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_a_written_tree_parses_to_itself(tree: Node) -> None:
    assert parse_q(written(tree)) == tree
