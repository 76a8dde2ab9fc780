"""A scenario: which files arrive when, and what is expected to come of them. Written in TOML.

title = "A whole campaign"
provenance = "Made by fixtures/make.py"
dcc = "90-B3-D5-1F-30-00-00-02"
users = "users.toml"                      # imported first
inventory = "inventory.csv"               # imported next
signing_key = "keys/dcc.key.pem"
signing_certificate = "keys/dcc.pem"

[names]                                   # for the expectations
alpha = "90-B3-D5-1F-30-01-00-00"

[[step]]
at = 2027-01-04T09:00:00Z                 # the clock runs up to here first
file = "messages/01-create.xml"           # then this arrives; a step without a file only lets the clock run
reply_to = "adapter-1"                    # optional; so is correlation_id
[step.expect]
ending = "Done"                           # Done, Refused, Repeated or Quarantined
code = "I99"
alerts = { "alpha N901" = 1 }             # all alerts since the step before, by recipient and code, and no others

[expect.campaigns]
"PILOT-27" = "Complete"                   # stages in the end
"""

import tomllib
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from chfw_sr.messages import EUI, Stage, parse_eui

from .outcome import Ending

SCENARIO_FILE = "scenario.toml"


class ScenarioError(Exception):
    """A scenario cannot be read; the message names file and place."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


AnyEUI = Annotated[EUI, AfterValidator(parse_eui)]


class StepExpectation(_Table):
    """What is to come of one step; what is not named is not checked, but `alerts` is complete where it is given."""

    ending: Ending | None = None
    code: str | None = None
    alerts: dict[str, Annotated[int, Field(ge=1)]] | None = None


class Step(_Table):
    """One step: the clock runs up to `at`, then `file` arrives."""

    at: AwareDatetime | None = None
    file: Path | None = None
    note: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    expect: StepExpectation = StepExpectation()


class FinalExpectation(_Table):
    """What is to stand in the end."""

    campaigns: dict[str, Stage] = {}


class Scenario(_Table):
    """The whole of a `scenario.toml`; its paths are relative to the folder that it lies in."""

    title: str
    provenance: str
    dcc: AnyEUI
    users: Path
    inventory: Path | None = None
    signing_key: Path
    signing_certificate: Path
    names: dict[str, AnyEUI] = {}
    step: tuple[Step, ...]
    expect: FinalExpectation = FinalExpectation()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [step.at for step in self.step if step.at is not None]
        if not self.step or self.step[0].at is None:
            raise ValueError("the first step says when (at)")
        if any(later < earlier for earlier, later in pairwise(times)):
            raise ValueError("the steps are not in order of time (at)")
        if unknown := {key for step in self.step for key in step.expect.alerts or () if not self._is_known(key)}:
            raise ValueError(
                f"alerts are expected as 'NAME CODE' with NAME an EUI or one of [names]: {sorted(unknown)}"
            )
        return self

    def _is_known(self, key: str) -> bool:
        name, _, code = key.partition(" ")
        return bool(code) and (name in self.names or _is_eui(name))

    @property
    def begins(self) -> datetime:
        """When the first step happens, in UTC."""
        first = self.step[0].at
        assert first is not None
        return first.astimezone(UTC)

    def name_of(self, eui: str) -> str:
        """Give the name that the scenario has for an EUI, or the EUI."""
        return next((name for name, value in self.names.items() if value == eui), eui)


def _is_eui(text: str) -> bool:
    try:
        parse_eui(text)
    except ValueError:
        return False
    return True


def read_scenario(folder: Path) -> Scenario:
    """Read the scenario of a folder.

    Args:
        folder: holds `scenario.toml`.

    Raises:
        ScenarioError: naming the file and the field.
    """
    path = folder / SCENARIO_FILE
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'scenario'}: {one['msg']}" for one in error.errors())
        raise ScenarioError(f"{path}: {problems}") from error
