"""What only a CPU can do is named only where nothing else comes: read off the sources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vqclip

PACKAGE = Path(vqclip.__file__).parent

# Files that may name them, and why nothing but a CPU meets them there.
ON_CPU = {
    "base/device.py": "asks the CPU for its instructions, and tells kinds of devices apart",
    "models/cpu_kernels.py": "reached by Kernels.ON_CPU alone",
    "base/runtime.py": "asks glibc to keep pages, where the device says that this helps",
    "guidance/kept_bytes.py": "counts on the meta device",
}
KINDS = ("cpu", "cuda", "mps", "xpu")


def inner_names(tree: ast.AST) -> Iterator[str]:
    """Torch's inner functions, the heap's switches, and questions for a device's kind."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute() if is_inner(path := dotted(node)):
                yield path
            case ast.ImportFrom(module=str(module), names=names):
                yield from filter(is_inner, (f"{module}.{alias.name}" for alias in names))
            case ast.Import(names=names):
                yield from filter(is_inner, (alias.name for alias in names))
            case ast.Attribute(attr="is_cuda" | "is_cpu" | "is_mps" | "is_xpu" as common):
                yield common
            case ast.Compare(left=left, comparators=others) if any(map(is_kind, [left, *others])):
                yield ast.unparse(node)
            case ast.Constant(value=str(text)) if text in ("mallopt", "malloc_trim") or text.startswith(
                "_is_"
            ):
                yield text


def dotted(node: ast.expr) -> str:
    """`torch.ops.aten` of the node for it; "" for what isn't a path of names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
    return ""


def is_inner(path: str) -> bool:
    root, *rest = path.split(".")
    if root != "torch" or not rest:
        return False
    return rest[0] in ("ops", "convolution", "mkldnn_convolution") or any(
        name.startswith(("_", "native_", "mkldnn_")) and not name.startswith("__") for name in rest
    )


def is_kind(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in KINDS


@pytest.mark.parametrize("path", sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")))
def test_inner_functions_are_named_only_where_a_cpu_calls_them(path: str) -> None:
    found = sorted(set(inner_names(ast.parse((PACKAGE / path).read_text(encoding="utf-8")))))
    assert bool(found) if path in ON_CPU else found == [], found


@pytest.mark.parametrize(
    "line",
    [
        "torch.native_group_norm(x)", "torch.ops.aten.silu_backward(g, u)", "from torch._C import x",
        "torch._foreach_add_(a, b)", "torch.convolution(x)", "x.is_cuda", 'device.type == "cpu"',
        'x.device.type != "cuda"', 'getattr(libc, "mallopt")', "from torch import _C",
    ],
)  # fmt: skip
def test_such_a_line_is_found(line: str) -> None:
    assert list(inner_names(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["F.conv2d(x, w)", "torch.nn.grad.conv2d_input(s, w, g)", "torch.__version__"]
)
def test_a_public_name_is_not(line: str) -> None:
    assert not list(inner_names(ast.parse(line)))
