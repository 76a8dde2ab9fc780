"""Hostile and odd octets: a parsed document, or `E900`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.messages import Rejected
from chfw_sr.wire import Limits, Parsed, check_libxml2, parse
from tests.wire.makers import SR, alert, request, signed


def refusal(octets: bytes, limits: Limits | None = None) -> Rejected:
    with pytest.raises(Rejected) as refused:
        parse(octets, limits or Limits())
    assert refused.value.code == "E900"
    return refused.value


def nested(levels: int, attributes: str = "") -> bytes:
    return (f"<a{attributes}>" * levels + "</a>" * levels).encode()


def test_a_document_is_parsed_and_its_octets_kept():
    octets = request()
    found = parse(octets, Limits())
    assert found.root.tag == f"{{{SR}}}Request"
    assert found.octets is octets


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not well-formed"),
        (b"   ", "not well-formed"),
        (b"nonsense", "not well-formed"),
        (b"<a>", "not well-formed"),
        (b"<a></b>", "not well-formed"),
        (b"<a/><b/>", "not well-formed"),
        (b"<a x='1' x='2'/>", "not well-formed"),
        (b"<a>&nothing;</a>", "not well-formed"),
        (b"<a>&#0;</a>", "not well-formed"),
        (b"<a>\x01</a>", "not well-formed"),
        (b"<x:a/>", "not well-formed"),
        (b"<a>\xff</a>", "does not fit the encoding"),
        (b"<a>\xed\xa0\x80</a>", "does not fit the encoding"),
        (b"<a>\xc0\xbc</a>", "does not fit the encoding"),
        (b"<a/>\0", "NUL"),
        (b"<a>\0</a>", "NUL"),
        ("<a/>".encode("utf-16-le"), "NUL"),
        ("<a/>".encode("utf-32"), "UTF-16|NUL|encoding"),
        (b"\xff\xfe<", "does not fit the encoding utf-16"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a/>'.encode("utf-16"), "declares another encoding"),
        (b'<?xml version="1.0" encoding="UTF-16"?><a/>', "'utf-16' does not fit"),
        (b'<?xml version="1.0" encoding="UTF-7"?><a/>', "'utf-7' does not fit"),
        (b'<?xml version="1.0" encoding="us-ascii"?><a>\xc3\xa9</a>', "does not fit the encoding ascii"),
        (b"<?go on?><a/>", "processing instruction"),
        (b"<a/><?go on?>", "processing instruction"),
        (b"<a><b><?go on?></b></a>", "processing instruction"),
        (b"<!DOCTYPE a><a/>", "DOCTYPE"),
        (b'<!DOCTYPE a SYSTEM "http://localhost:1/a.dtd"><a/>', "DOCTYPE"),
        (b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>', "DOCTYPE"),
        (b"<a><![CDATA[<!DOCTYPE]]></a>", "DOCTYPE"),
        ("<!DOCTYPE a><a/>".encode("utf-16"), "DOCTYPE"),
        (b"<!doctype a><a/>", "not well-formed"),
    ],
)
def test_what_is_not_a_plain_document_is_refused(octets, reason):
    assert any(each in refusal(octets).reason for each in reason.split("|"))


def test_an_entity_bomb_is_refused_before_it_is_parsed():
    levels = "".join(f'<!ENTITY e{n} "' + f"&e{n - 1};" * 10 + '">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY e0 "ha">{levels}]>\n<a>&e9;</a>'.encode()
    refused = refusal(bomb)
    assert (refused.reason, refused.line) == ("a DOCTYPE is not accepted", 2)


def test_the_line_of_a_fault_is_given():
    assert refusal(b"<a>\n<b>\n</a>").line == 3
    assert refusal(b"<a>\n\n\xff</a>").line == 3
    assert refusal(b"<a>\n\0</a>").line == 2
    assert refusal(b"x" * 10, Limits(max_octets=9)).line is None


def test_the_size_is_checked_to_the_octet():
    octets = request()
    assert isinstance(parse(octets, Limits(max_octets=len(octets))), Parsed)
    assert refusal(octets, Limits(max_octets=len(octets) - 1)).reason == (
        f"the document has {len(octets)} octets; at most {len(octets) - 1} are accepted"
    )


def test_four_mebioctets_are_the_limit():
    whole = b"<a>" + b"x" * (4 * 1024 * 1024 - 7) + b"</a>"
    assert parse(whole, Limits()).root.tag == "a"
    assert "at most 4194304" in refusal(whole.replace(b"</a>", b"x</a>")).reason


def test_depth_is_checked_to_the_level():
    assert parse(nested(64), Limits()).root.tag == "a"
    assert "more than 64 levels" in refusal(nested(65)).reason
    assert refusal(nested(300)).code == "E900"
    assert refusal(nested(90_000)).code == "E900"


def test_attributes_are_checked_to_the_one():
    def element(count: int) -> bytes:
        return ("<a><b " + " ".join(f'x{n}=""' for n in range(count)) + "/></a>").encode()

    assert parse(element(32), Limits()).root.tag == "a"
    assert "more than 32 attributes" in refusal(element(33)).reason
    assert "more than 200000 tags or attributes" in refusal(element(200_001)).reason


def test_namespaces_are_counted_by_what_is_in_scope():
    def declared(first: int, last: int) -> str:
        return "".join(f' xmlns:n{n}="urn:{n}"' for n in range(first, last))

    assert parse(f"<a{declared(0, 16)}/>".encode(), Limits()).root.tag == "a"
    assert "more than 16 namespaces in scope" in refusal(f"<a{declared(0, 17)}/>".encode()).reason
    assert "more than 16 namespaces" in refusal(f"<a{declared(0, 9)}><b{declared(9, 18)}/></a>".encode()).reason
    assert "more than 16 namespaces" in refusal(nested(17, ' xmlns="urn:x"')).reason
    # Clients that glue fragments together declare the same namespace again and again: that is in scope once each.
    assert parse(b"<a>" + b'<b xmlns="urn:x"/>' * 1000 + b"</a>", Limits()).root.tag == "a"


def test_the_number_of_tags_is_bounded():
    limits = Limits(max_markup=100)
    assert parse(b"<a>" + b"<b/>" * 98 + b"</a>", limits).root.tag == "a"
    assert "more than 100 tags" in refusal(b"<a>" + b"<b/>" * 99 + b"</a>", limits).reason


@pytest.mark.parametrize(
    "octets",
    [
        b'<a><x:b/><c xmlns="relative"/></a>',
        b'<a x:b=""><c xmlns="relative"/></a>',
        b'<a><x:b/><c xml:space="other"/></a>',
        b"<a><x:b/>" + b'<c xmlns="relative"/>' * 200 + b"</a>",
        b"<a>" + b'<c xmlns="relative"/>' * 200 + b'<x:b/><c xmlns="relative"/></a>',
    ],
)
def test_a_prefix_that_is_not_declared_is_refused_whatever_warning_stands_behind_it(octets):
    # Found by fuzzing: the parser's verdict is that of its last note alone.
    assert refusal(octets).reason.startswith("not well-formed: ")


@pytest.mark.parametrize("name", ["urn:&amp;", "urn:&#38;lt;", "urn:&#x26;#34;"])
def test_a_namespace_that_has_no_sure_canonical_form_is_refused(name):
    # Found by fuzzing: what was signed could not be parsed, or said something else, when it was parsed again.
    for octets in (f'<a xmlns:x="{name}"/>', f"<a><b xmlns = '{name}'/></a>"):
        assert "holds '&'" in refusal(octets.encode()).reason
    assert parse(f'<a>xmlns="{name}"</a>'.encode(), Limits()).root.text.startswith("xmlns=")


@pytest.mark.parametrize("name", ["urn:&quot;", "urn:&lt;", "urn:&gt;", "urn: x", "urn:&#9;", "%zz"])
def test_a_namespace_that_is_no_uri_is_refused_whatever_follows(name):
    for follows in ("", '<b xml:space="other"/>'):
        assert "not a valid URI" in refusal(f'<a><b xmlns:x="{name}"/>{follows}</a>'.encode()).reason


def test_a_warning_alone_is_left_to_those_who_follow():
    assert parse(b'<a><c xmlns="relative"/></a>', Limits()).root.tag == "a"


@pytest.mark.parametrize(
    "octets",
    [
        "<a>é€</a>".encode(),
        b"\xef\xbb\xbf" + "<a>é€</a>".encode(),
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<a>é€</a>'.encode(),
        "\ufeff<?xml version='1.0' encoding='UTF-8'?><a>é€</a>".encode(),
        "<a>é€</a>".encode("utf-16"),
        "\ufeff<a>é€</a>".encode("utf-16-be"),
        '<?xml version="1.0" encoding="UTF-16"?><a>é€</a>'.encode("utf-16"),
        '<?xml version="1.0" encoding="ISO-8859-1"?><a>é&#x20AC;</a>'.encode("latin-1"),
        b'<?xml version="1.0" encoding="US-ASCII"?><a>&#xE9;&#8364;</a>',
    ],
)
def test_the_encodings_that_clients_use_say_the_same(octets):
    assert parse(octets, Limits()).root.text == "é€"


def test_a_comment_does_not_hide_what_follows_it():
    # Canonicalisation leaves the comment out; a reader that stopped at it would read another text than was signed.
    root = parse(b"<!-- a --><a>11<!-- not -->.<![CDATA[<5>]]><!----></a><!-- z -->", Limits()).root
    assert (root.text, len(root)) == ("11.<5>", 0)


def test_nothing_is_included_from_elsewhere():
    xinclude = b'<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="/etc/hostname" parse="text"/></a>'
    root = parse(xinclude, Limits()).root
    assert [child.tag for child in root] == ["{http://www.w3.org/2001/XInclude}include"]


@pytest.mark.parametrize("document", [signed(), alert()], ids=["request", "alert"])
def test_every_truncation_is_refused(document):
    for length in range(len(document)):
        refusal(document[:length])


@given(st.binary(max_size=200))
def test_any_octets_are_parsed_or_refused(octets):
    try:
        found = parse(octets, Limits())
    except Rejected as refused:
        found = refused
    assert isinstance(found, Parsed) or found.code == "E900"


def test_an_old_libxml2_is_refused_at_start_up():
    check_libxml2()
    check_libxml2((2, 12, 0))
    with pytest.raises(RuntimeError, match=r"libxml2 2\.11\.9; at least 2\.12\.0 is needed"):
        check_libxml2((2, 11, 9))
