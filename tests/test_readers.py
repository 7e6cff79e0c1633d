"""From bytes to text by content alone: encodings are recognised, binaries and lies refused."""

from __future__ import annotations

import codecs
import contextlib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from localembed.errors import ReadError
from localembed.readers import READERS, DecodedText, Unreadable, document_kind, read_text

MESSY = Path(__file__).parent.parent.parent / "shared" / "data" / "messy"
RUSSIAN = (
    "Съешь же ещё этих мягких французских булок, да выпей чаю. "
    "Широкая электрификация южных губерний даст мощный толчок подъёму сельского хозяйства. "
    "Однажды в чащах юга жил бы цитрус? Да, но фальшивый экземпляр!\r\n"
) * 3
BOMS = [
    pytest.param(codecs.BOM_UTF8, "utf-8", id="utf-8"),
    pytest.param(codecs.BOM_UTF16_LE, "utf-16-le", id="utf-16-le"),
    pytest.param(codecs.BOM_UTF16_BE, "utf-16-be", id="utf-16-be"),
    pytest.param(codecs.BOM_UTF32_LE, "utf-32-le", id="utf-32-le"),
    pytest.param(codecs.BOM_UTF32_BE, "utf-32-be", id="utf-32-be"),
]
any_text = st.text(st.characters(exclude_categories=["Cs"]))


def messy(name: str) -> bytes:
    """Return one of the shared files, or skip."""
    path = MESSY / name
    if not path.is_file():
        pytest.skip(f"the shared file {name} is not here")
    return path.read_bytes()


def text_of(data: bytes) -> str:
    """Return the text of bytes that are no binary."""
    found = read_text(data)
    assert isinstance(found, DecodedText)
    return found.text


def reason(data: bytes) -> str:
    """Return why the bytes hold no text."""
    refused = read_text(data)
    assert isinstance(refused, Unreadable)
    return refused.reason


@pytest.mark.parametrize(("bom", "encoding"), BOMS)
def test_a_byte_order_mark_is_obeyed_and_taken_off(bom, encoding):
    text = "Grüße, 世界 👋\r\nzweite Zeile\n"

    assert text_of(bom + text.encode(encoding)) == text


@pytest.mark.parametrize(("bom", "encoding"), BOMS)
def test_a_lone_byte_order_mark_is_empty_text(bom, encoding):
    assert text_of(bom) == ""


@pytest.mark.parametrize(("bom", "encoding"), BOMS)
@given(text=any_text)
def test_text_behind_a_byte_order_mark_survives(bom, encoding, text):
    assume(not (encoding == "utf-16-le" and text.startswith("\0")))  # then it is UTF-32's mark

    expected = text.rstrip("\0") or text if encoding == "utf-8" else text  # padding is dropped
    assert text_of(bom + text.encode(encoding)) == expected


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF16_LE + b"\x00\xd8" * 9,
        codecs.BOM_UTF16_BE + b"\xd8\x00" * 9 + b"\x00a",
        codecs.BOM_UTF32_LE + b"\xff\xff\xff\xff",
        codecs.BOM_UTF32_BE + b"\x00\x00\x00",
    ],
    ids=["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"],
)
def test_text_that_contradicts_its_byte_order_mark_fails(data):
    with pytest.raises(ReadError, match="cannot be decoded as utf-"):
        read_text(data)


@given(any_text)
def test_valid_utf8_is_never_read_as_anything_else(text):
    found = read_text(text.encode())

    if isinstance(found, DecodedText):
        assert found.text == text.removeprefix("\ufeff").rstrip("\0")


def test_utf8_is_not_read_again_as_latin1_when_it_has_accents():
    assert text_of("café".encode()) == "café"
    text = "café naïve Ünïcödé\n" * 20_000
    assert text_of(text.encode()) == text


def test_empty_bytes_are_empty_text():
    assert text_of(b"") == ""


def test_line_ends_stay_as_they_are():
    assert text_of(b"a\r\nb\rc\nd") == "a\r\nb\rc\nd"


@pytest.mark.parametrize(
    "text",
    [
        "“Crème brûlée” said the façade”s owner, coûte trois euros à l”hôtel.\r\n" * 8,
        "El niño comió piñas en la montaña.\n",
        "Müller hat Übergrößen für die Straße.\n",
        "Le garçon a mangé très tôt à l'hôtel où il était né.\n",
    ],
    ids=["punctuation", "spanish", "german", "french"],
)
def test_western_legacy_text_is_recognised(text):
    assert text_of(text.encode("cp1252")) == text


@pytest.mark.parametrize("encoding", ["koi8-r", "cp866", "cp1251"])
def test_cyrillic_legacy_text_is_recognised(encoding):
    assert text_of(RUSSIAN.encode(encoding)) == RUSSIAN


def test_a_real_cp866_file_is_recognised():
    data = messy("tika/russian.cp866.txt")

    assert text_of(data) == data.decode("cp866")


def test_a_real_cp1252_file_is_recognised():
    data = messy("unstructured/fake-html-cp1252.html")

    assert text_of(data) == data.decode("cp1252")


def test_a_real_file_with_a_byte_order_mark_loses_it():
    text = text_of(messy("charset_normalizer/sample-english.bom.txt"))

    assert not text.startswith("\ufeff")


@pytest.mark.parametrize(
    ("name", "encoding"), [("sample-chinese.txt", "big5"), ("sample-polish.txt", "utf-8")]
)
def test_a_real_file_in_another_script_is_recognised(name, encoding):
    data = messy(f"charset_normalizer/{name}")

    assert text_of(data) == data.decode(encoding)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("markitdown/test.pdf", "no reader for PDF"),
        ("markitdown/test.docx", "no reader for ZIP, DOCX, EPUB"),
        ("markitdown/test.xlsx", "no reader for ZIP, DOCX, EPUB"),
        ("tika/testEPUB.epub", "no reader for ZIP, DOCX, EPUB"),
        ("tika/testWORD_truncated.docx", "no reader for ZIP, DOCX, EPUB"),
        ("markitdown/random.bin", "binary"),
    ],
)
def test_a_real_binary_file_is_refused_with_its_reason(name, expected):
    assert reason(messy(name)) == expected


def test_magic_bytes_decide_when_the_rest_looks_like_text():
    assert reason(b"%PDF-1.7\nplain words") == "no reader for PDF"
    assert reason(b"PK\x03\x04plain words") == "no reader for ZIP, DOCX, EPUB"
    assert reason(b"{\\rtf1 plain words}") == "no reader for RTF"


def test_a_nul_means_binary():
    assert reason(b"plain words\0 and more") == "binary"


def test_many_controls_mean_binary_and_few_do_not():
    text = b"x" * 97

    assert reason(text + b"\x01\x02\x03") == "binary"
    assert text_of(text + b"\x1b\x1b\x1b") == "x" * 97 + "\x1b" * 3
    assert text_of(text + b"xx\x01") == "x" * 99 + "\x01"


@given(st.binary(max_size=400))
def test_any_bytes_give_text_a_reason_or_a_read_error(data):
    with contextlib.suppress(ReadError):
        assert isinstance(read_text(data), DecodedText | Unreadable)


def test_the_last_reader_takes_everything_that_is_left():
    assert READERS[-1].accepts(b"\x00\xff")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"a.md", "markdown"),
        (b"a.MD", "markdown"),
        (b"deep.rst/a.rst", "rst"),
        (b"a.py", "code"),
        (b"a.txt", "text"),
        (b"Makefile", "text"),
        (b"\xff\xfe.rs", "code"),
        (b"folder.py/README", "text"),
    ],
)
def test_the_kind_comes_from_the_suffix(path, kind):
    assert document_kind(path) == kind
