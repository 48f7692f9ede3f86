"""Names of pictures whose files don't say them well, and files that are left out: the tables of names.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NAMES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("names.yaml").read_text(encoding="utf-8"))
