"""No emoji, be they new or kept (METHOD section 9)."""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import joined, listed

_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001f9ff\U0001fa70-\U0001faff"
    "\u2600-\u26ff\u2764\u2728\u2b50\u203c\u2049]"
)
_FACE = re.compile(r"(?<![\w:;/])[:;=8][-^']?[)(DPp](?!\w)|<3(?!\d)|(?<!\w)[xX]D(?!\w)|\^_\^")
_SYMBOL_TEXT = re.compile("[\u2600-\u26ff](?!\ufe0f)")


def check(case: Case) -> str:
    """See the module. Symbols and letter faces that the reply itself holds may stay: `:D` can be notation."""
    text = case.after.outside_code
    found = [mark for mark in _EMOJI.findall(text) if not (_SYMBOL_TEXT.match(mark) and mark in case.before.raw)]
    faces = [face for face in _FACE.findall(case.after.prose) if face not in case.before.raw]
    return joined(listed(found, "emoji"), listed(faces, "emoticon"))
