"""How a person names an evaluation."""

LATEST = "latest"
_COLLECTION = "evaluations/"


def resource(evaluation: str) -> str:
    """The resource name of an id; a resource name and nothing stay as they are."""
    return evaluation if not evaluation or evaluation.startswith(_COLLECTION) else _COLLECTION + evaluation


def identifier(name: str) -> str:
    """The id in a resource name."""
    return name.removeprefix(_COLLECTION)
