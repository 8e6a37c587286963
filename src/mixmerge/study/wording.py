"""Templates without their wording, for stages that read the fields alone."""

import string


def without_wording(template: str) -> str:
    """A template's fields with their filters, one a line, without the words between them.

    What a suite holds out are the fields' values. Told no more than the fields, its job, and with
    it decontamination and all training, stands when a prompt is worded otherwise.

    Args:
        template: as `tasks.<task>.prompt`; one that is not well-formed comes back as it is, for
            its job to refuse.
    """
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        return template
    fields = [f"{{{field}{f':{spec}' if spec else ''}}}" for _, field, spec, _ in pieces if field]
    return "\n".join(fields) or template
