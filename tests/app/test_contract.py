"""Schemathesis asks the API what its contract allows, and holds every answer to its word."""

from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi.checks import positive_data_acceptance


def test_every_answer_is_one_the_contract_names(shared_app: Flask) -> None:
    contract = from_wsgi("/api/openapi.json", shared_app)
    operations = [result.ok() for result in contract.get_all_operations()]
    assert {operation.label for operation in operations} >= {"POST /api/v1/predictions"}
    # Its own pytest plugin does not run under pytest 9.2, hence Hypothesis by hand.
    for operation in operations:

        @settings(
            max_examples=40,
            derandomize=True,  # The same questions each time: CI must not fail by chance.
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Case) -> None:
            # A schema can say "a file", not "a photo": most files are rightly refused.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        ask()
