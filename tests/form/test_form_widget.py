"""The form without a browser: fields change, buttons are clicked, nothing is printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from form_help import beside, load, widget_states, words
from lithops_magic.aws.account.discover import Discovery
from lithops_magic.aws.account.doctor import Check
from lithops_magic.aws.account.permission_errors import Denied
from lithops_magic.notebook.form import actions
from lithops_magic.notebook.form.form import ConfigForm
from lithops_magic.notebook.session import Session

OpenForm = Callable[..., ConfigForm]

ACCOUNT = """\
# my account
aws:
  access_key_id: AKIAIOSFODNN7EXAMPLE
  secret_access_key: wJalrXUtnFEMI
aws_lambda:
  region: eu-west-1  # near
  execution_role: arn:aws:iam::123456789012:role/lambda
  runtime_memory: 1024
  env_vars:
  - {name: API_TOKEN, value: sesame-open}
"""


def test_a_problem_is_said_beside_its_field_and_save_says_why_it_is_disabled(open_form: OpenForm) -> None:
    form = open_form()
    assert not form.bar.review.disabled
    form.controls["memory"].text = "5"
    assert beside(form, "memory") == "⚠ 5 MB is out of range. AWS Lambda takes 128 to 10240 MB."
    assert words(form.bar.state) == "⚠ Fix before saving: Memory."
    assert form.bar.review.disabled
    assert form.bar.use.disabled
    assert form.bar.check.disabled
    form.controls["memory"].text = "512"
    assert beside(form, "memory") == "MB; 1,769 MB is one full vCPU"
    assert words(form.bar.state).startswith("Not saved yet: Memory.")
    assert not form.bar.review.disabled


def test_save_shows_the_diff_and_write_writes_only_that(open_form: OpenForm, file: Path, session: Session) -> None:
    form = open_form(ACCOUNT)
    form.controls["timeout"].text = "300"
    assert form.bar.save.layout.display == "none"
    form.bar.review.click()
    assert form.bar.save.layout.display is None
    assert "+  runtime_timeout: 300" in words(form.bar.results)
    assert file.read_text() == ACCOUNT
    form.bar.save.click()
    assert file.read_text() == ACCOUNT + "  runtime_timeout: 300\n"
    assert words(form.bar.status) == f"✓ Saved to {file}; the next run uses it."
    assert words(form.bar.state).startswith("No changes.")
    assert form.bar.save.layout.display == "none"
    form.bar.save.click()
    assert words(form.bar.status).startswith("✓ Saved to")
    assert session.load().timeout == 300


def test_a_change_after_save_needs_a_new_look(open_form: OpenForm, file: Path) -> None:
    form = open_form(ACCOUNT)
    form.controls["timeout"].text = "300"
    form.bar.review.click()
    form.controls["timeout"].text = "301"
    assert form.bar.save.layout.display == "none"
    assert form.bar.results.value == ""
    form.bar.save.click()
    assert file.read_text() == ACCOUNT
    form.bar.review.click()
    assert "+  runtime_timeout: 301" in words(form.bar.results)


def test_a_file_changed_by_others_is_shown_again_before_it_is_written(open_form: OpenForm, file: Path) -> None:
    form = open_form(ACCOUNT)
    form.controls["timeout"].text = "300"
    form.bar.review.click()
    changed = ACCOUNT.replace("1024", "2048")
    file.write_text(changed)
    form.bar.save.click()
    assert file.read_text() == changed
    assert "has changed in the meantime" in words(form.bar.status)
    form.bar.save.click()
    assert "runtime_timeout: 300" in file.read_text()


def test_cancel_and_discard_write_nothing(open_form: OpenForm, file: Path) -> None:
    form = open_form(ACCOUNT)
    form.controls["timeout"].text = "300"
    form.bar.review.click()
    assert form.bar.save.description == f"Save to {file}"
    form.bar.cancel.click()
    assert (form.bar.save.layout.display, form.bar.results.value) == ("none", "")
    assert form.controls["timeout"].text == "300"
    form.bar.discard.click()
    assert form.controls["timeout"].text == "180"
    assert words(form.bar.state).startswith("No changes.")
    assert file.read_text() == ACCOUNT


@pytest.mark.parametrize("name", ["memory", "timeout", "ephemeral_storage"])
def test_an_emptied_number_is_the_default_and_never_the_invalid_one(open_form: OpenForm, name: str) -> None:
    form = open_form()
    before = form.reading.settings
    form.controls[name].text = "5" if name != "timeout" else "0"
    assert form.bar.review.disabled
    form.controls[name].text = ""
    assert form.reading.settings == before
    form.controls[name].text = "much"
    assert "is not a whole number" in beside(form, name)


def test_a_file_that_the_environment_names_is_made(
    open_form: OpenForm, monkeypatch: Any, tmp_path: Path, session: Session
) -> None:
    new = tmp_path / "deep" / "new.yaml"
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(new))
    form = open_form()
    form.controls["memory"].text = "640"
    form.bar.review.click()
    assert words(form.bar.status) == "This file would be created:"
    form.bar.save.click()
    assert words(form.bar.status).startswith(f"✓ Saved to {new}")
    assert session.settings is None
    assert (session.load().memory, session.load().source) == (640, str(new))


def test_the_project_s_file_or_the_one_at_home(
    open_form: OpenForm, monkeypatch: Any, tmp_path: Path, file: Path, session: Session
) -> None:
    monkeypatch.chdir(tmp_path)
    form = open_form(ACCOUNT)
    project = tmp_path / ".lithops_config"
    assert [value for _, value in form.file.widget.options] == [str(project), str(file)]
    form.controls["memory"].text = "640"
    form.file.widget.value = str(project)
    assert form.controls["memory"].text == "640"
    form.bar.review.click()
    form.bar.save.click()
    assert (session.load().memory, session.load().source) == (640, str(project))
    form.file.widget.value = str(file)
    assert form.controls["memory"].text == "1024"
    assert f"Notebooks in this folder read {project} instead." in words(form.bar.state)
    assert file.read_text() == ACCOUNT


def test_roles_and_access_points_are_chosen_by_name_with_the_arn_beneath(open_form: OpenForm) -> None:
    form = open_form()
    arn = "arn:aws:iam::123456789012:role/team/a-role-of-mine"
    form.role.offer([("a-role-of-mine", arn)], "1 role")
    form.role.widget.value = "a-role-of-mine"
    assert form.reading.settings.execution_role == arn
    assert words(form.role.full) == arn
    assert form.role.full.layout.display is None
    form.role.offer([], "")
    assert form.role.text == arn
    form.role.widget.value = ""
    assert form.role.full.layout.display == "none"


def test_problems_of_a_check_come_first_and_their_commands_can_be_copied(open_form: OpenForm) -> None:
    form = open_form()
    command = "aws ec2 create-vpc-endpoint --vpc-id vpc-1"
    checks = [
        Check("clock", "ok", "Agrees."),
        Check("route", "problem", "No way.", f"Add S3's free gateway endpoint: {command}"),
        Check("bucket", "unknown", "Could not check <it>."),
        Check("role", "problem", "None.", "Run `lithops-magic role create`."),
    ]
    form.bar.show_checks(checks)
    shown = form.bar.results.value
    places = [shown.index(name) for name in ("route", "role</strong>", "bucket", "clock")]
    assert places == sorted(places)
    assert re.findall(r'data-text="([^"]*)"', shown) == [command, "lithops-magic role create"]
    assert "&lt;it&gt;" in shown


def test_nothing_to_save(open_form: OpenForm) -> None:
    form = open_form(ACCOUNT)
    form.bar.review.click()
    assert words(form.bar.status).startswith("Nothing to save: ")
    assert form.bar.save.layout.display == "none"


def test_what_cannot_be_written_is_said(open_form: OpenForm, file: Path) -> None:
    form = open_form()
    form.controls["memory"].text = "512"
    form.bar.review.click()
    file.parent.rmdir()
    file.parent.write_text("in the way")
    form.bar.save.click()
    assert words(form.bar.status).startswith("✗ ")
    assert not form.bar.review.disabled


def test_this_session_only(open_form: OpenForm, file: Path, session: Session) -> None:
    form = open_form(ACCOUNT)
    form.controls["memory"].text = "3000"
    form.bar.use.click()
    assert file.read_text() == ACCOUNT
    assert session.load().memory == 3000
    assert session.load(profile="other").profile == "other"
    assert session.load(profile="other").access_key_id is None
    assert session.load(local=True).local
    assert "Not saved yet: Memory." in words(form.bar.state)
    assert "This session uses its own settings." in words(form.bar.state)
    again = open_form()
    assert again.controls["memory"].text == "3000"
    again.bar.review.click()
    again.bar.save.click()
    assert session.settings is None
    assert session.load().memory == 3000


def test_saving_another_file_lets_the_session_use_it(open_form: OpenForm, session: Session, tmp_path: Path) -> None:
    form = open_form(ACCOUNT, str(tmp_path / "other.yaml"))
    form.controls["memory"].text = "640"
    form.bar.review.click()
    form.bar.save.click()
    assert (session.load().memory, session.load().source) == (640, str(tmp_path / "other.yaml"))


def test_secrets_stay_hidden_and_stay(open_form: OpenForm, file: Path, session: Session) -> None:
    form = open_form(ACCOUNT)
    area = form.controls["env_vars"].widget  # type: ignore[attr-defined]
    assert area.value == "API_TOKEN=••••••••"
    area.value += "\nDB_PASSWORD=sesame-open-2\nNOTE=<b>&"
    form.bar.review.click()
    form.bar.save.click()
    assert session.load().env_vars == {
        "API_TOKEN": "sesame-open",
        "DB_PASSWORD": "sesame-open-2",
        "NOTE": "<b>&",
    }
    assert area.value == "API_TOKEN=••••••••\nDB_PASSWORD=••••••••\nNOTE=<b>&"
    assert form.credentials.words == f"the aws section of {file}"


def test_secrets_of_a_session_are_not_taken_for_those_of_the_file(open_form: OpenForm, session: Session) -> None:
    form = open_form(ACCOUNT)
    form.controls["env_vars"].widget.value = "API_TOKEN=another"  # type: ignore[attr-defined]
    form.bar.use.click()
    form.controls["memory"].text = "3000"
    form.bar.use.click()
    assert session.load().env_vars == {"API_TOKEN": "another"}


def test_the_other_place_shows_what_the_file_says_of_it(open_form: OpenForm) -> None:
    form = open_form("aws_lambda:\n  region: eu-west-1\n  runtime_memory: 1024\n")
    place, region = form.controls["local"], form.controls["region"]
    assert (place.text, region.text, region.widget.disabled) == ("true", "", True)  # type: ignore[attr-defined]
    form.controls["memory"].text = "2048"
    place.widget.value = "false"  # type: ignore[attr-defined]
    assert (region.text, region.widget.disabled) == ("eu-west-1", False)  # type: ignore[attr-defined]
    assert beside(form, "execution_role").startswith("⚠ AWS Lambda needs a role for the function.")
    assert not form.bar.create.disabled
    assert form.bar.review.disabled
    place.widget.value = "true"  # type: ignore[attr-defined]
    assert (region.text, form.controls["memory"].text) == ("", "2048")


def test_the_environment_as_configuration_cannot_be_saved(
    open_form: OpenForm, monkeypatch: Any, session: Session
) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", json.dumps({"aws_lambda": {"runtime_memory": 777}}))
    form = open_form()
    assert form.controls["memory"].text == "777"
    assert form.bar.review.disabled
    assert "LITHOPS_CONFIG is the configuration: unset it" in words(form.bar.state)
    form.bar.use.click()
    assert session.settings is not None


def test_strings_of_the_file_are_no_html(open_form: OpenForm) -> None:
    evil = "<img src=x onerror=alert(1)>"
    form = open_form(f"aws_lambda:\n  execution_role: '{evil}'\n  local: true\n  user_tags: {{'{evil}': '{evil}'}}\n")
    form.controls["memory"].text = "2048"
    seen = [str(widget.value) for widget in every(form.view) if isinstance(widget, widgets.HTML)]
    assert any("&lt;img" in text for text in seen)
    assert not [text for text in [*seen, form._repr_mimebundle_()["text/html"]] if evil in text]


def test_a_region_that_botocore_does_not_know_stays_and_is_a_problem(open_form: OpenForm) -> None:
    form = open_form(ACCOUNT.replace("eu-west-1", "xx-north-9"))
    assert form.controls["region"].text == "xx-north-9"
    assert "'xx-north-9' is not a region that boto3 knows" in beside(form, "region")
    assert form.bar.review.disabled


def test_file_systems_are_added_and_removed(open_form: OpenForm) -> None:
    form = open_form()
    form.efs.add.click()
    assert beside(form, "efs") == "EFS or S3 Files; needs a VPC"
    assert not form.bar.review.disabled
    form.efs.mounts[0].path.value = "/mnt/other"
    assert beside(form, "efs").startswith("⚠ A file system has no access point.")
    form.efs.mounts[
        0
    ].point.text = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0"
    form.efs.mounts[0].path.value = "data"
    assert "'data' is not a mount path" in beside(form, "efs")
    form.efs.mounts[0].path.value = "/mnt/data"
    assert "reached through a VPC" in beside(form, "efs")
    form.efs.mounts[0].remove.click()
    assert not form.efs.mounts
    assert not form.bar.review.disabled


def test_every_control_has_a_label_or_words_on_it(open_form: OpenForm) -> None:
    form = open_form()
    form.efs.add.click()
    controls = [widget for widget in every(form.view) if hasattr(widget, "description")]
    kinds = (widgets.Text, widgets.Textarea, widgets.IntText, widgets.Dropdown, widgets.Button, widgets.SelectMultiple)
    assert len(controls) > 25
    assert all(widget.description for widget in controls if isinstance(widget, kinds))


def test_the_bundle_is_live_and_static(open_form: OpenForm, file: Path) -> None:
    form = open_form(ACCOUNT)
    bundle = form._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == form.view.model_id
    for kind in ("text/plain", "text/html"):
        assert "arn:aws:iam::123456789012:role/lambda" in bundle[kind]
        assert "API_TOKEN" in bundle[kind]
        assert str(file) in bundle[kind]
    assert len(repr(form)) < 200


def test_an_unexpected_error_is_said_and_the_buttons_come_back(open_form: OpenForm, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("AKIAIOSFODNN7EXAMPLE is broken")

    monkeypatch.setattr(actions, "connect_unfinished", broken)
    form = open_form()
    form.bar.check.click()
    assert words(form.bar.status) == "✗ RuntimeError: **** is broken"
    assert not form.bar.check.disabled


def test_an_account_that_cannot_be_reached_is_said_beside_the_button(open_form: OpenForm) -> None:
    form = open_form("aws_lambda:\n  local: false\n  region: eu-west-1\n")
    load(form)
    assert words(form.bar.loaded.view).startswith("⚠ No AWS credentials were found.")


@pytest.mark.usefixtures("local_aws")
class TestOnTheLocalAws:
    def test_load_tells_who_calls_and_fills_the_lists(self, open_form: OpenForm) -> None:
        form = open_form()
        load(form)
        assert words(form.bar.loaded.view).startswith("✓ Loaded from local AWS at http://127.0.0.1")
        assert form.caller.words.startswith("arn:aws:sts::123456789012:")
        assert [label for label, _ in form.network.vpc.options][0::2][:1] == ["none"]
        vpc = form.network.vpc.options[1][1]
        form.network.vpc.value = vpc
        zones = [box.description.split(" · ")[0] for box in form.network.subnets.boxes.values()]
        assert zones == sorted(zones)
        ticked = [box for box in form.network.subnets.boxes.values() if box.value]
        assert sorted(box.description.split(" · ")[0] for box in ticked) == sorted(set(zones))
        assert [box.description.split(" · ")[0] for box in form.network.groups.boxes.values() if box.value] == [
            "default"
        ]
        assert not form.bar.review.disabled
        assert len(form.reading.settings.subnets) == len(ticked)
        form.network.vpc.value = ""
        assert form.reading.settings.subnets == ()
        assert not form.network.subnets.boxes
        assert form.network.subnets.free.disabled
        assert form.efs.add.disabled

    def test_another_place_drops_the_lists(self, open_form: OpenForm) -> None:
        form = open_form()
        load(form)
        form.network.vpc.value = form.network.vpc.options[1][1]
        chosen = form.network.subnets.text
        form.controls["local"].widget.value = "false"  # type: ignore[attr-defined]
        assert form.network.vpc.disabled
        assert not form.network.subnets.boxes
        assert form.network.subnets.text == chosen
        assert form.caller.words == "not known yet"

    @pytest.mark.parametrize("question", ["vpcs", "subnets", "security_groups", "roles", "efs_access_points"])
    def test_a_denied_list_is_free_text_with_the_reason(
        self, open_form: OpenForm, monkeypatch: Any, question: str
    ) -> None:
        denied = Denied("ec2:DescribeX", "It needs the permission ec2:DescribeX <&>.")
        monkeypatch.setattr(Discovery, question, lambda *_: denied)
        form = open_form()
        load(form)
        if question in ("subnets", "security_groups"):
            form.network.vpc.value = form.network.vpc.options[1][1]
        names = {"vpcs": "subnets", "roles": "execution_role", "efs_access_points": "efs"}
        name = names.get(question, question)
        assert denied.reason in beside(form, name)
        others = {"subnets", "security_groups", "execution_role", "efs"} - {name}
        if question != "vpcs":
            assert not [other for other in others if denied.reason in beside(form, other)]
            assert bool(form.network.subnets.boxes) is (question == "security_groups")
        assert not form.bar.review.disabled

    def test_an_account_tells_how_the_credentials_were_found(
        self, open_form: OpenForm, local_aws: Any, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.secret_access_key)
        form = open_form(f"aws_lambda: {{local: false, region: us-east-1, endpoint_url: '{local_aws.endpoint_url}'}}\n")
        assert form.credentials.words.startswith("as boto3 finds them")
        load(form)
        assert form.credentials.words == "environment variables"
        assert form.caller.words.startswith("arn:aws:sts::123456789012:")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        load(form)
        assert form.caller.words.startswith("not known: ")
        assert "No list: " in beside(form, "execution_role")
        seen = str(form._repr_mimebundle_()) + "".join(widget_states(form.view))
        assert local_aws.access_key_id not in seen
        assert local_aws.secret_access_key not in seen

    def test_create_role_chooses_it_and_check_examines_it(self, open_form: OpenForm, local_aws: Any) -> None:
        form = open_form()
        form.controls["namespace"].widget.value = "form-test"  # type: ignore[attr-defined]
        form.bar.create.click()
        arn = form.controls["execution_role"].text
        name = arn.rpartition("/")[2]
        assert local_aws.client("iam").get_role(RoleName=name)["Role"]["Arn"] == arn
        assert arn in words(form.bar.status)
        form.bar.check.click()
        shown = words(form.bar.results)
        assert f"{arn} exists." in shown
        assert "✓ ok" in shown
        assert "checks: " in words(form.bar.status)
        form.controls["timeout"].text = "100"
        assert form.bar.results.value == ""


def every(widget: Any) -> list[Any]:
    return [widget, *(found for child in getattr(widget, "children", ()) for found in every(child))]
