"""From what a model wrote to the program that is judged."""

import warnings


def solution(completion: str, entry_point: str) -> str:
    """Extract the solution from a completion with EvalPlus's sanitizer.

    It keeps the longest piece that parses, and of that the imports and the definitions that the
    entry point needs: fences, chatter before and after, and example calls go.

    Args:
        completion: the model's answer.
        entry_point: name of the function that is tested.

    Returns:
        The program; empty for an empty completion.
    """
    if not completion.strip():
        return ""
    from evalplus.sanitize import sanitize

    with warnings.catch_warnings():
        # The parser warns of odd literals in the model's code, which is no news to anybody.
        warnings.simplefilter("ignore")
        try:
            extracted: str = sanitize(completion, entry_point)
        except (RecursionError, ValueError):
            # Nesting deeper than the parser goes, or text that is not UTF-8: judged as it stands.
            return completion
    return extracted
