"""`fool`: pictures that a network takes for something else, and noise that it is certain of."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from lanterna import pictures
from lanterna.cli.console import results, watching
from lanterna.cli.options import Arch, Common, FromFile, field_help, load_network, make_recipe
from lanterna.cli.outcome import tell
from lanterna.errors import InputError
from lanterna.networks.network import Network
from lanterna.provenance import describe
from lanterna.techniques import fool as picture_technique
from lanterna.techniques import fool_noise as noise_technique
from lanterna.techniques.fool import AttackName, FoolRecipe
from lanterna.techniques.fool_noise import Encoding, FoolingPictures, FoolNoiseRecipe
from lanterna.techniques.fooled import Fooled
from lanterna.techniques.likeness import not_asked
from lanterna.wording import counted

__all__ = ["again", "again_noise", "fool"]

# Flags that go with one of the two uses only, by the recipe's field.
_FOR_PICTURES = {"attack": "--attack", "epsilon": "--epsilon", "target": "--target"}
_FOR_NOISE = {"classes": "--class", "encoding": "--encoding"}


def _help(field: str) -> str:
    return field_help(FoolRecipe, field)


def fool(
    network: str,
    picture: str | None = None,
    /,
    *,
    attack: Annotated[AttackName | None, Parameter(help=_help("attack"))] = None,
    epsilon: Annotated[str | None, Parameter(help=_help("epsilon"))] = None,
    target: Annotated[str | None, Parameter(help=_help("target"))] = None,
    start: Annotated[
        Literal["noise"] | None, Parameter(name="--from", help="noise: pictures of noise or pattern, instead of PICTURE")
    ] = None,
    class_: Annotated[
        list[str] | None,
        Parameter(
            name="--class", negative=(), help="with --from noise: a class by name or number, or all; can be given again"
        ),
    ] = None,
    encoding: Annotated[
        Encoding | None, Parameter(help=f"with --from noise: {field_help(FoolNoiseRecipe, 'encoding')}")
    ] = None,
    steps: Annotated[int | None, Parameter(help=f"{_help('steps')}; from noise 384")] = None,
    confidence: Annotated[float | None, Parameter(help=f"{_help('confidence')}; from noise 0.99")] = None,
    second: Annotated[str | None, Parameter(help=_help("second"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    out: Annotated[Path, Parameter(help="the PNG to write; the figure goes beside it")] = Path("fool.png"),
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """Change PICTURE so little that nobody sees it until the network sees another class, or make noise it is certain of.

    Example: lanterna fool efficientnet_lite0 coffee --attack pgd-linf --epsilon 2/255
    """
    common = common or Common()
    both = {"steps": steps, "confidence": confidence, "second": second, "seed": seed}
    for_pictures = {"attack": attack, "epsilon": epsilon, "target": target}
    for_noise = {"classes": class_, "encoding": encoding}
    chosen: FoolRecipe | FoolNoiseRecipe
    if start == "noise":
        _refuse(
            {"PICTURE": picture, **{_FOR_PICTURES[key]: value for key, value in for_pictures.items()}},
            "of no use with --from noise; leave it out",
        )
        if class_ is None and file is None:
            raise InputError("--from noise needs a class: --class 'sea lion', or --class all")
        chosen = make_recipe(FoolNoiseRecipe, file, {**both, **for_noise})
    else:
        _refuse(
            {_FOR_NOISE[key]: value for key, value in for_noise.items()},
            "for --from noise only; a class to be seen in a picture is --target",
        )
        if picture is None and file is None:
            raise InputError("no picture was given; give a file or a sample such as coffee, or --from noise --class NAME")
        chosen = make_recipe(FoolRecipe, file, {**both, **for_pictures, "picture": picture})
    _check_out(out)
    net = load_network(network, common, arch)
    options = {"arch": arch}
    if isinstance(chosen, FoolNoiseRecipe):
        return _make_noise(chosen, net, common, out, options)
    return _make(chosen, net, common, out, options, "both")


def _refuse(given: dict[str, Any], why: str) -> None:
    for flag, value in given.items():
        if value is not None:
            raise InputError(f"{flag} {value!r} is {why}")


def _check_out(out: Path) -> None:
    pictures.check_writable(out)
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: a {out.suffix} file changes the very pixels that fool; give a .png")


def _make(recipe: FoolRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], which: str) -> int:
    with watching(f"fool ({recipe.attack})", quiet=common.quiet) as listen:
        made = picture_technique.run(recipe, net, listen)
    record = describe(recipe, net, options)
    files = []
    if which != "figure":
        files.append(pictures.save(made.result, out, recipe=record))
    if which != "result":
        beside = out.with_name(f"{out.stem}-figure{out.suffix}") if which == "both" else out
        files.append(pictures.save(made.figure(), beside, recipe={**record, "figure": True}))
    code = tell(record, made.numbers(), files, partial(_report, made, files), as_json=common.json, stopped=made.stopped)
    return code or (0 if made.success else 1)


def _report(made: Fooled, files: list[Path]) -> None:
    before, after = made.before[0], made.after[0]
    own = next((one.probability for one in made.after if one.index == before.index), None)
    kept = "" if own is None or after.index == before.index else f" ({before.label} {own:.1%})"
    word = "fooled" if made.success else "not fooled"
    results.print(
        f"{word}: {before.label} {before.probability:.1%} -> {after.label} {after.probability:.1%}{kept}", markup=False
    )
    eight = "yes" if made.success_rounded else "no"
    if made.refined:
        eight += f", so {counted(made.refined, 'value')} {'was' if made.refined == 1 else 'were'} moved by whole levels"
    results.print(f"before rounding: {'yes' if made.success_raw else 'no'}; rounded to 8 bits: {eight}", markup=False)
    passes = counted(made.passes, "gradient pass", "gradient passes")
    results.print(f"L2 {made.l2:.3f}, Linf {255 * made.linf:.0f}/255, {passes}", markup=False)
    results.print(f"control, noise of the same size: fools {made.noise_success:.0%} of the time", markup=False)
    if made.transfer is not None:
        one = made.transfer
        results.print(
            f"{one.network}: {one.before.label} {one.before.probability:.1%} -> {one.after.label} "
            f"{one.after.probability:.1%}, {'fooled too' if one.fooled else 'not fooled'}",
            markup=False,
        )
    _say_not_asked(made.recipe.second, made.transfer is not None)
    for file in files:
        results.print(str(file), markup=False)


def _say_not_asked(second: str | None, asked: bool) -> None:
    if said := not_asked(second, asked):
        results.print(said, markup=False)


def _make_noise(recipe: FoolNoiseRecipe, net: Network, common: Common, out: Path, options: dict[str, Any]) -> int:
    with watching("fool (from noise)", quiet=common.quiet) as listen:
        made = noise_technique.run(recipe, net, listen)
    record = describe(recipe, net, options)
    file = pictures.save(made.sheet(), out, recipe=record)
    report = partial(_report_noise, made, file)
    code = tell(record, made.numbers(), [file], report, as_json=common.json, stopped=made.stopped)
    return code or (0 if made.share > 0 else 1)


def _report_noise(made: FoolingPictures, file: Path) -> None:
    for label, sure, start, steps in list(zip(made.labels, made.confidence, made.start, made.steps, strict=True))[:24]:
        results.print(f"{label}: {sure:.2%} after {counted(steps, 'step')} (noise at the start {start:.2%})", markup=False)
    count = len(made.classes)
    above = sum(one > made.recipe.confidence for one in made.confidence)
    results.print(f"above {made.recipe.confidence:.0%}: {above} of {counted(count, 'class', 'classes')}", markup=False)
    if made.agreed is not None:
        results.print(f"{made.second} sees the same class in {sum(made.agreed)} of {count}", markup=False)
    _say_not_asked(made.recipe.second, made.agreed is not None)
    if made.control:
        told = ", ".join(f"{one:.1%}" for one in made.control)
        results.print(f"control, the same for an untrained network: {told}", markup=False)
    results.print(str(file), markup=False)


def again(
    recipe: FoolRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make a picture, or its figure, again from its `record`."""
    return _make(recipe, net, common, out, {"arch": None} | options, "figure" if record.get("figure") else "result")


def again_noise(
    recipe: FoolNoiseRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], _record: dict[str, Any]
) -> int:
    """Make a sheet of fooling pictures again."""
    return _make_noise(recipe, net, common, out, {"arch": None} | options)
