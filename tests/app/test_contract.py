"""Schemathesis sends what the OpenAPI document allows, and validates every response against it."""

from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi.checks import positive_data_acceptance


def test_every_response_conforms_to_the_openapi_document(shared_app: Flask) -> None:
    openapi = from_wsgi("/api/openapi.json", shared_app)
    operations = [result.ok() for result in openapi.get_all_operations()]
    assert {operation.label for operation in operations} >= {"POST /api/v1/predictions"}
    # Schemathesis's pytest plugin does not work with pytest 9.2, so Hypothesis is used directly.
    for operation in operations:

        @settings(
            max_examples=40,
            derandomize=True,  # The same requests in each run: CI must not fail at random.
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: Case) -> None:
            # A schema can require a file but not a photo, so most files are rightly refused.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        check()
