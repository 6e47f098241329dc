"""The network: a VPC, then its subnets by availability zone and its security groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.aws.account.permission_errors import Denied
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import LithopsMagicError
from lithops_magic.notebook.form.fields import Picked, Words, label_style, layout, row

if TYPE_CHECKING:
    from lithops_magic.aws.account.discover import Discovery, SecurityGroup, Subnet, Vpc

NONE = ""
OTHER = "?"
UNASKED = "Load from AWS to choose"
T = TypeVar("T")


class Network:
    """VPC, subnets and groups; lists once they are loaded, free text wherever AWS tells none."""

    def __init__(self) -> None:
        self.subnets = Picked("subnets", "subnet-0123456789abcdef0, …")
        self.groups = Picked("security_groups", "sg-0123456789abcdef0, …")
        self.vpc = widgets.Dropdown(description="VPC", style=label_style(), layout=layout(), disabled=True)
        self.words = Words(UNASKED)
        self.view = widgets.VBox([row(self.vpc, self.words.view), self.subnets.view, self.groups.view])
        self._discovery: Discovery | None = None
        self._loading = False
        self._offer_vpcs([], OTHER)

    def on_choice(self, chosen: Callable[[Callable[[], None]], None]) -> None:
        """Let `chosen` run what follows from another VPC."""
        self.vpc.observe(lambda _: None if self._loading else chosen(self._choose), "value")

    def load(self, discovery: Discovery) -> None:
        """Fill in what the account has; whatever is chosen already stays chosen."""
        self._discovery = discovery
        vpcs = ask(discovery.vpcs)
        if isinstance(vpcs, Denied):
            self._offer_vpcs([], OTHER)
            self.words.say(f"No list: {vpcs.reason}")
            for picked in (self.subnets, self.groups):
                picked.type_freely(f"No list: {vpcs.reason}")
            return
        home = self._home(discovery, vpcs)
        self._offer_vpcs([(_describe_vpc(vpc), vpc.id) for vpc in vpcs], home)
        self.words.say(f"{plural(len(vpcs), 'VPC')} in this region")
        if home not in (NONE, OTHER):
            self._list(discovery, home)

    def forget(self) -> None:
        """Drop the lists; what is chosen stays as text."""
        self._discovery = None
        self._offer_vpcs([], OTHER)
        self.words.say("")
        for picked in (self.subnets, self.groups):
            picked.type_freely("")

    def _home(self, discovery: Discovery, vpcs: tuple[Vpc, ...]) -> str:
        """Find the VPC of the subnets that are configured."""
        wanted = {part.strip() for part in self.subnets.text.split(",") if part.strip()}
        if not wanted:
            return OTHER if self.groups.text else NONE
        for vpc in vpcs:
            subnets = ask(lambda vpc=vpc: discovery.subnets(vpc.id))  # type: ignore[misc]
            if not isinstance(subnets, Denied) and wanted & {subnet.id for subnet in subnets}:
                return vpc.id
        return OTHER

    def _offer_vpcs(self, vpcs: list[tuple[str, str]], chosen: str) -> None:
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
                picked.type_freely("Functions without a VPC reach the internet, but no EFS")
        elif self._discovery is not None:
            self._list(self._discovery, self.vpc.value)

    def _list(self, discovery: Discovery, vpc: str) -> None:
        _offer(self.subnets, ask(lambda: discovery.subnets(vpc)), _describe_subnet)
        _offer(self.groups, ask(lambda: discovery.security_groups(vpc)), _describe_group)


def ask(question: Callable[[], T | Denied]) -> T | Denied:
    """Ask AWS; whatever goes wrong is a reason."""
    try:
        return question()
    except LithopsMagicError as error:
        return Denied("", str(error))


def _offer(picked: Picked, answer: tuple[Any, ...] | Denied, describe: Callable[[Any], str]) -> None:
    if isinstance(answer, Denied):
        picked.type_freely(f"No list: {answer.reason}")
    else:
        picked.offer([(describe(one), one.id) for one in answer], "Tick those to use")


def _describe_vpc(vpc: Vpc) -> str:
    name = vpc.name or ("default" if vpc.is_default else "")
    return " · ".join(part for part in (name, vpc.cidr, vpc.id) if part)


def _describe_subnet(subnet: Subnet) -> str:
    return " · ".join(part for part in (subnet.zone, subnet.name, subnet.cidr, subnet.id) if part)


def _describe_group(group: SecurityGroup) -> str:
    return f"{group.name} · {group.id}"
