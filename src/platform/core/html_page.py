"""Pages of HTML that stand alone: they load nothing and run no script, wherever they are opened."""

from collections.abc import Iterable
from html import escape

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
dl { display: grid; gap: .25rem 1.5rem; grid-template-columns: max-content 1fr; }
dt { opacity: .7; } dd { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; }
th { background: #8882; }
"""


def html_page(title: str, body: str, *, style: str = "") -> str:
    """A whole page: the title is a text, the body is HTML, and the style is added to that of all pages."""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
<h1>{escape(title)}</h1>
{body}</html>
"""


def fact_list(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values, both texts, as a list."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in facts)
    return f"<dl>\n{items}</dl>\n"
