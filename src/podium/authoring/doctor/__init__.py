"""Whether all is well, section by section of the playbooks that operators know.

Each check looks at one thing and says ok, warn, fail or skip, what it saw, and what to do. None
changes anything. A check that cannot look says so: a doctor never fails for being asked.
"""

from podium.authoring.doctor.examination import SECTIONS, Section, examine, sections_of
from podium.authoring.doctor.findings import Check, Patient, worst

__all__ = ["SECTIONS", "Check", "Patient", "Section", "examine", "sections_of", "worst"]
