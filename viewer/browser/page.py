"""viser's page under our own name: title, icon and description, and its sheet of controls folded on narrow pages.

viser gives its page no name. Its server takes a folder (`viser.infra.WebsockServer(http_server_root=...)`), but
`viser.ViserServer` says itself which; so while one is opened here, the server that it makes is handed the same folder
with another reading of its index.html. A viser that works otherwise, or a page that reads otherwise, is served as it
is.
"""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='7' fill='#17191d'/>"
    "<g fill='none' stroke='#6aa5f5' stroke-width='2.5'><path d='M5 27 27 5'/><path d='M5 27 29 17' opacity='.5'/>"
    "<path d='M5 27 15 3' opacity='.5'/></g><g fill='#f5c56a'><circle cx='14' cy='18' r='3.2'/>"
    "<circle cx='21' cy='11' r='4.2'/></g></svg>"
)
# viser's sheet of controls begins unfolded and covers a phone's picture. Its handle is known by its style; a page
# where there is none like it stays as it is. A sheet that comes anew, as when a phone is turned, is folded once too.
FOLD = """<script>
(() => {
  let folded = null;
  const fold = () => {
    const handle = document.querySelector('[style*="position: fixed"] [style*="cursor: pointer"][style*="3.5em"]');
    if (handle && handle !== folded) { folded = handle; handle.click(); }
  };
  new MutationObserver(fold).observe(document, { childList: true, subtree: true });
})();
</script>"""


def name_page(page: str, title: str) -> str:
    """viser's page under a title; as it was where it does not begin as viser's does."""
    head, end, rest = page.partition("</title>")
    before, begin, _ = head.partition("<title>")
    if not (begin and end):
        return page
    before = re.sub(r'<link\s+rel="icon"\s+href="[^"]*"\s*/?>', "", before)
    before = re.sub(r'<meta\s+name="description"\s+content="[^"]*"\s*/?>', "", before)
    icon = f'<link rel="icon" href="data:image/svg+xml,{quote(ICON)}" />'
    about = '<meta name="description" content="Polyfield: radiance fields in a browser" />'
    return f"{before}{icon}{about}<title>{html.escape(title)}</title>{FOLD}{rest}"


def name_folder(folder: Path, title: str) -> Path:
    """A folder that differs from the one on the disk in how its index.html reads, and in nothing else."""

    class NamedFile(type(folder)):
        """A path below the folder."""

        def read_bytes(self) -> bytes:
            data = super().read_bytes()
            return name_page(data.decode(), title).encode() if self.name == "index.html" else data

    return NamedFile(folder)


@contextmanager
def named(viser: Any, title: str) -> Iterator[None]:
    """viser's servers that are opened inside serve its page under a title."""
    infra = getattr(viser, "infra", None)
    server: Any = getattr(infra, "WebsockServer", None)
    if infra is None or server is None:
        yield
        return

    def make(*given: Any, **options: Any) -> Any:
        folder = options.get("http_server_root")
        if isinstance(folder, Path):
            options["http_server_root"] = name_folder(folder, title)
        return server(*given, **options)

    infra.WebsockServer = make
    try:
        yield
    finally:
        infra.WebsockServer = server
