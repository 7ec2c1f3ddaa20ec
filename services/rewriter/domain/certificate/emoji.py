"""No emoji, be they new or kept (METHOD section 9)."""

from __future__ import annotations

import re

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import joined, listed

# Pictographs, dingbats, and signs that a selector or a keycap makes one.
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a\u231b\u23cf\u23e9-\u23fa\u203c\u2049\u3030\u303d\u3297\u3299]\ufe0f?|.[\ufe0f\u20e3]"
)
_FACE = re.compile(r"(?<![\w:;/])[:;=8][-^']?[)(DPp](?!\w)|<3(?!\d)|(?<!\w)[xX]D(?!\w)|\^_\^")
# Signs of text (a check mark, a star, an arrow), as long as no selector follows; those shown in colour by default are not among them.
_SIGN = re.compile(
    "(?![\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705"
    "\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55])[\u2600-\u27bf\u2b00-\u2bff]"
)


def check(case: Case) -> str:
    """See the module. Signs of text and letter faces that the reply itself holds may stay: `:D` can be notation."""
    text = case.after.outside_code
    found = [mark for mark in _EMOJI.findall(text) if not (_SIGN.fullmatch(mark) and mark in case.before.raw)]
    faces = [face for face in _FACE.findall(case.after.prose) if face not in case.before.raw]
    return joined(listed(found, "emoji"), listed(faces, "emoticon"))
