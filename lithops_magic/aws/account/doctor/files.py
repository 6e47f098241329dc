"""Checks of the file system: its access point, mount targets and NFS port."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, listed, ok, problem

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import IpPermissionOutputTypeDef

NFS = 2049


def access_point(facts: Facts) -> Verdict | None:
    """The access point exists."""
    if not facts.settings.efs:
        return None
    arn = facts.settings.efs[0].access_point
    if facts.file_system is None:
        return problem(f"There is no access point {arn}.", "Correct efs.")
    return ok(f"{arn} gives access to {facts.file_system}.")


def mount_targets(facts: Facts) -> Verdict | None:
    """There is a mount target in each subnet's zone."""
    if not facts.settings.efs or not facts.settings.subnets or facts.file_system is None:
        return None
    there = {(target.vpc, target.zone) for target in facts.mount_targets}
    lacking = {
        subnet["AvailabilityZone"]
        for subnet in facts.subnets.values()
        if (subnet["VpcId"], subnet["AvailabilityZoneId"]) not in there
    }
    if lacking:
        return problem(
            f"{facts.file_system} has no mount target in {listed(lacking)} of {listed(facts.vpcs)}.",
            "Create one there, or leave out the subnets of that zone.",
        )
    return ok("There is a mount target in the zone of each subnet.")


def nfs_port(facts: Facts) -> Verdict | None:
    """Security groups allow the functions' traffic to the mount targets."""
    if not facts.settings.efs or not facts.settings.subnets or facts.file_system is None:
        return None
    targets = [target for target in facts.mount_targets if target.vpc in facts.vpcs]
    if not targets:
        return None
    closed = {target.id for target in targets if not _lets_in(facts, facts.groups_of(target))}
    if closed:
        return problem(
            f"The security groups of {listed(closed)} do not allow NFS traffic from the functions.",
            f"Allow TCP {NFS} from {listed(set(facts.settings.security_groups))} there.",
        )
    if not any(_opens(rule) for group in facts.groups.values() for rule in group.get("IpPermissionsEgress", [])):
        return problem(
            "The functions' security groups do not allow outgoing NFS traffic.",
            f"Allow TCP {NFS} to the mount targets.",
        )
    return ok("The security groups allow NFS traffic.")


def _lets_in(facts: Facts, ids: list[str]) -> bool:
    rules = [rule for group in facts.security_groups(ids).values() for rule in group.get("IpPermissions", [])]
    return any(_opens(rule) and _from_functions(facts, rule) for rule in rules)


def _opens(rule: IpPermissionOutputTypeDef) -> bool:
    if rule.get("IpProtocol") == "-1":
        return True
    return rule.get("IpProtocol") == "tcp" and rule.get("FromPort", 0) <= NFS <= rule.get("ToPort", 65535)


def _from_functions(facts: Facts, rule: IpPermissionOutputTypeDef) -> bool:
    if any(pair.get("GroupId") in facts.groups for pair in rule.get("UserIdGroupPairs", [])):
        return True
    # What a prefix list contains would take another call: assume that it is meant to let the functions in.
    if rule.get("PrefixListIds"):
        return True
    allowed: list[Any] = [ip_network(entry["CidrIp"]) for entry in rule.get("IpRanges", [])]
    return all(
        any(ip_network(subnet["CidrBlock"]).subnet_of(network) for network in allowed)
        for subnet in facts.subnets.values()
    )
