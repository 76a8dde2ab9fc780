"""The report of a run: Markdown for people, JSON for programs."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from .figures import Figure, short
from .floors import Floors, Part, total


@dataclass
class Section:
    """One table, and what must be known to read it.

    Attributes:
        rows: what, how much, and what was aimed at.
    """

    title: str
    text: str
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)

    def add(self, what: str, measured: Figure | float | str, aim: str = "") -> None:
        """Add a line."""
        if isinstance(measured, Figure):
            self.data[what] = measured.as_json()
            self.rows.append((what, str(measured), aim))
        else:
            self.data[what] = measured
            self.rows.append((what, short(measured) if isinstance(measured, float) else measured, aim))


@dataclass
class Report:
    """Everything that a run found."""

    machine: dict[str, str]
    sections: list[Section] = field(default_factory=list)

    def section(self, title: str, text: str) -> Section:
        """Begin a section."""
        self.sections.append(Section(title, text))
        return self.sections[-1]

    def floors(self, floors: Floors) -> None:
        """Tell every floor."""
        section = self.section("Floors", "CPU of one process, and of the server beside it: median (least to most).")
        for name, floor in floors.items():
            section.rows.append((name, str(floor.client), str(floor.server) if floor.server else ""))
            server = floor.server.as_json() if floor.server else None
            section.data[name] = {"client": floor.client.as_json(), "server": server}

    def sum_of(self, title: str, parts: list[Part]) -> float:
        """Tell how a floor adds up; give it, in microseconds."""
        section = self.section(title, "times x each, CPU microseconds of client and server together.")
        for part in parts:
            section.rows.append((part.name, f"{short(part.times)} x {short(part.each)}", f"{part.cost:.1f}"))
        section.rows.append(("sum", "", f"{total(parts):.0f}"))
        section.data["sum"] = total(parts)
        return total(parts)

    def markdown(self) -> str:
        """Write it for people."""
        lines = ["# Benchmark", "", *(f"- {name}: {value}" for name, value in self.machine.items())]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", section.text, "", "| | | |", "|---|--:|--:|"]
            lines += [f"| {what} | {measured} | {aim} |" for what, measured, aim in section.rows]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, name: str) -> Path:
        """Write both; give where the one for people lies."""
        folder.mkdir(exist_ok=True)
        found = {"machine": self.machine} | {section.title: section.data for section in self.sections}
        (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        path = folder / f"{name}.md"
        path.write_text(self.markdown())
        return path
