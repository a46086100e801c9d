"""Encodings of texts: the right letters, or a sentence. Never wrong letters."""

import pytest

from voicetune.data.readers import encodings
from voicetune.errors import UserError

TEXTS = {
    "cs": ["Příliš žluťoučký kůň úpěl ďábelské ódy.", "Která řeka protéká Prahou?"],
    "hu": ["Árvíztűrő tükörfúrógép.", "Jó estét, és üdvözlöm Önöket – a műsorban."],
    "fr": ["Bonsoir, et bienvenue à l’émission.", "Où est passé le garçon, mon cœur ?"],
    "ru": ["Добрый вечер, дамы и господа.", "Иван, какая река течёт через Москву?"],
    "pl": ["Zażółć gęślą jaźń.", "Dobry wieczór, witamy państwa."],
    "de": ["Größe übt „Schönheit“."],
    "es": ["¿Dónde está el niño?"],
    "tr": ["İyi akşamlar, hoş geldiniz. Şimdi ağaç."],
    "en": ["Don’t say “café”."],
    "ja": ["こんばんは、ようこそ。次の問題です。"],
    "ko": ["안녕하세요. 반갑습니다."],
    "zh": ["晚上好，欢迎收看。下一个问题。"],
    "ar": ["مساء الخير، أهلا وسهلا"],
}
READ = {
    "cs": ["cp1250", "iso8859_2"], "hu": ["cp1250"], "fr": ["cp1252", "iso8859_15"], "pl": ["cp1250", "iso8859_2"],
    "ru": ["cp1251", "koi8_r", "cp866", "iso8859_5"], "de": ["cp1252"], "es": ["cp1252", "iso8859_1"], "en": ["cp1252"],
    "tr": ["cp1254"], "ja": ["cp932", "euc_jp"], "ko": ["cp949"], "zh": ["gb18030"], "ar": ["cp1256"],
}  # fmt: skip
UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
OTHERS = [
    "mac_roman",
    "mac_latin2",
    "mac_cyrillic",
    "cp850",
    "cp852",
    "cp437",
    "iso8859_1",
    "iso8859_2",
    "cp1257",
    "big5",
]


def decoded(path, language: str) -> str | None:
    """The text, or None if the encoding is not sure."""
    try:
        return encodings.read_text(path, "-", language)
    except UserError as error:
        found = str(error)
    assert f"{path}, line " in found
    assert "is not UTF-8, and its encoding is not sure; convert the file, for example with `iconv -f " in found
    return None


@pytest.mark.parametrize("language", TEXTS)
def test_the_encodings_of_a_language_give_its_letters(tmp_path, language, capsys):
    lines = "".join(f"a-{i}|{line}\n" for i, line in enumerate(TEXTS[language]))
    for encoding in READ[language] + UNICODE:
        path = tmp_path / f"{encoding}.csv"
        text = lines.replace("’", "'") if encoding == "iso8859_15" else lines  # which lacks it
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
        assert decoded(path, language) == text, encoding
        told = capsys.readouterr().out
        assert (str(path) in told) == (not encoding.startswith("utf-8")), "every other encoding is printed"


@pytest.mark.parametrize("language", TEXTS)
def test_no_encoding_gives_wrong_letters(tmp_path, language):
    """Every other encoding that has the letters, whole lists and single lines: the text, or nothing."""
    tried = 0
    for encoding in OTHERS + READ[language]:
        for number, text in enumerate([*TEXTS[language], "".join(f"a|{line}\n" for line in TEXTS[language])]):
            path = tmp_path / f"{encoding}-{number}.txt"
            try:
                path.write_bytes(text.encode(encoding))
            except UnicodeEncodeError:
                continue
            tried += 1
            assert decoded(path, language) in (text, None), encoding
    assert tried


def test_a_text_in_another_language_is_not_sure(tmp_path):
    (tmp_path / "a.txt").write_bytes("Árvíztűrő tükörfúrógép.".encode("cp1250"))
    assert decoded(tmp_path / "a.txt", "fr") is None
    assert decoded(tmp_path / "a.txt", "hi") is None


def test_a_scanner_s_mistake_in_capitals_does_not_make_a_long_text_unsure(tmp_path):
    text = "C'est déjà l'été, et voilà où ça mène.\n" * 20 + "SEPTlÈME CIEL\n"
    (tmp_path / "a.srt").write_bytes(text.encode("cp1252"))
    assert decoded(tmp_path / "a.srt", "fr") == text


def test_utf_32_of_both_orders_and_half_a_character(tmp_path, capsys):
    path, text = tmp_path / "metadata.csv", "a|Árvíztűrő.\n"
    for order in ("le", "be"):
        path.write_bytes(f"\ufeff{text}".encode(f"utf-32-{order}"))
        assert encodings.read_text(path, "-", "hu") == text
        assert capsys.readouterr().out == f"{path} is read as UTF-32, and not as UTF-8\n"
        assert encodings.first_line(path) == "a|Árvíztűrő."
    path.write_bytes(f"\ufeff{text}".encode("utf-32-le")[:-1])
    with pytest.raises(UserError, match="is not UTF-8, and its encoding is not sure; convert the file"):
        encodings.read_text(path, "-", "hu")


def test_a_list_of_more_than_64_mib_is_one_sentence(tmp_path):
    """As validated.tsv of Common Voice's largest languages."""
    path = tmp_path / "validated.tsv"
    with path.open("wb") as file:
        file.truncate(400 * 2**20)
    with pytest.raises(UserError) as error:
        encodings.read_text(path, "-", "en")
    assert str(error.value) == (f"{path} has 400 MiB, and a text may have 64; take out the lines that you do not need.")
