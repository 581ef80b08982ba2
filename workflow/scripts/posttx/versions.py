"""Version of what each stage up to training writes.

Raised by hand when a stage's output changes. It is a parameter of the stage's rule, so that raising it re-runs the
stage, while editing or touching a script does not: no cosmetic edit may cost three days of GPU time.
"""

# Of paths, tables and columns below results/: raised when what an older version left could be misread (layout.py).
LAYOUT = 1

PHANTOM = 1
SCAN = 1
AUDIT = 3
STANDARDIZE = 1
DATASET = 1
SPLITS = 1
VALIDATE = 1
PREDICT = 4
