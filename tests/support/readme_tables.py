"""README's config tables, made from `config/schema.py`: `python -m tests.support.readme_tables` prints them."""

import ast
import json

from tests.support.repository import REPOSITORY

CONFIG = REPOSITORY / "jetstream" / "config" / "schema.py"
TABLES = {
    "PipelineConfig": "[pipeline]",
    "ModelsConfig": "[models]",
    "CameraConfig": "[[cameras]]",
    "DetectConfig": "[detect]",
    "IgnoreConfig": "[[detect.ignore]]",
    "TrackConfig": "[track]",
    "RecognizeConfig": "[recognize]",
    "GpuConfig": "[gpu]",
    "RenderConfig": "[render]",
    "RecordConfig": "[record]",
    "PublishConfig": "[publish]",
    "MetricsConfig": "[metrics]",
}


def tables() -> str:
    classes = {node.name: node for node in ast.parse(CONFIG.read_text()).body if isinstance(node, ast.ClassDef)}
    head = "| key | default | meaning |\n| --- | --- | --- |"
    return "\n\n".join(f"### `{title}`\n\n{head}\n" + "\n".join(rows(classes[name])) for name, title in TABLES.items())


def rows(table: ast.ClassDef) -> list[str]:
    """A line a key; its meaning is the string below it."""
    found = []
    for field, below in zip(table.body, table.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(below, ast.Expr), field.target.id
            assert isinstance(below.value, ast.Constant), field.target.id
            found.append(f"| `{field.target.id}` | {shown(field.value)} | {' '.join(str(below.value.value).split())} |")
    return found


def shown(default: ast.expr | None) -> str:
    if default is None:
        return "required"
    value = ast.literal_eval(default)
    return "unset" if value is None else "`[]`" if value == () else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    print(tables())
