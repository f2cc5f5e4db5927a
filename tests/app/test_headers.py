"""The headers of every page, scored by the rules of the Mozilla HTTP Observatory.

The tests and points are from "Tests & Scoring" in its documentation on MDN: a site starts with 100,
bonus points count from 90 on, and 100 is an A+.
"""

import re

import pytest
from flask import Response
from flask.testing import FlaskClient
from visitor import result_address

SIX_MONTHS_SECONDS = 15_768_000
MAX_SCORE = 135
PAGES = ["/", "/about", "/privacy", "/api/docs", "/nothing", "/api/nothing", "result"]


def policy(response: Response) -> dict[str, list[str]]:
    parts = response.headers["Content-Security-Policy"].split(";")
    return {name: sources for name, *sources in (part.split() for part in parts)}


def score(response: Response) -> int:
    headers, page = response.headers, response.get_data(as_text=True)
    csp = policy(response)
    scripts = csp.get("script-src", csp.get("default-src", ["*"]))
    styles = csp.get("style-src", csp.get("default-src", ["*"]))
    unsafe_sources = {"'unsafe-inline'", "'unsafe-eval'", "data:", "https:", "http:", "*"}
    strict = csp.get("default-src") == ["'none'"] and not unsafe_sources & {*scripts, *styles}
    age = re.search(r"max-age=(\d+)", headers.get("Strict-Transport-Security", ""))
    cookies = headers.getlist("Set-Cookie")
    third_party_scripts = re.findall(r"<script[^>]+src=[\"'](?:https?:)?//", page)
    points = {
        "strict policy, default-src 'none'": 10 if strict else -25,
        "cookies are Secure, HttpOnly and SameSite": 5
        if all(
            all(word in cookie for word in ("Secure", "HttpOnly", "SameSite")) for cookie in cookies
        )
        else -40,
        "not readable by other origins": 0 if "Access-Control-Allow-Origin" not in headers else -50,
        "HSTS for six months": 0 if age and int(age[1]) >= SIX_MONTHS_SECONDS else -20,
        "no referrer": 5 if headers.get("Referrer-Policy") == "no-referrer" else 0,
        "scripts only from this origin": 0 if not third_party_scripts else -50,
        "nosniff": 0 if headers.get("X-Content-Type-Options") == "nosniff" else -5,
        "cannot be framed": 5 if csp.get("frame-ancestors") == ["'none'"] else -20,
        "resources only for this origin": 10
        if headers.get("Cross-Origin-Resource-Policy") == "same-origin"
        else 0,
    }
    return 100 + sum(points.values())


@pytest.mark.parametrize("page", PAGES)
def test_every_page_over_https_gets_the_full_observatory_score(
    client: FlaskClient, page: str
) -> None:
    address = result_address(client) if page == "result" else page
    assert score(client.get(address, base_url="https://localhost")) == MAX_SCORE


# Directives that do not fall back to default-src: the base of relative URLs, the targets of forms,
# and framing.
OTHER_DIRECTIVES = {
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}


def test_a_page_loads_from_and_sends_to_its_own_origin_only_and_cannot_be_framed(
    client: FlaskClient,
) -> None:
    response = client.get("/")
    csp = policy(response)
    assert {name: csp.get(name) for name in OTHER_DIRECTIVES} == OTHER_DIRECTIVES
    assert all(sources in (["'none'"], ["'self'"]) for sources in csp.values())
    assert response.headers["X-Frame-Options"] == "DENY"


def test_a_page_may_use_the_camera_and_no_other_device_feature(client: FlaskClient) -> None:
    allowed = set(client.get("/").headers["Permissions-Policy"].split(", "))
    assert {"camera=(self)", "geolocation=()", "microphone=()"} <= allowed
    assert all(feature.endswith("=()") for feature in allowed - {"camera=(self)"})
