"""Write the HTML template of `dvc plots`, with Vega inside, so that the page opens without the network.

DVC's own template loads Vega from a content delivery network. `make plots-page` runs this; its result is committed.
"""

import argparse
from pathlib import Path

import vl_convert

from latentbench.core import artifacts

# The version of Vega-Lite that DVC's plot templates are written for is 5.
VEGA_LITE = "5.21"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{{refresh_tag}}
<title>latentbench: plots</title>
<!-- Vega, Vega-Lite and Vega-Embed: BSD 3-Clause, Copyright University of Washington Interactive Data Lab. -->
<script>{bundle}</script>
<style>
body {{ font-family: sans-serif; margin: 1rem; display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }}
img {{ max-width: 100%; }}
table {{ border-spacing: 1rem; }}
</style>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def main() -> None:
    """Write the page to the given path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=Path(".dvc/plots/page.html"))
    path = parser.parse_args().path
    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # its types lack the default
    # Inside a script element of HTML, this would end the element.
    bundle = bundle.replace("</script", "<\\/script")
    artifacts.write_text(path, PAGE.format(bundle=bundle))


if __name__ == "__main__":
    main()
