"""Every language is complete, and a visitor gets the one that the request asks for."""

import re
import string
from io import BytesIO

import painter
import pytest
from babel.dates import format_datetime
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont
from pypdf import PdfReader
from serving import ROOT
from visitor import result_address, text

from app import report
from app.languages import COOKIE

FOLDER = ROOT / "app" / "translations"
CODES = ["de", "es", "fr", "pt", "zh_Hans"]
METHODS = [("app/**.py", "python"), ("templates/**.html", "jinja2")]
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|\{\w+\}|</?\w+>|p\(")

NOT_AN_ALL_CLEAR = {
    "de": "keine Entwarnung",
    "es": "no descarta nada",
    "fr": "n'exclut rien",
    "pt": "não descarta nada",
    "zh_Hans": "并不代表可以放心",
}


def catalog(code: str) -> Catalog:
    with open(FOLDER / code / "LC_MESSAGES" / "messages.po", "rb") as file:
        return read_po(file, locale=code, abort_invalid=True)


@pytest.fixture(scope="module")
def messages() -> dict[str, set[str]]:
    """The English messages of each source file."""
    found: dict[str, set[str]] = {}
    for folder in ("app", "templates"):
        methods = [(glob.removeprefix(f"{folder}/"), name) for glob, name in METHODS]
        for name, _, message, _, _ in extract_from_dir(ROOT / folder, methods):
            found.setdefault(f"{folder}/{name}", set()).add(message)
    return found


def test_every_language_has_a_catalog():
    assert sorted(path.parent.parent.name for path in FOLDER.rglob("*.po")) == CODES


@pytest.mark.parametrize("code", CODES)
def test_every_string_is_translated_and_no_translation_is_obsolete_or_fuzzy(code, messages):
    translated = {message.id: message for message in catalog(code) if message.id}
    assert set(translated) == set().union(*messages.values())
    assert [id for id, message in translated.items() if not message.string or message.fuzzy] == []


@pytest.mark.parametrize("code", CODES)
def test_translations_contain_the_same_placeholders_and_markup(code):
    wrong = {
        message.id: message.string
        for message in catalog(code)
        if message.id
        and sorted(PLACEHOLDER.findall(message.id)) != sorted(PLACEHOLDER.findall(message.string))
    }
    assert wrong == {}


@pytest.mark.parametrize("code", CODES)
def test_the_compiled_catalogs_are_up_to_date(code):
    with open(FOLDER / code / "LC_MESSAGES" / "messages.mo", "rb") as file:
        compiled = {message.id: message.string for message in read_mo(file) if message.id}
    assert compiled == {message.id: message.string for message in catalog(code) if message.id}


def test_templates_contain_no_untranslatable_text():
    # "index" is for search engines.
    names = {"index", "MoleLens", "AUC", "SHA-256", "openapi.json", "OpenAPI", *"ABCDE"}
    attribute = re.compile(r'(?:alt|aria-label|title|placeholder|data-\w+)="([^"]*)"')
    found = set()
    for path in (ROOT / "templates").glob("*.html"):
        markup = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", "", path.read_text(), flags=re.S)
        words = " ".join([*attribute.findall(markup), re.sub(r"<[^>]*>", " ", markup)])
        found |= {word for word in words.split() if re.search(r"[^\W\d_]{2}", word)}
    assert found <= names


REQUESTS = [
    ("", {}, "en"),
    ("", {"Accept-Language": "de"}, "de"),
    ("", {"Accept-Language": "de-AT, en;q=0.5"}, "de"),
    ("", {"Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8"}, "pt"),
    ("", {"Accept-Language": "zh-CN, en;q=0.8"}, "zh-Hans"),
    ("", {"Accept-Language": "nl, fr;q=0.7, en;q=0.3"}, "fr"),
    ("", {"Accept-Language": "de;q=0, es;q=0.1"}, "es"),
    ("", {"Accept-Language": "tlh"}, "en"),
    ("?lang=es", {"Accept-Language": "de"}, "es"),
    ("?lang=zh-CN", {}, "zh-Hans"),
    ("?lang=../etc", {"Accept-Language": "de"}, "de"),
    ("?lang=", {}, "en"),
]


@pytest.mark.parametrize(("query", "headers", "language"), REQUESTS)
def test_a_page_is_in_the_requested_language(client, query, headers, language):
    response = client.get(f"/privacy{query}", headers=headers)
    assert f'<html lang="{language}">' in response.get_data(as_text=True)
    assert response.headers["Content-Language"] == language
    assert "Accept-Language" in response.headers["Vary"]


def test_a_chosen_language_is_remembered_and_overrides_the_browsers_preference(client):
    client.get("/?lang=fr", headers={"Accept-Language": "de"})
    assert client.get_cookie(COOKIE).value == "fr"
    response = client.get("/about", headers={"Accept-Language": "de"})
    assert response.headers["Content-Language"] == "fr"


def test_every_page_links_to_itself_in_the_other_languages(client):
    address = result_address(client)
    page = client.get(address).get_data(as_text=True)
    for code in CODES:
        assert f'href="{address}?lang={code}"' in page
    assert 'lang="en" hreflang="en" aria-current="true">English</a>' in page
    assert "中文" in page
    assert 'href="/?lang=de"' in client.get("/nothing").get_data(as_text=True)


@pytest.mark.parametrize("code", CODES)
def test_benign_is_no_all_clear_in_any_language(client, code):
    address = result_address(client, painter.encoded(painter.lesion(0, painter.PALE)))
    assert NOT_AN_ALL_CLEAR[code] in text(client.get(f"{address}?lang={code}"))


def test_an_error_is_shown_in_the_visitors_language(client):
    response = client.post(
        "/upload",
        data={"csrf_token": "none", "photo": (BytesIO(b"x"), "x")},
        headers={"Accept-Language": "de"},
    )
    assert "Bitte wählen Sie das Foto erneut" in text(response)


@pytest.mark.parametrize(
    ("code", "figure"), [("en", "0.931"), ("de", "0,931"), ("fr", "0,931"), ("zh_Hans", "0.931")]
)
def test_figures_are_formatted_for_the_language(client, code, figure):
    assert figure in text(client.get(f"/about?lang={code}"))


@pytest.mark.parametrize("code", [code for code in CODES if code != "zh_Hans"])
def test_the_reports_font_has_every_character_of_its_languages(code, messages):
    translated = catalog(code)
    files = ("report", "comparison_report", "result_text")
    for message in set().union(*(messages[f"app/{name}.py"] for name in files)):
        translated[message].string.translate(report._TO_LATIN_1).encode("latin-1")


def test_the_reports_chinese_font_has_every_character_of_the_catalog_and_of_dates():
    used = {character for message in catalog("zh_Hans") for character in str(message.string)}
    used |= set(format_datetime(format="long", locale="zh_Hans") + string.printable)
    in_font = set(TTFont(report.CHINESE_FONT).getBestCmap())
    assert {c for c in used if c.isprintable() and ord(c) not in in_font} == set()


@pytest.mark.parametrize(
    "photo", [painter.lesion(), painter.lesion(0, painter.PALE), painter.sea()]
)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", "Model: tiny"),
        ("de", "Modell: tiny"),
        ("es", "Modelo: tiny"),
        ("fr", "Modèle : tiny"),
        ("pt", "Modelo: tiny"),
        ("zh_Hans", "模型：tiny"),
    ],
)
def test_the_report_is_in_the_pages_language(client, code, words, photo):
    address = result_address(client, painter.encoded(photo))
    client.get(f"{address}?lang={code}")
    pdf = PdfReader(BytesIO(client.get(f"{address}/report.pdf").data))
    assert words in pdf.pages[0].extract_text()
    assert pdf.root_object["/Lang"] == code.replace("_", "-")
    assert len(pdf.pages) == 1
