"""Choose a page's language: by ``?lang=``, else by cookie, else by the browser's preferences."""

from babel import Locale
from flask import Flask, Response, current_app, request, url_for
from flask_babel import Babel

from app.incoming import cookie_path

COOKIE = "lang"
_COOKIE_SECONDS = 365 * 24 * 3600


def available() -> list[str]:
    """Codes of the languages that have a translation; English, the source, comes first."""
    codes: list[str] = current_app.extensions["languages"]
    return codes


def _match(requested: str | None) -> str | None:
    """The available language for a requested code, whatever its region: pt for pt-BR."""
    language = _without_region(requested or "")
    return next((code for code in available() if _without_region(code) == language), None)


def _without_region(code: str) -> str:
    return code.replace("_", "-").split("-")[0].lower()


def chosen_language() -> str:
    """The language in which this request is answered."""
    preferences = [request.args.get("lang"), request.cookies.get(COOKIE)]
    # Werkzeug's best_match would choose English for "de-AT, en;q=0.5".
    preferences += [code for code, quality in request.accept_languages if quality > 0]
    return next((code for code in map(_match, preferences) if code), "en")


def selector_entries() -> list[tuple[str, str, str]]:
    """For each language: its tag, its name in that language, and the URL of this page in it."""
    if request.method == "GET" and request.endpoint:
        endpoint, values = request.endpoint, request.view_args or {}
    else:
        endpoint, values = "pages.index", {}
    return [
        (_tag(code), _native_name(code), url_for(endpoint, **{**values, "lang": code}))
        for code in available()
    ]


def _tag(code: str) -> str:
    return code.replace("_", "-")


def _native_name(code: str) -> str:
    name = Locale.parse(code).get_display_name() or code
    return name[0].upper() + name[1:]


def _set_cookie_and_headers(response: Response) -> Response:
    if request.endpoint == "static":
        return response
    language = _match(request.args.get("lang"))
    if language:
        response.set_cookie(
            COOKIE,
            language,
            max_age=_COOKIE_SECONDS,
            path=cookie_path(),
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    response.headers["Content-Language"] = _tag(chosen_language())
    response.vary.update(["Accept-Language", "Cookie"])
    return response


def install(app: Flask) -> None:
    babel = Babel(app, locale_selector=chosen_language)
    with app.app_context():
        catalogs = {str(locale) for locale in babel.list_translations()}
    app.extensions["languages"] = ["en", *sorted(catalogs - {"en"})]
    app.after_request(_set_cookie_and_headers)
    app.context_processor(
        lambda: {"language": _tag(chosen_language()), "languages": selector_entries()}
    )
