"""Resource policies of layer versions: stored but not enforced; anyone who can sign a request may use a layer."""

from __future__ import annotations

import json
from typing import Any

from lithops_magic.local.control.context import Context, Result, check_revision
from lithops_magic.local.control.registry import LayerVersion, new_revision
from lithops_magic.local.names import conflict, resource_not_found

_CALL = "GetLayerPolicy"


class LayerPolicies:
    """Operations on layer policies."""

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._registry = context.registry

    async def add_layer_version_permission(self, params: dict[str, Any]) -> Result:
        arn, version = self._version(params)
        if any(statement["Sid"] == params["StatementId"] for statement in version.policy):
            raise conflict(
                f"The statement id ({params['StatementId']}) provided already exists. "
                "Please provide a new statement id, or remove the existing statement."
            )
        check_revision(params, version.policy_revision, _CALL)
        organization = params.get("OrganizationId")
        statement = {
            "Sid": params["StatementId"],
            "Effect": "Allow",
            "Principal": _principal(params["Principal"]),
            "Action": params["Action"],
            "Resource": arn,
            **({"Condition": {"StringEquals": {"aws:PrincipalOrgID": organization}}} if organization else {}),
        }
        version.policy.append(statement)
        version.policy_revision = new_revision()
        return {"Statement": json.dumps(statement, separators=(",", ":")), "RevisionId": version.policy_revision}

    async def get_layer_version_policy(self, params: dict[str, Any]) -> Result:
        _, version = self._version(params)
        if not version.policy:
            raise resource_not_found("No policy is associated with the given resource.")
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": version.policy}
        return {"Policy": json.dumps(policy, separators=(",", ":")), "RevisionId": version.policy_revision}

    async def remove_layer_version_permission(self, params: dict[str, Any]) -> Result:
        _, version = self._version(params)
        others = [statement for statement in version.policy if statement["Sid"] != params["StatementId"]]
        if len(others) == len(version.policy):
            raise resource_not_found(f"Statement {params['StatementId']} is not found in resource policy.")
        check_revision(params, version.policy_revision, _CALL)
        version.policy, version.policy_revision = others, new_revision()
        return {}

    def _version(self, params: dict[str, Any]) -> tuple[str, LayerVersion]:
        name, _ = self._account.split_layer(params["LayerName"])
        arn = self._account.layer_arn(name, params["VersionNumber"])
        version = self._registry.layer_version(arn)
        if version is None:
            raise resource_not_found(f"Layer version {arn} does not exist.")
        return arn, version


def _principal(principal: str) -> Any:
    return {"AWS": f"arn:aws:iam::{principal}:root"} if principal.isdigit() else principal
