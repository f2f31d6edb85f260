"""Look for what is wrong."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from tfbind.commands import add_command
from tfbind.config import home_folder

MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def add(commands: Any) -> None:
    """Add `doctor`."""
    add_command(commands, "doctor", doctor)


def doctor(options: argparse.Namespace) -> int:
    """Say what this installation and home are like, what is wrong, and how to mend it."""
    from tfbind.doctor import examine

    findings = []
    for finding in examine(home_folder()):
        findings.append(finding)
        if not options.json:
            print(f"{MARKS[finding.state]}  {finding.subject:10} {finding.said}", flush=True)
            if finding.remedy:
                print(f"{'':18}-> {finding.remedy}")
    if options.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    return int(any(finding.state == "wrong" for finding in findings))
