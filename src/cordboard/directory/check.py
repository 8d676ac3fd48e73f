"""`cordboard check`: everything that is wrong with settings and directory, without starting anything."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from cordboard.directory.actions import LiveTransfer
from cordboard.directory.directory import Directory, DirectoryFault
from cordboard.directory.loading import load_directory
from cordboard.documents import Fault
from cordboard.settings import ENVIRONMENT, PREFIX, TRANSPORTS, Settings, SettingsError, SettingsFault


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `settings` and `directory` are there as far as they can be used."""

    faults: tuple[Fault, ...]
    settings: Settings | None = None
    directory: Directory | None = None

    @property
    def usable(self) -> bool:
        """Whether `serve` would start: warnings do not prevent it."""
        return self.settings is not None and self.directory is not None and not self.errors

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity == "warning")

    def lines(self) -> list[str]:
        """The report for a terminal: a line for each fault, then the sum."""
        lines = [str(fault) for fault in self.faults]
        if self.directory is not None:
            parts = ("agents", "actions", "gateways", "phonebooks", "numbers")
            lines.append(", ".join(f"{len(getattr(self.directory, part))} {part}" for part in parts))
        lines.append(f"{_count(self.errors, 'error')}, {_count(self.warnings, 'warning')}")
        return lines


def _count(faults: Collection[Fault], word: str) -> str:
    return f"{len(faults)} {word}{'' if len(faults) == 1 else 's'}"


def check(
    config: Path | str | None = None,
    *,
    transports: Collection[str] = TRANSPORTS,
    directory_files: Collection[Path | str] = (),
) -> Report:
    """Settings of a file (None: defaults) and the directory that they name, or `directory_files` in its place.

    This is also how `serve` loads both: a Report that is `usable` has them.
    """
    try:
        settings = Settings.load(config, transports=transports)
    except SettingsError as error:
        return Report(error.faults)
    loaded = load_directory(directory_files or directory_paths(settings, config))
    if not isinstance(loaded, Directory):
        return Report(tuple(loaded), settings)
    faults = [*_settings_files(settings), *_directory_files(loaded), *loaded.warnings]
    return Report(tuple(faults), settings, loaded)


def directory_paths(settings: Settings, config: Path | str | None = None) -> list[Path]:
    """The files of `directory.files`: those that a settings file names are relative to its folder."""
    from_environment = any(name.upper() == f"{PREFIX}DIRECTORY__FILES" for name in os.environ)
    folder = Path() if config is None or from_environment else Path(config).parent
    return [folder / name for name in settings.directory.files]


def _settings_files(settings: Settings) -> Iterator[Fault]:
    music = settings.media.hold_music
    if music is not None and not music.is_file():
        yield SettingsFault(ENVIRONMENT, None, "media.hold_music", f"there is no file {music}", "warning")


def _directory_files(directory: Directory) -> Iterator[Fault]:
    for action in directory.actions.values():
        if isinstance(action, LiveTransfer) and action.hold_music and not Path(action.hold_music).is_file():
            rule = f"there is no file {action.hold_music}"
            yield DirectoryFault("directory", None, f"{action.action_id}.hold_music", rule, "warning")
