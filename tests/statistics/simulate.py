"""Print what intervals cover, how often claims and rules are false: `make statistics`. On published cases, if here."""

import argparse
import sys
import time

import component_tables as tables
import simulations as sim

PATIENTS = (4, 6, 9, 15, 30, 60, 118)


def say(text: str) -> None:
    """Write a line at once: the tables take minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=1000, help="draws per cell (standard error 0.7 points at 1,000)")
    trials, start = options.parse_args().trials, time.process_time()
    populations = {"zero-inflated Dice (made)": sim.zero_inflated()}
    if sim.real():
        populations = sim.real_populations() | sim.volume_populations() | populations
    else:
        say("../shared with the published counts is absent: made cases only.")
    say(f"Coverage of 95 % intervals in % of {trials} draws (in brackets: draws that have one)")
    say(_row("patients", *populations))
    for count in PATIENTS:
        cells = [sim.coverage(population, count, trials) for population in populations.values()]
        say(_row(str(count), *(f"{100 * held:.1f} ({100 * given:.0f})" for held, given in cells)))
    say(f"\nFalse claims at p < 0.05 where volume and Dice are independent, % of {trials} draws")
    for count in PATIENTS[1:]:
        errors = sim.correlation_errors(count, trials)
        say(_row(str(count), *(f"{name} {100 * share:.1f}" for name, share in errors.items())))
    say(f"\nVerdicts on two equal models, % of {trials} draws: any row (primary endpoint)")
    pairs = {"63 rows (made)": sim.made_differences()}
    if sim.real():
        pairs["published and prize models"] = sim.real_differences()
    say(_row("patients", *pairs))
    for count in PATIENTS:
        cells = [sim.false_verdicts(*differences, count, trials) for differences in pairs.values()]
        say(_row(str(count), *(f"{100 * anywhere:.1f} ({100 * primary:.1f})" for anywhere, primary in cells)))
    say(f"\nRules of post-processing, % of {trials // 5} made cohorts of 100 patients in which a class is given one")
    for name, scene in (("clean", tables.CLEAN), ("even", tables.EVEN), ("planted", tables.PLANTED)):
        for measure in ("lesion_dice", "dice"):
            found = tables.outcomes(scene, measure, range(trials // 5))
            shares = (f"{region} {100 * tables.share_with_rule(found, region):.1f}" for region in tables.CLASSES)
            kept = found[found["rule"] != "none"]
            covered = ((kept["ci_low"] <= kept["truth"]) & (kept["truth"] <= kept["ci_high"])).mean()
            least = f"lowest gain {found['gain'].min():.4f}"
            say(_row(name, measure, *shares, least, f"covers {100 * covered:.1f} of {len(kept)}"))
    say(f"\n{time.process_time() - start:.0f} CPU s")


def _row(*cells: str) -> str:
    return cells[0].rjust(9) + "".join(cell.rjust(28) for cell in cells[1:])


if __name__ == "__main__":
    main()
