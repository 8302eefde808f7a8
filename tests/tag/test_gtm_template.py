"""The template for Google Tag Manager: its sections, its permissions, and what its code does in a page.

Google publishes no schema of these files. So the form is checked against its documentation: section by section, each
API that is required against its permission, each parameter that the code reads against its declaration.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser

from tests.tag.servers import Servers
from tests.tag.visit import visit
from tests.waiting import until

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "clients/gtm/pharos.tpl"
SECTIONS: Final = [
    "INFO",
    "TEMPLATE_PARAMETERS",
    "SANDBOXED_JS_FOR_WEB_TEMPLATE",
    "WEB_PERMISSIONS",
    "TESTS",
    "NOTES",
]
PERMISSION: Final = {
    "createArgumentsQueue": "access_globals",
    "setInWindow": "access_globals",
    "injectScript": "inject_script",
}
PLAIN_TYPES: Final = {"TEXT", "RADIO", "CHECKBOX", "SELECT", "SIMPLE_TABLE", "GROUP", "LABEL", "PARAM_TABLE"}
NOT_IN_THE_SANDBOX: Final = r"\b(new|this|window|document|class|async|await|fetch|Object|String|JSON)\b|\.\.\.|`|\?\."


def sections() -> dict[str, str]:
    found = re.split(r"^___([A-Z_]+)___$", FILE.read_text(), flags=re.MULTILINE)
    assert found[0] == ""
    return dict(zip(found[1::2], map(str.strip, found[2::2]), strict=True))


def globals_of(permissions: list[Any]) -> dict[str, list[bool]]:
    """Return read, write and execute by the name of a global."""
    (values,) = (p["instance"]["param"][0]["value"] for p in permissions if _kind(p) == "access_globals")
    rows = (dict(zip((k["string"] for k in i["mapKey"]), i["mapValue"], strict=True)) for i in values["listItem"])
    return {row["key"]["string"]: [row[name]["boolean"] for name in ("read", "write", "execute")] for row in rows}


def _kind(permission: Any) -> str:
    return str(permission["instance"]["key"]["publicId"])


def test_its_sections() -> None:
    found = sections()
    assert list(found) == SECTIONS
    info = json.loads(found["INFO"])
    assert (info["type"], info["containerContexts"], info["id"]) == ("TAG", ["WEB"], "cvt_temp_public_id")
    assert {parameter["type"] for parameter in json.loads(found["TEMPLATE_PARAMETERS"])} <= PLAIN_TYPES
    assert FILE.read_text().count("px.example.com") == 3, "code, permission, and the note about them"


def test_the_code_uses_what_it_may() -> None:
    found = sections()
    code, permissions = found["SANDBOXED_JS_FOR_WEB_TEMPLATE"], json.loads(found["WEB_PERMISSIONS"])
    bare = re.sub(r"//.*|'[^']*'", "", code)
    assert not re.search(NOT_IN_THE_SANDBOX, bare)
    required = set(re.findall(r"require\('(\w+)'\)", code))
    assert {PERMISSION[name] for name in required} == {_kind(permission) for permission in permissions}
    assert set(globals_of(permissions)) == {"pharos", "pharos.q", "pharosTag"}
    assert all(write for _, write, _ in globals_of(permissions).values())
    declared = {parameter["name"] for parameter in json.loads(found["TEMPLATE_PARAMETERS"])}
    read = set(re.findall(r"data\.(\w+)", code)) - {"gtmOnSuccess", "gtmOnFailure"}
    assert read | {"value", "currency", "id", "user_id"} == declared


SANDBOX = """
// As Google documents these calls.
const has = {
  createArgumentsQueue: (name, queue) => {
    const held = queue.split('.').pop();
    window[name] = window[name] || function () { (window[name][held] = window[name][held] || []).push(arguments); };
    return window[name];
  },
  setInWindow: (name, value) => { window[name] = JSON.parse(JSON.stringify(value)); return true; },
  injectScript: (url, done, failed) => {
    const script = document.createElement('script');
    Object.assign(script, { src: url, async: true, onload: done, onerror: failed });
    document.head.append(script);
  },
};
window.called = [];
window.fire = (data) => new Function('require', 'data', CODE)((name) => has[name],
  { ...data, gtmOnSuccess: () => called.push('success'), gtmOnFailure: () => called.push('failure') });
"""


@pytest.mark.asyncio(loop_scope="module")
async def test_in_a_page(site: Servers, browser: Browser) -> None:
    code = sections()["SANDBOXED_JS_FOR_WEB_TEMPLATE"].replace("https://px.example.com", site.collector)
    script = SANDBOX.replace("CODE", json.dumps(code))
    fire = """
        fire({kind: 'event', event: 'early', value: '9.90', currency: 'EUR', props: [{name: 'plan', value: 'pro'}]});
        fire({kind: 'load', site: 'demo', consentMode: true, options: [{name: 'links', value: ''}]});"""
    site.pages["/gtm"] = f"<title>GTM</title><script>dataLayer = []; {script}{fire}</script>", {}
    async with visit(browser, site.site + "/gtm") as page:
        view, early = await site.until("/gtm", "pageview", "early")
        await page.wait_for_function("new Promise(done => pharos(core => done(!!core.extra)))")
        await page.evaluate(
            "(function () { dataLayer.push(arguments) })('consent', 'update', {analytics_storage: 'granted'});"
            "fire({kind: 'event', event: 'late', id: 'x-1'})"
        )
        (late,) = await site.until("/gtm", "late")
        await until(lambda: page.evaluate("called.length == 3"), "three results")
        assert await page.evaluate("called.join(' ')") == "success success success"
    assert (view["title"], view["consent"]) == ("GTM", "assumed")
    assert (early["value"], early["currency"], early["props"]) == ("9.90", "EUR", {"plan": "pro"})
    assert (late["id"], late["consent"]) == ("x-1", "given")
