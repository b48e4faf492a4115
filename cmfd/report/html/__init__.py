"""
Reports as one self-contained HTML file, for screens, phones and paper.

    from cmfd.report import html
    html.render(report)
"""

from cmfd.report.html.lineage_page import render_lineage
from cmfd.report.html.report_page import render

__all__ = ["render", "render_lineage"]
