"""Names that jobs on disk refer to: they outlive the version that recorded them."""

from __future__ import annotations

import pickle
import pickletools
from importlib import import_module

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.data.inside import objects, output

HOME = "lithops_magic.data.inside"
RECORDED = {
    f"{HOME}.objects": {"FilePart", "S3Part", "UrlPart"},
    f"{HOME}.output": {"Kept", "S3Reference", "Storing"},
}
"""Every class that a recorded job has ever referred to, under the name of its time. Add to it; never remove."""


def referred(value: object) -> set[tuple[str, str]]:
    """The names of ours that a pickle of `value` refers to."""
    texts: list[str] = []
    found = set()
    for operation, text, _ in pickletools.genops(cloudpickle.dumps(value)):
        if operation.name == "STACK_GLOBAL":
            found.add((texts[-2], texts[-1]))
        elif isinstance(text, str):
            texts.append(text)
    return {(module, name) for module, name in found if module.startswith("lithops_magic.")}


def test_what_is_recorded_is_under_listed_names_only() -> None:
    fields = (1, 1, 0, 9, 9, b"\n")
    values = [
        output.Storing(str, "bucket", "out/{index}.json", (pickle,)),
        output.S3Reference("bucket", "key", 1, "", "bytes"),
        objects.S3Part(*fields, "bucket", "key", "", ()),
        objects.UrlPart(*fields, "https://example.com/a", ""),
        objects.FilePart(*fields, "a.txt", b"123456789"),
    ]
    used = {name for value in values for name in referred(value)}
    listed = {(module, name) for module, names in RECORDED.items() for name in names}
    assert len(used) == len(values)
    assert used <= listed


def test_a_job_that_was_recorded_under_an_older_name_can_be_read() -> None:
    for module, names in RECORDED.items():
        for name in names:
            assert isinstance(getattr(import_module(module), name), type)
    old = pickle.dumps(output.Storing(str, "bucket", "{index}")).replace(b"\x07Storing", b"\x04Kept")
    # The length of the frame is three bytes less.
    frame = int.from_bytes(old[3:11], "little") - 3
    assert isinstance(pickle.loads(old[:3] + frame.to_bytes(8, "little") + old[11:]), output.Storing)
