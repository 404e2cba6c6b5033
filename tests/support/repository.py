"""Where the checkout under test is, and its two configs."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = str(REPOSITORY / "configs" / "demo.toml")
DEFAULT = str(REPOSITORY / "configs" / "default.toml")
