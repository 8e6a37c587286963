"""What all config sections share: strictness, and names that are safe in paths."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from mixmerge.errors import nearest

#: A key that becomes part of a path and of a Snakemake wildcard: lower case, no separators.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._]*(-[a-z0-9._]+)*$")]


class Section(BaseModel):
    """A frozen section that refuses keys it does not know and names the nearest one it does."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        # pydantic's own message ("Extra inputs are not permitted") has no way out in it.
        if isinstance(data, dict):
            known = set(cls.model_fields)
            for key in data:
                if key not in known:
                    raise ValueError(f"unknown key {key!r}{nearest(str(key), known)}")
        return data
