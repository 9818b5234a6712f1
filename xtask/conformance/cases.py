"""Prints a line a case of a report: id, behavior, behaviorClose.

python cases.py INDEX.JSON
"""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as index:
    agents = json.load(index)

for cases in agents.values():
    for case in sorted(cases, key=lambda case: [int(number) for number in case.split(".")]):
        print(case, cases[case]["behavior"], cases[case]["behaviorClose"], sep="\t")
