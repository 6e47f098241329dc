"""The network: a VPC, its subnets by availability zone, and its security groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.aws.account.permission_errors import Denied
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import LithopsMagicError
from lithops_magic.notebook.form.fields import Picked, Words, label_style, layout, row

if TYPE_CHECKING:
    from lithops_magic.aws.account.discover import Discovery, SecurityGroup, Subnet, Vpc
    from lithops_magic.config import Settings

NONE = ""
OTHER = "?"
T = TypeVar("T")
TICK = "Tick the ones to use"
WITHOUT = "Functions outside a VPC reach the internet, but no EFS"


@dataclass(frozen=True)
class Networks:
    """A region's networks as reported by AWS, and those that the settings use."""

    discovery: Discovery
    vpcs: tuple[Vpc, ...] | Denied
    home: str
    """The VPC of the configured subnets."""
    subnets: tuple[Subnet, ...] | Denied = ()
    groups: tuple[SecurityGroup, ...] | Denied = ()

    @classmethod
    def of(cls, discovery: Discovery, settings: Settings) -> Networks:
        """Ask AWS."""
        vpcs = ask(discovery.vpcs)
        if isinstance(vpcs, Denied):
            return cls(discovery, vpcs, OTHER)
        home = _home(discovery, vpcs, settings)
        return cls(discovery, vpcs, home) if home in (NONE, OTHER) else cls.within(discovery, vpcs, home)

    @classmethod
    def within(cls, discovery: Discovery, vpcs: tuple[Vpc, ...] | Denied, vpc: str) -> Networks:
        """Ask AWS for the contents of a VPC."""
        subnets, groups = ask(lambda: discovery.subnets(vpc)), ask(lambda: discovery.security_groups(vpc))
        return cls(discovery, vpcs, vpc, subnets, groups)


class Network:
    """VPC, subnets and groups: lists once loaded, free text wherever AWS provides none."""

    def __init__(self) -> None:
        self.subnets = Picked("subnets", "subnet-0123456789abcdef0, …")
        self.groups = Picked("security_groups", "sg-0123456789abcdef0, …")
        self.vpc = widgets.Dropdown(description="VPC", style=label_style(), layout=layout(), disabled=True)
        self.words = Words()
        self.view = widgets.VBox([row(self.vpc, self.words.view), self.subnets.view, self.groups.view])
        self._networks: Networks | None = None
        self._loading = False
        self._offer_vpcs([], OTHER)

    @property
    def is_off(self) -> bool:
        """Whether the user wants no VPC."""
        return bool(self.vpc.value == NONE)

    def on_choice(self, chosen: Callable[[Callable[[], None]], None]) -> None:
        """Let `chosen` run the work that follows the choice of another VPC."""
        self.vpc.observe(lambda _: None if self._loading else chosen(self._choose), "value")

    def show(self, networks: Networks) -> None:
        """Show the account's networks; earlier choices remain."""
        self._networks = networks
        if isinstance(networks.vpcs, Denied):
            self._offer_vpcs([], OTHER)
            self.words.say(f"No list: {networks.vpcs.reason}")
            for picked in (self.subnets, self.groups):
                picked.type_freely(f"No list: {networks.vpcs.reason}")
            return
        self._offer_vpcs([(_describe_vpc(vpc), vpc.id) for vpc in networks.vpcs], networks.home)
        self.words.say(_counted(networks.vpcs))
        if networks.home == NONE:
            self._switch_off()
        elif networks.home != OTHER:
            self._list(networks)

    def forget(self) -> None:
        """Drop the lists; choices remain as text."""
        self._networks = None
        self._offer_vpcs([], OTHER)
        self.words.say("")
        for picked in (self.subnets, self.groups):
            picked.type_freely("")

    def _offer_vpcs(self, vpcs: list[tuple[str, str]], chosen: str) -> None:
        # Setting options also sets the value, which must not count as the user's choice.
        self._loading = True
        try:
            self.vpc.options = [("none", NONE), *vpcs, ("as typed below", OTHER)]
            self.vpc.value = chosen
            self.vpc.disabled = not vpcs
        finally:
            self._loading = False

    def _choose(self) -> None:
        if self.vpc.value == OTHER:
            for picked in (self.subnets, self.groups):
                picked.type_freely("Separated by commas")
        elif self.vpc.value == NONE:
            for picked in (self.subnets, self.groups):
                picked.text = ""
            self._switch_off()
        elif (loaded := self._networks) is not None:
            self.words.say("" if isinstance(loaded.vpcs, Denied) else _counted(loaded.vpcs))
            self._list(Networks.within(loaded.discovery, loaded.vpcs, self.vpc.value))

    def _switch_off(self) -> None:
        self.words.say(WITHOUT)
        for picked in (self.subnets, self.groups):
            picked.type_freely("Needs a VPC", off=True)

    def _list(self, networks: Networks) -> None:
        """Show checkboxes, with the usual choice preselected: a subnet in each zone, and the default group."""
        subnets, groups = networks.subnets, networks.groups
        zones: dict[str, str] = {}
        usual: list[str] = []
        if not isinstance(subnets, Denied) and not isinstance(groups, Denied):
            for subnet in subnets:
                zones.setdefault(subnet.zone, subnet.id)
            usual = [group.id for group in groups if group.name == "default"]
        _offer(self.subnets, subnets, _describe_subnet, [*zones.values()])
        _offer(self.groups, groups, _describe_group, usual)


def _home(discovery: Discovery, vpcs: tuple[Vpc, ...], settings: Settings) -> str:
    """Find the VPC of the configured subnets."""
    wanted = set(settings.subnets)
    if not wanted:
        return OTHER if settings.security_groups else NONE
    # Subnets are asked for by VPC: which one a subnet belongs to is not in the configuration.
    for vpc in vpcs:
        subnets = ask(lambda vpc=vpc: discovery.subnets(vpc.id))  # type: ignore[misc]
        if not isinstance(subnets, Denied) and wanted & {subnet.id for subnet in subnets}:
            return vpc.id
    return OTHER


def ask(question: Callable[[], T | Denied]) -> T | Denied:
    """Ask AWS; any failure becomes a reason."""
    try:
        return question()
    except LithopsMagicError as error:
        return Denied("", str(error))


def _offer(
    picked: Picked, answer: tuple[Any, ...] | Denied, describe: Callable[[Any], str], usual: Sequence[str]
) -> None:
    if isinstance(answer, Denied):
        picked.type_freely(f"No list: {answer.reason}")
    else:
        picked.offer([(describe(one), one.id) for one in answer], TICK, usual)


def _counted(vpcs: tuple[Vpc, ...]) -> str:
    return f"{plural(len(vpcs), 'VPC')} in this region"


def _describe_vpc(vpc: Vpc) -> str:
    name = vpc.name or ("default" if vpc.is_default else "")
    return " · ".join(part for part in (name, vpc.cidr, vpc.id) if part)


def _describe_subnet(subnet: Subnet) -> str:
    return " · ".join(part for part in (subnet.zone, subnet.name, subnet.cidr, subnet.id) if part)


def _describe_group(group: SecurityGroup) -> str:
    return f"{group.name} · {group.id}"
