"""What the model's docstrings say of its fields and members: the text stands once, beside what it is about."""

import ast
import inspect
import textwrap


def of_fields(kind: type) -> dict[str, str]:
    """The docstring below each field or member of a class, by its name in Python, on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, after in zip(tree.body, tree.body[1:], strict=False):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


def of_type(kind: type) -> str:
    """Its own docstring, paragraphs apart."""
    return " ".join((kind.__doc__ or "").split())
