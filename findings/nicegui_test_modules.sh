#!/usr/bin/env bash
# NiceGUI 3.18.0: the clean-up of its test kit takes the package of a page out of sys.modules.
#
# Assumed: after `nicegui_reset_globals` (and so after `user_simulation` and the fixture `user`) only
# NiceGUI's own state is new. Seen: for every page whose function does not lie in a module called
# `tests.*`, that module and all its parents leave sys.modules, the application's top package too.
# Other modules of the package stay, so two copies of one package are mixed from then on: a later
# `import shop` runs shop/__init__.py again, the new `shop` has no attribute for submodules that were
# imported before (`shop.stock`, which monkeypatch.setattr("shop.stock.COUNT", ...) asks for), and
# classes of reloaded modules are no longer those that other tests hold.
#
# Output seen on 2026-11-29:
#   before: shop, shop.pages, shop.stock
#   after: shop.stock
#   import shop: the same module: False; shop.stock: no attribute 'stock'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install nicegui==3.18.0 pytest==9.2.0
mkdir "$folder/shop"
touch "$folder/shop/__init__.py"
echo 'COUNT = 1' > "$folder/shop/stock.py"
cat > "$folder/shop/pages.py" <<'PY'
from nicegui import ui


def page() -> None:
    ui.label("a page")
PY
cd "$folder"
"$folder/venv/bin/python" -W ignore - > seen <<'PY'
import sys

import shop
import shop.pages
import shop.stock
from nicegui import ui
from nicegui.testing.general import nicegui_reset_globals


def there() -> str:
    return ", ".join(sorted(name for name in sys.modules if name.partition(".")[0] == "shop"))


print("before:", there())
with nicegui_reset_globals():
    ui.page("/")(shop.pages.page)
print("after:", there())
old = shop
import shop

try:
    found = shop.stock.COUNT
except AttributeError as error:
    found = str(error).partition("has ")[2]
print(f"import shop: the same module: {shop is old}; shop.stock: {found}")
PY
diff seen - <<'SEEN'
before: shop, shop.pages, shop.stock
after: shop.stock
import shop: the same module: False; shop.stock: no attribute 'stock'
SEEN
echo "as described: NiceGUI 3.18.0's test kit takes the package of a page out of sys.modules"
