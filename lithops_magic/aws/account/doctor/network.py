"""Checks of the VPC: subnets, security groups and the route to S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, listed, ok, problem
from lithops_magic.aws.account.permission_errors import asking

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import RouteTableTypeDef, RouteTypeDef, VpcEndpointTypeDef

WAYS_OUT = (
    "NatGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "TransitGatewayId",
    "LocalGatewayId",
    "CarrierGatewayId",
)
"""Targets of a default route that functions can use; not an internet gateway, as functions have no public address."""


def subnets(facts: Facts) -> Verdict | None:
    """The subnets exist and share a VPC."""
    wanted = set(facts.settings.subnets)
    if not wanted:
        return None
    if missing := wanted - set(facts.subnets):
        return problem(f"There is no {listed(missing)} in {facts.cloud.region}.", "Correct subnets.")
    if len(facts.vpcs) > 1:
        return problem(f"The subnets are in several VPCs: {listed(facts.vpcs)}.", "Choose subnets of one VPC.")
    zones = {subnet["AvailabilityZone"] for subnet in facts.subnets.values()}
    return ok(f"The subnets are in {listed(facts.vpcs)}, zones {listed(zones)}.")


def security_groups(facts: Facts) -> Verdict | None:
    """The security groups exist and are in the subnets' VPC."""
    wanted = set(facts.settings.security_groups)
    if not wanted:
        return None
    if missing := wanted - set(facts.groups):
        return problem(f"There is no {listed(missing)} in {facts.cloud.region}.", "Correct security_groups.")
    vpcs = facts.vpcs
    if foreign := {name for name, group in facts.groups.items() if group.get("VpcId") not in vpcs}:
        return problem(
            f"Not in the VPC of the subnets ({listed(vpcs)}): {listed(foreign)}.", "Choose groups of that VPC."
        )
    return ok("The security groups are in the VPC of the subnets.")


def object_storage_route(facts: Facts) -> Verdict | None:
    """Functions can reach S3, where large objects are."""
    vpcs = facts.vpcs if facts.settings.subnets else set()
    if len(vpcs) != 1:
        return None
    (vpc,) = vpcs
    endpoints = _endpoints(facts, vpc)
    if any(
        # Without private DNS, S3's usual name would still lead to its public addresses.
        endpoint.get("VpcEndpointType") == "Interface" and endpoint.get("PrivateDnsEnabled")
        for endpoint in endpoints
    ):
        return ok("Functions reach S3 through an interface endpoint.")
    through = {table for endpoint in endpoints for table in endpoint.get("RouteTableIds", [])}
    tables = _tables(facts, vpc)
    cut_off = {
        name: table["RouteTableId"]
        for name, table in tables.items()
        if table["RouteTableId"] not in through and not any(map(_leads_out, table.get("Routes", [])))
    }
    if not cut_off:
        return ok("Functions reach S3 from every subnet.")
    return problem(
        f"Functions in {listed(set(cut_off))} have no route to S3, where large objects are.",
        f"Add S3's free gateway endpoint: aws ec2 create-vpc-endpoint --vpc-id {vpc} "
        f"--service-name {_service(facts)} --route-table-ids {' '.join(sorted(set(cut_off.values())))}",
    )


def _service(facts: Facts) -> str:
    return f"com.amazonaws.{facts.cloud.region}.s3"


def _endpoints(facts: Facts, vpc: str) -> list[VpcEndpointTypeDef]:
    wanted: Any = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "service-name", "Values": [_service(facts)]}]
    with asking("ec2"):
        found = facts.cloud.client("ec2").describe_vpc_endpoints(Filters=wanted)["VpcEndpoints"]
    return [endpoint for endpoint in found if str(endpoint.get("State")).lower() == "available"]


def _tables(facts: Facts, vpc: str) -> dict[str, RouteTableTypeDef]:
    """Return the route table of each configured subnet: its own, or else the VPC's main one."""
    with asking("ec2"):
        found = facts.cloud.client("ec2").describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    used: dict[str, RouteTableTypeDef] = {}
    for table in found["RouteTables"]:
        for association in table.get("Associations", []):
            for name in facts.subnets:
                if association.get("SubnetId") == name:
                    used[name] = table
                elif association.get("Main"):
                    used.setdefault(name, table)
    return used


def _leads_out(route: RouteTypeDef) -> bool:
    anywhere = route.get("DestinationCidrBlock") == "0.0.0.0/0"
    return anywhere and route.get("State") != "blackhole" and any(route.get(way) for way in WAYS_OUT)
