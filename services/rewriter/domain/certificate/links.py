"""Links and mail addresses survive to the letter; none is added."""

from __future__ import annotations

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text, joined, listed
from services.rewriter.domain.spans import LINK


def check(case: Case) -> str:
    """See the module."""
    before, after, said = _links(case.before), _links(case.after), _links(case.said)
    lost = [link for link in before if link not in after]
    added = [link for link in after if link not in before and link not in said]
    return joined(listed(lost, "lost"), listed(added, "added"))


def _links(text: Text) -> dict[str, None]:
    """In order, each once."""
    found = (match[0].rstrip(".,;:!?)]*_").removesuffix("'s") for match in LINK.finditer(text.outside_code))
    return dict.fromkeys(found)
