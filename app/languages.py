"""Which language a page is in: ``?lang=``, then the cookie, then what the browser asks for."""

from flask import Flask, Response, current_app, request
from flask_babel import Babel

COOKIE = "lang"
_YEAR = 365 * 24 * 3600


def available() -> list[str]:
    """Codes of the languages with a catalog, English (the source) first."""
    codes: list[str] = current_app.extensions["languages"]
    return codes


def chosen() -> str:
    offered = available()
    for wish in (request.args.get("lang"), request.cookies.get(COOKIE)):
        if wish in offered:
            return str(wish)
    return request.accept_languages.best_match(offered) or "en"


def _remember(response: Response) -> Response:
    if request.endpoint == "static":
        return response
    wish = request.args.get("lang")
    if wish in available():
        response.set_cookie(
            COOKIE,
            str(wish),
            max_age=_YEAR,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    response.headers["Content-Language"] = chosen()
    response.vary.update(["Accept-Language", "Cookie"])
    return response


def install(app: Flask) -> None:
    babel = Babel(app, locale_selector=chosen)
    with app.app_context():
        catalogs = {str(locale) for locale in babel.list_translations()}
    app.extensions["languages"] = ["en", *sorted(catalogs - {"en"})]
    app.after_request(_remember)
    app.context_processor(lambda: {"language": chosen().replace("_", "-")})
