"""report.html of `candor analyze`: one self-contained file without a script."""

from __future__ import annotations

from services.orchestrator.backends.report.html import asset, comparison_view, digest, template
from services.orchestrator.domain.analysis.document import Analysis


def render_analysis(analysis: Analysis) -> str:
    """The page."""
    style = asset("report.css")
    page: str = template("analysis.html.j2").render(
        analysis=analysis,
        titles=[contrast.treated for contrast in analysis.contrasts],
        policy=f"default-src 'none'; style-src '{digest(style)}'; img-src data:; base-uri 'none'",
        style=style,
        contrasts=[(contrast, list(map(comparison_view, contrast.comparisons))) for contrast in analysis.contrasts],
    )
    return page
