"""Write the conformance table into the documentation: `python -m tests.llm.conformance`."""

from tests.llm.conformance.table import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
