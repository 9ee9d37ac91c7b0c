"""`python -m mta.admin.asyncapi > conf/asyncapi.yaml`: writes the contract anew after a change of the model."""

import sys

from mta.admin.asyncapi.document import document
from mta.admin.asyncapi.yaml import render

COMMAND = "python -m mta.admin.asyncapi > conf/asyncapi.yaml"

if __name__ == "__main__":
    sys.stdout.write(
        f"# The contract with senders and consumers. Made by `{COMMAND}`; do not edit.\n" + render(document())
    )
