"""Are the labelled cases sharp enough? Small faults are planted in the claim checker; each should make a case come out wrong.

    python -m evals.mutation [--sample 200] [--seed 0]

A mutant is one change of one expression: a comparison turned, `and` for `or`, a number moved by one, `not` dropped, a condition
made true or false. It is killed when it fails, hangs, or judges any case otherwise than the checker as it is; survivors are
listed to be looked at (DeMillo, Lipton and Sayward 1978).
"""

import ast
import copy
import importlib
import importlib.abc
import importlib.util
import multiprocessing
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from services.governance import claims as package

MODULES = ("numbers", "figures", "dates", "matching", "calendar", "quoting", "record", "naming", "scope", "personal", "words", "disclaimers",
           "checker")  # fmt: skip
_SECONDS = 60
_SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every expression that can be changed, with what is done to it; type annotations are none."""
    notes = {id(part) for node in ast.walk(tree) for name in ("annotation", "returns") if (found := getattr(node, name, None))
             for part in ast.walk(found)}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in notes:
            continue
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
            yield node, "comparison turned"
        elif isinstance(node, ast.BoolOp):
            yield node, "and/or swapped"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, "not dropped"
        elif isinstance(node, ast.If | ast.IfExp):
            yield node, "condition true"
            yield node, "condition false"
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield node, "number moved"


def change(node: Any, what: str) -> None:
    """Change an expression in place."""
    if what == "comparison turned":
        node.ops[0] = _SWAPPED[type(node.ops[0])]()
    elif what == "and/or swapped":
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif what == "not dropped":
        node.op, node.operand = ast.Not(), ast.UnaryOp(op=ast.Not(), operand=node.operand)
    elif what == "number moved":
        node.value += 1
    else:
        node.test = ast.Constant(what == "condition true")


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a changed tree."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name, self._code = name, compile(ast.fix_missing_locations(tree), name, "exec")

    def find_spec(self, fullname: str, path: object, target: object = None) -> Any:
        """Only for this module."""
        del path, target
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed code."""
        exec(self._code, module.__dict__)  # noqa: S102  (the checker's own source, changed in one place)


def _judge(name: str, tree: ast.Module, right: dict[str, bool], answer: Any) -> None:
    for loaded in [key for key in sys.modules if key.startswith((package.__name__, "evals.claims"))]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, _Mutated(name, tree))
    try:
        claims = importlib.import_module("evals.claims")
        answer.send(_differs(claims, right))
    except Exception as error:
        answer.send(type(error).__name__)


def _differs(claims: Any, right: dict[str, bool]) -> str:
    """The first case that comes out otherwise. Small cases first: most faults show there."""
    for file in sorted(claims.FILES, key=lambda name: name.startswith("generated")):
        cases = claims.read(file)
        known = claims.records(cases)
        for case in cases:
            if claims.judge(case, known[case.id]).right != right[case.id]:
                return str(case.id)
    return ""


def killed_by(name: str, tree: ast.Module, right: dict[str, bool]) -> str:
    """The first case that comes out otherwise, or the error; "" for a survivor."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_judge, args=(name, tree, right, theirs))
    process.start()
    said: str = ours.recv() if ours.poll(_SECONDS) else "hangs"
    process.kill()
    process.join()
    return said


def main(
    sample: Annotated[int, typer.Option(min=1, help="How many mutants to try.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Which ones.")] = 0,
) -> None:
    """Plant faults in the claim checker and see whether the labelled cases find them."""
    claims = importlib.import_module("evals.claims")
    right = {one.case.id: one.right for file in claims.FILES for one in claims.judged(claims.read(file))}
    folder = Path(package.__file__ or "").parent
    trees = {name: ast.parse((folder / f"{name}.py").read_text()) for name in MODULES}
    every = [(name, n) for name, tree in trees.items() for n, _ in enumerate(sites(tree))]
    chosen = random.Random(seed).sample(every, min(sample, len(every)))
    survivors = []
    for name, n in track(sorted(chosen), "mutants", console=Console(stderr=True)):
        tree = copy.deepcopy(trees[name])
        node, what = list(sites(tree))[n]
        place = f"{name}.py:{getattr(node, 'lineno', 0)} {what}: {ast.unparse(node).splitlines()[0][:90]}"
        change(node, what)
        if not killed_by(f"{package.__name__}.{name}", tree, right):
            survivors.append(place)
    print(f"{len(chosen)} of {len(every)} mutants, {len(chosen) - len(survivors)} killed, {len(survivors)} survived")
    print("\n".join(survivors))


if __name__ == "__main__":
    typer.run(main)
