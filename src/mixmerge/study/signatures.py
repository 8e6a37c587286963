"""Signatures of the rules' functions, looked up once.

Before each call of an input, param or resource function Snakemake inspects the function's signature
anew, dozens of times a job: an eighth of the time that a plan takes.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from snakemake.common import overwrite_function_params
from snakemake.resources import Resource


def remember_signatures(rules: Iterable[Any]) -> None:
    """Attach to each function of the rules the parameters that Snakemake would find.

    Call it when all rules are read.

    Args:
        rules: of a workflow, after parsing (``workflow.rules``).
    """
    _remember(Resource.evaluate)
    for rule in rules:
        for item in (*rule.input, *rule.output, *rule.params):
            function = getattr(item, "callable", item)
            if callable(function):
                _remember(function)
        for resource in rule.resources.values():
            if resource.is_evaluable():
                _remember(resource._evaluator)


def _remember(function: Callable[..., Any]) -> None:
    overwrite_function_params(function, inspect.signature(function).parameters)
