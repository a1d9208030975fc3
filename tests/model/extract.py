#!/usr/bin/env python3
"""Takes out of botocore's service model of Kinesis what the tests hold Weir against.

    pip download botocore --no-deps && unzip botocore-*.whl 'botocore/data/kinesis/*'
    gunzip botocore/data/kinesis/2013-12-02/service-2.json.gz
    python3 tests/model/extract.py botocore/data/kinesis/2013-12-02/service-2.json

writes `operations.txt` (the names) and `shapes.json` (operations with their input and errors, and all that an input can
hold: types, members, bounds) beside this file. A newer model then fails the tests at what is missing or differs.
"""

import json
import pathlib
import sys

BOUNDS = ("min", "max", "pattern", "enum", "required")


def main(path):
    model = json.load(open(path, encoding="utf-8"))
    shapes, wanted = {}, []
    operations = {}
    for name, operation in sorted(model["operations"].items()):
        errors = sorted(error["shape"] for error in operation.get("errors", []))
        operations[name] = {"input": operation.get("input", {}).get("shape"), "errors": errors}
        wanted.append(operations[name]["input"])
    while wanted:
        name = wanted.pop()
        if name is None or name in shapes:
            continue
        shape = model["shapes"][name]
        shapes[name] = {"type": shape["type"], **{bound: shape[bound] for bound in BOUNDS if bound in shape}}
        members = {member: value["shape"] for member, value in shape.get("members", {}).items()}
        parts = {part: shape[part]["shape"] for part in ("member", "key", "value") if part in shape}
        if members:
            shapes[name]["members"] = members
        shapes[name].update(parts)
        wanted += [*members.values(), *parts.values()]
    here = pathlib.Path(__file__).parent
    head = "# The operations of the Kinesis API, written by extract.py.\n"
    (here / "operations.txt").write_text(head + "".join(f"{name}\n" for name in operations), encoding="utf-8")
    lines = [f'  "{kind}": {{\n' + ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(things.items())) + "\n  }"
        for kind, things in (("operations", operations), ("shapes", shapes))]
    (here / "shapes.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


main(sys.argv[1])
