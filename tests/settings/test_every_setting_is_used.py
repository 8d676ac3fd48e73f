"""A setting that nothing reads promises something that the product does not do."""

from __future__ import annotations

import re
from pathlib import Path

from cordboard.settings import Settings

SOURCE = Path(__file__).parent.parent.parent / "src" / "cordboard"


def test_every_setting_is_read_somewhere() -> None:
    """Each field of the table is read outside the table as `section.field`, or through a property of its section."""
    files = [path for path in SOURCE.rglob("*.py") if path.name != "settings.py"]
    code = "\n".join(path.read_text() for path in files)
    table = (SOURCE / "settings.py").read_text()
    unread = []
    for section, info in Settings.model_fields.items():
        annotation = info.annotation
        assert annotation is not None
        for field in annotation.model_fields:
            read = re.search(rf"\b(?:{section}|settings)\.{field}\b", code) or re.search(rf"self\.{field}\b", table)
            if not read:
                unread.append(f"{section}.{field}")
    assert unread == []
