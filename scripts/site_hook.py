"""What the site changes of the pages: links out of docs/ become names, SECURITY.md comes in."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def on_page_markdown(markdown, page, **_):
    """Called by MkDocs for each page."""
    if page.file.src_uri == "security.md":
        markdown = (ROOT / "SECURITY.md").read_text(encoding="utf-8").replace("](docs/", "](")
    # Such files are in the repository, not on the site.
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)\)", named, markdown)


def named(match):
    """A link as text, with the file's place in the repository."""
    text, target = match.groups()
    if not (ROOT / target).exists():
        raise FileNotFoundError(f"a page links to {target}, which is not in the repository")
    return f"`{target}`" if text.strip("`") == target else f"{text} (`{target}`)"
