"""Code blocks survive to the letter and in order, code without a fence and inline code to the letter; no block is added."""

from __future__ import annotations

from services.rewriter.domain.certificate.case import Case
from services.rewriter.domain.certificate.text import Text, joined, listed
from services.rewriter.domain.spans import INLINE_CODE, bare_code, code_blocks, without_blocks


def check(case: Case) -> str:
    """See the module."""
    before, after = _blocks(case.before), _blocks(case.after)
    reason = ""
    if before != after:
        if len(after) < len(before):
            reason = f"{len(before) - len(after)} of {len(before)} code blocks lost"
        elif len(after) > len(before):
            reason = f"{len(after) - len(before)} code blocks added"
        else:
            changed = next(i for i, (a, b) in enumerate(zip(before, after, strict=True), 1) if a != b)
            reason = f"code block {changed} changed"
    after_lines = _squeezed(case.after.raw)
    bare = [block for block in _bare(case.before) if _squeezed(block) not in after_lines]
    spans, there = _inline(case.before), _inline(case.after)
    lost = [span for span in spans if span not in there]
    added = [span for span in there if span not in spans and span not in case.before.raw and span not in case.said.raw]
    return joined(
        reason, listed(bare, "code changed"), listed(lost, "lost inline code"), listed(added, "added inline code")
    )


def _blocks(text: Text) -> list[str]:
    return [_plain(text.raw[start:end]) for start, end in code_blocks(text.raw)]


def _plain(block: str) -> str:
    """Without spaces at the ends of lines, and without the indent of the whole block."""
    lines = [line.rstrip() for line in block.strip().split("\n")]
    indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return "\n".join([lines[0].strip(), *(line[indent:] for line in lines[1:])])


def _inline(text: Text) -> dict[str, None]:
    """In order, each once."""
    return dict.fromkeys(match[2].strip() for match in INLINE_CODE.finditer(without_blocks(text.raw)))


def _bare(text: Text) -> list[str]:
    plain = without_blocks(text.raw)
    return [plain[start:end] for start, end in bare_code(plain)]


def _squeezed(text: str) -> str:
    return " ".join(text.split())
