"""Nearly UTF-8 is UTF-8, and text in other encodings comes out as it was written."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from localembed.readers import DecodedText, Unreadable, read_text
from tests.sweeps import sampled

MIXED = "Grüße aus Köln — “quoted” 世界 👋\nund noch eine Zeile: déjà vu\n"
UTF8 = MIXED.encode() * 3
BAD = "\ufffd"

NEARLY_UTF8 = {
    "a stray byte": (UTF8 + b"It\x92s\n", MIXED * 3 + f"It{BAD}s\n", 1),
    "a stray byte beside one letter": (b"na\xc3\xafve, it\x92s\n", f"naïve, it{BAD}s\n", 1),
    "cut in a character of two": ("naïve caf".encode() + b"\xc3", f"naïve caf{BAD}", 1),
    "cut in a character of three": (b"ASCII up to here \xe2\x80", f"ASCII up to here {BAD}", 2),
    "cut in a character of four": (UTF8 + b"\xf0\x9f\x91", MIXED * 3 + BAD, 3),
    "begins in a character": (b"\x98\x80" + UTF8, BAD * 2 + MIXED * 3, 2),
    "overlong": (b"path: \xc0\xaf etc\n", f"path: {BAD * 2} etc\n", 2),
    "a NUL of Java": (b"one\xc0\x80two\n", f"one{BAD * 2}two\n", 2),
    "a lone surrogate": (UTF8 + b"\xed\xa0\x80\n", MIXED * 3 + f"{BAD * 3}\n", 3),
    "CESU-8": (b"smile \xed\xa0\xbd\xed\xb8\x80!\n", f"smile {BAD * 6}!\n", 6),
    "beyond Unicode": (UTF8 + b"\xf4\x90\x80\x80", MIXED * 3 + BAD * 4, 4),
    "five bytes": (UTF8 + b"\xf8\x88\x80\x80\x80", MIXED * 3 + BAD * 5, 5),
    "two letters of Latin-1": (UTF8 + b"caf\xe9 \xe0\n", MIXED * 3 + f"caf{BAD} {BAD}\n", 2),
    "two other bytes": (UTF8 + b"\xfe\xff\n", MIXED * 3 + f"{BAD * 2}\n", 2),
    "a BOM in the middle": (UTF8 + b"\xef\xbb\xbf" + UTF8, MIXED * 3 + "\ufeff" + MIXED * 3, 0),
    "NULs at the end": (UTF8 + bytes(600), MIXED * 3, 600),
    "a BOM, then a stray byte": (b"\xef\xbb\xbf" + UTF8 + b"\x92", MIXED * 3 + BAD, 1),
    "bad bytes far from the begin": (b"words " * 99_999 + UTF8 + b"\x92", None, 1),
}  # fmt: skip

LEGACY = {
    "cp1252": (
        "Täst\n\nquokka umlaut", "café", "Müller\n", "Straße\n", "naïve\n", "Il est passé",
        "10 €\n", "It’s fine\n", "“quoted” text\n", "© 2010 Foo\n", "20 °C\n", "déjà vu\n",
        "El niño comió.\n", "Zürich, Genève and Málaga\n", "Blåbærgrød med fløde\n",
        "São Paulo\n", "¿Qué pasa?\n", "Null-Anzeige ist »x«.\n",
        "# Änderungen\nint x = 1; /* für später */\n", "a² + b² = c²\n",
        "Le garçon a mangé très tôt à l'hôtel où il était né.\n" * 20,
    ),
    "iso8859-1": ("Où est l'été?\n", "Größe: fünf Füße\n" * 30),
    "iso8859-15": ("5 Füße, très près\n", "Une œuvre à 5 €, très chère à l'été.\n" * 20),
    "iso8859-2": (
        "Łódź\n", "Zażółć gęślą jaźń\n", "Příliš žluťoučký kůň úpěl ďábelské ódy\n" * 20,
        "Szanowni Państwo, proszę o odpowiedź.\n", "Árvíztűrő tükörfúrógép\n",
    ),
    "cp1250": (
        "Łukasz\n", "Wałęsa\n", "Idzie książę\n", "Příliš žluťoučký kůň\n", "środa, piątek\n",
        "Vážení přátelé, děkujeme za vaši zprávu.\n" * 20,
    ),
    "cp1251": ("Привет\n", "Привет, мир!\nКак дела?\n", "Съешь ещё этих мягких булок\n" * 20),
    "koi8-r": ("Привет, мир!\nКак дела?\n", "Съешь ещё этих мягких булок\n" * 20),
    "cp866": ("Привет, мир!\nКак дела?\n", "Съешь ещё этих мягких булок\n" * 20),
    "shift_jis": ("日本語のテキスト\n", "データ\n", "これはテストです。\n" * 9),
    "euc_jp": ("日本語のテキスト\n", "これはテストです。ファイルを開けません。\n" * 9),
    "iso2022_jp": ("日本語のテキスト\n", "これはテストです。ファイルを開けません。\n" * 9),
    "gb18030": ("你好，世界\n", "你好\n", "无法打开文件，因为它不存在。\n" * 9),
    "big5": ("無法開啟檔案\n", "無法開啟檔案，因為它不存在。\n" * 9),
    "euc_kr": ("안녕하세요 세계\n", "파일을 열 수 없습니다.\n" * 9),
    "cp1253": ("Ελλάδα\n", "Δεν είναι δυνατό το άνοιγμα του αρχείου\n" * 9),
    "iso8859-7": ("Καλημέρα κόσμε\n", "Δεν είναι δυνατό το άνοιγμα του αρχείου\n" * 9),
    "cp1254": ("Dosya açılamadı: böyle bir dosya yok\n", "Kullanıcı şifresi değiştirildi\n" * 9),
    "cp1255": ("שלום עולם\n", "לא ניתן לפתוח את הקובץ\n" * 9),
    "cp1256": ("مرحبا بالعالم\n", "لا يمكن فتح الملف لأنه غير موجود\n" * 9),
    "cp1257": ("Nepavyko atverti failo, nes jo nėra. Ačiū už pranešimą.\n" * 9,),
    "cp874": ("สวัสดีชาวโลก\n", "ไม่สามารถเปิดแฟ้มได้\n" * 9),
    "utf-16-le": (
        MIXED, "hi\n", "Привет, мир\n", "你好，世界。\n今天 天气 很好\n", "안녕하세요 세계\n",
    ),
    "utf-16-be": (
        MIXED, "hi\n", "Привет, мир\n", "你好，世界。\n今天 天气 很好\n", "これはテストです。\n",
    ),
    "utf-32-le": (MIXED, "hi\n", "Привет, мир\n"),
    "utf-32-be": (MIXED, "hi\n", "Привет, мир\n"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_locale(monkeypatch):
    """Let no language be the usual one, whatever the machine says."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def decoded(data: bytes) -> DecodedText:
    """Return the text of bytes that are no binary."""
    found = read_text(data)
    assert isinstance(found, DecodedText)
    return found


@pytest.mark.parametrize("name", NEARLY_UTF8)
def test_nearly_utf8_is_utf8_and_its_bad_bytes_are_counted(name):
    data, text, bad_bytes = NEARLY_UTF8[name]

    found = decoded(data)

    assert found.text == (data.decode("utf-8", "replace") if text is None else text)
    assert (found.encoding, found.guessed, found.bad_bytes) == ("utf-8", False, bad_bytes)


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in LEGACY.items() for text in texts]
)
def test_text_in_another_encoding_comes_out_as_it_was_written(encoding, text):
    found = decoded(text.encode(encoding))

    assert found.text == text
    assert found.guessed
    assert not found.bad_bytes


def test_a_text_that_begins_with_much_ascii_is_judged_by_the_rest():
    text = "only words\n" * 50_000 + "Größe: fünf Füße\n"

    assert decoded(text.encode("cp1252")).text == text


@pytest.mark.parametrize(
    ("language", "encoding", "text"),
    [
        ("cs_CZ.UTF-8", "cp1250", "Dvořák\n"),
        ("tr_TR.UTF-8", "cp1254", "İstanbul\n"),
        ("de_DE.UTF-8", "cp1252", "½ Tasse\n"),
        ("ru_RU.UTF-8", "cp1251", "Да\n"),
        ("he_IL", "cp1255", "שלום\n"),
        ("", "cp1252", "5 µm\n"),
    ],
)
def test_in_a_short_text_the_language_of_the_user_decides(monkeypatch, language, encoding, text):
    monkeypatch.setenv("LC_ALL", language)
    monkeypatch.setenv("LC_CTYPE", "")
    monkeypatch.setenv("LANG", "C")

    assert decoded(text.encode(encoding)).text == text


def test_a_page_in_another_language_is_not_read_as_the_users(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    text = "Vážení přátelé, děkujeme za vaši zprávu a přejeme hezký den.\n" * 5

    assert decoded(text.encode("iso8859-2")).text == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("bom", [True, False])
def test_wide_text_that_is_cut_in_a_character_is_read(encoding, bom):
    data = ("\ufeff" * bom + MIXED + "x").encode(encoding)

    found = decoded(data[:-1])

    assert found.text == MIXED + BAD
    assert found.guessed is not bom
    assert 1 <= found.bad_bytes <= 3


def test_bytes_that_cp1252_does_not_have_are_counted():
    found = decoded(b"Stra\xdfe, gepr\xfcft und f\xfcr gut befunden.\n" * 9 + b"\x81\n")

    assert found.encoding in ("cp1252", "iso8859-15")
    assert found.text.startswith("Straße, geprüft")
    assert found.bad_bytes == found.text.count(BAD)


BINARY = [
    b"plain words\0 and more",
    b"cats\0 dog",
    b"./a.txt\0./b.txt\0./src/c.py\0",
    bytes(99),
    bytes(range(256)) * 8,
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0",
    b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0>\0\x01\0\0\0",
    b"SQLite format 3\0\x10\0\x01\x01\0@  ",
    b"".join(number.to_bytes(2, "little") for number in range(999)),
    b"".join(number.to_bytes(4, "little") for number in range(0, 9999, 7)),
]


@pytest.mark.parametrize("data", BINARY)
def test_binary_data_is_still_binary(data):
    assert read_text(data) == Unreadable("binary")


@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_are_binary(seed):
    data = random.Random(seed).randbytes(50 * (seed + 1))

    assert read_text(data) == Unreadable("binary")


@pytest.mark.parametrize(
    "folder", sampled([Path(sys.executable).parent, Path("/usr/bin"), Path("/usr/lib")], 1)
)
def test_programs_and_libraries_are_binary(folder):
    """A file that begins as a program or a library does holds no text."""
    magic = (b"\x7fELF", b"\x1f\x8b", b"!<arch>\n", b"\x89PNG", b"\xfd7zXZ", b"\xcb\r\r\n")
    for path in sorted(folder.rglob("*"))[:20_000]:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        data = path.read_bytes()
        if data.startswith(magic) and len(data) > 100:
            assert isinstance(read_text(data), Unreadable), path


def test_the_lines_around_a_hit_are_those_that_were_indexed(workspace, notes):
    (notes / "a.txt").write_bytes(
        "erste Zeile für später\nquokka Täst\nletzte Größe".encode("cp1252")
    )
    workspace.index()

    (hit,) = workspace.query("quokka", mode="text")

    assert "erste Zeile für später\nquokka Täst\nletzte Größe" in hit.text
