"""What every check looks at, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from services.rewriter.domain.certificate.text import Text
from services.rewriter.domain.values import Exchange, Style


@dataclass(frozen=True)
class Case:
    """A reply, its rewrite, what was said before, and the style asked for; `cut`: a token limit ended the rewrite."""

    exchange: Exchange
    text: str
    style: Style
    cut: bool = False

    @cached_property
    def before(self) -> Text:
        """The reply."""
        return Text(self.exchange.reply)

    @cached_property
    def after(self) -> Text:
        """The rewrite."""
        return Text(self.text)

    @cached_property
    def said(self) -> Text:
        """The conversation up to the reply: what it holds may be named in a rewrite."""
        return Text("\n".join(turn.content for turn in self.exchange.turns))
