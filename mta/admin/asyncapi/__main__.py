"""`python -m mta.admin.asyncapi > conf/asyncapi.yaml`: writes the contract anew after a change of the model.

For those who change it: needs what the tests need (`pip install -e '.[test]'`).
"""

import json
import sys
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import FoldedScalarString, LiteralScalarString

from mta.admin.asyncapi.document import document

COMMAND = "python -m mta.admin.asyncapi > conf/asyncapi.yaml"
_WIDTH = 118
_LONG = 90


def _laid_out(value: Any) -> Any:
    """Long texts as blocks that people can read."""
    match value:
        case dict():
            return {key: _laid_out(item) for key, item in value.items()}
        case list():
            return [_laid_out(item) for item in value]
        case str() if "\n" in value:
            return LiteralScalarString(value)
        case str() if len(value) > _LONG:
            return FoldedScalarString(value)
    return value


if __name__ == "__main__":
    sys.stdout.write(f"# The contract with senders and consumers. Made by `{COMMAND}`; do not edit.\n")
    writer = YAML(typ="rt")
    writer.width = _WIDTH
    writer.indent(mapping=2, sequence=4, offset=2)
    # Through JSON: enums and tuples become what they look like, and nothing is written as an alias of another.
    writer.representer.ignore_aliases = lambda data: True
    writer.dump(_laid_out(json.loads(json.dumps(document()))), sys.stdout)
