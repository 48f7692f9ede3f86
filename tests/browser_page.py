"""A page in headless Chromium, whose requests and complaints are kept."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = os.environ.get("VQCLIP_AXE")  # the path of axe-core's axe.min.js


def need_browser() -> None:
    """Skip a module where there is no browser, or nothing to drive it with."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromium-driver; see .ci/run", allow_module_level=True)
    pytest.importorskip("selenium", reason="needs vqclip[browser]")


class Page:
    """Drive a page by its elements' ids and by keys."""

    def __init__(self, driver: Any):
        self.driver = driver
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def open(self, address: str) -> None:
        self.driver.get(address)

    def js(self, code: str, *given: object) -> Any:
        return self.driver.execute_script(code, *given)

    def find(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def all(self, css: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", css))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def wait(self, until: Callable[[], Any], seconds: float = 30) -> Any:
        """Wait until something is true, and give it."""
        end = time.monotonic() + seconds
        while not (value := until()):
            assert time.monotonic() < end, "the page doesn't do it"
            time.sleep(0.05)
        return value

    @property
    def prompts(self) -> list[str]:
        """The prompts of the cards that are shown, in their order."""
        return list(self.js("return [...document.querySelectorAll('.card .prompt')].map(p => p.textContent)"))

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def read_logs(self) -> None:
        """Collect what was asked for and what was complained about since the last call."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        self.complaints += [entry["message"] for entry in self.driver.get_log("browser")]

    def faults(self) -> list[str]:
        """Serious faults that axe-core finds in what is shown; none where axe-core isn't here."""
        if not AXE:
            return []
        self.js(Path(AXE).read_text(encoding="utf-8"))
        failed = "e => done([{id: String(e), nodes: []}])"
        found = self.driver.execute_async_script(
            f"const done = arguments[0]; axe.run().then(r => done(r.violations), {failed})"
        )
        return [
            f"{fault['id']}: {[node['html'] for node in fault['nodes']]}"
            for fault in found
            if fault.get("impact") in ("serious", "critical", None)
        ]


@contextmanager
def browsing() -> Iterator[Page]:
    """Start a browser, and end it."""
    from selenium import webdriver  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Page(driver)
    finally:
        driver.quit()
