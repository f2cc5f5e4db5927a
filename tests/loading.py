"""Wait for a page in a browser test."""

import re

from playwright.sync_api import Page, expect


def wait_for_page(page: Page, address: re.Pattern[str]) -> None:
    """Wait until a page with this address is loaded and its scripts have started."""
    expect(page).to_have_url(address)  # This is true as soon as its first bytes arrive.
    page.wait_for_load_state()
