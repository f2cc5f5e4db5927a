"""Settings are validated and documented."""

from dataclasses import fields

import pytest

from app import settings
from app.settings import RESOURCES, Settings, StartError

INVALID = [
    ("MOLELENS_ENGINE", "torch", "openvino"),
    ("MOLELENS_OUTPUT", "logits", "probability, logit"),
    ("MOLELENS_RATE_LIMIT", "30", "30/minute"),
    ("MOLELENS_RATE_LIMIT", "0/minute", "30/minute"),
    ("MOLELENS_RESULTS", "/tmp/results", "redis://"),
    ("MOLELENS_RESULTS_SECONDS", "15 minutes", "whole number"),
    ("MOLELENS_MAX_UPLOAD", "0", "from 1"),
    ("MOLELENS_AT_ONCE", "-1", "whole number"),
    ("MOLELENS_PROXIES", "1.5", "whole number"),
    ("MOLELENS_MODEL_SHA256", "abc", "64 hexadecimal"),
    ("MOLELENS_HOSTS", "molelens example", "commas"),
    ("MOLELENS_SECRET_KEY", "short", "32"),
    ("MOLELENS_THREADS", "14", "more than"),
    ("MOLELENS_WAITING", "62", "more than"),
]


@pytest.mark.parametrize(("name", "value", "expected"), INVALID)
def test_the_error_for_an_invalid_value_names_the_variable_and_what_was_expected(
    name, value, expected
):
    with pytest.raises(StartError, match=name) as caught:
        settings.read({name: value})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_is_not_repeated_in_its_error():
    with pytest.raises(StartError) as caught:
        settings.read({"MOLELENS_SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_error_for_an_unknown_variable_suggests_the_nearest_one():
    with pytest.raises(StartError, match="Did you mean MOLELENS_RATE_LIMIT"):
        settings.read({"MOLELENS_RATELIMIT": "off"})


def test_variables_of_other_programs_are_ignored():
    assert settings.read({"PATH": "/bin", "PORT": "1"}) == Settings()


def test_an_empty_variable_means_the_default():
    assert settings.read({"MOLELENS_RATE_LIMIT": ""}).rate_limit == Settings().rate_limit


def test_valid_values_are_read():
    got = settings.read(
        {
            "MOLELENS_RATE_LIMIT": "off",
            "MOLELENS_HOSTS": "a.example, .b.example",
            "MOLELENS_WAITING": "0",
        }
    )
    assert (got.rate_limit, got.hosts, got.waiting) == ("off", ("a.example", ".b.example"), 0)


def test_the_documented_table_is_up_to_date():
    assert settings.table() in (RESOURCES / "docs" / "settings.md").read_text()


def test_every_setting_has_a_description():
    assert all(item.metadata["description"] for item in fields(Settings))
