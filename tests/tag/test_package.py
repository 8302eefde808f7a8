"""The package @pharos/tag: packed from the repository, imported on a server, and built into projects of frameworks.

Vite always; Next.js and Astro, some 500 MB from the registry, with PHAROS_TEST_SCALE=full.
"""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests import needs
from tests.collector import scale
from tests.tag import built
from tests.tag.recipes import recipe
from tests.tag.servers import Servers
from tests.tag.visit import visit

pytestmark = pytest.mark.timeout(1200)
in_loop = pytest.mark.asyncio(loop_scope="module")


async def run(*command: str, folder: Path) -> str:
    """Run a program in a folder; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed file."""
    needs.program("node", "nodejs")
    npm = needs.program("npm", "npm")
    folder = tmp_path_factory.mktemp("package")
    built.install(built.FOLDER)
    await run(npm, "pack", "--pack-destination", str(folder), folder=built.FOLDER)
    (packed,) = folder.glob("*.tgz")
    return packed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unpacked(package: Path) -> Path:
    # Python's own module unpacks safely from 3.11.4 on only.
    await run(needs.program("tar", "tar"), "-x", "-f", str(package), folder=package.parent)
    return package.parent / "package"


def test_what_is_in_it(unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert names == {"package.json", "README.md", "dist/LICENSE", "dist/index.js", "dist/index.d.ts"}
    meta = json.loads((unpacked / "package.json").read_text())
    assert "dependencies" not in meta
    assert meta["exports"]["."] == {"types": "./dist/index.d.ts", "default": "./dist/index.js"}
    code = (built.FOLDER.parent / "collector/http/tag.js").read_text().strip()
    assert code in (unpacked / "dist/index.js").read_text(), "the same code as /t.js"


@in_loop
async def test_the_page_about_the_tag_says_what_each_opt_in_adds(unpacked: Path) -> None:
    sizes = json.loads(await run("node", "build.mjs", "--sizes", folder=built.FOLDER))
    rows = re.findall(
        r"^\| `(data-[a-z-]+)` .*\| (\d+)[^|]*\|$", (built.FOLDER.parent / "docs/tag.md").read_text(), re.M
    )
    named = {title.partition(",")[0]: size for title, size in sizes.items() if title.startswith("data-")}
    assert {name for name, _ in rows} == named.keys()
    for name, size in rows:
        assert abs(int(size) - named[name]) <= 15, f"{name} adds {named[name]} bytes"


@in_loop
async def test_on_a_server_nothing_happens(unpacked: Path) -> None:
    script = """import pharos, { init, consent } from './dist/index.js';
        init({ site: 'shop', api: 'https://px.example.com/' }); pharos('x', {}); consent(true);
        console.log(Object.keys(globalThis).includes('pharos'), typeof pharos)"""
    assert await run("node", "--input-type=module", "-e", script, folder=unpacked) == "false function\n"


@in_loop
async def test_in_a_page_without_a_bundler(site: Servers, browser: Browser, unpacked: Path) -> None:
    site.pages["/index.js"] = (unpacked / "dist/index.js").read_text(), {}
    script = f"""<title>Module</title><script type=module>
        import {{ init, pharos, consent }} from '/index.js';
        pharos('early'); consent(false);
        init({{ site: ['demo', 'full'], api: '{site.collector}/', links: true, keep: false, hosts: "shop.localhost" }});
        init({{ site: 'other', api: '{site.collector}/' }});
        pharos('signup', {{ props: {{ plan: 'pro' }} }});
        </script><a id=out href="http://other.localhost/out">out</a>"""
    site.pages["/module"] = script, {}
    async with visit(browser, site.site + "/module") as page:
        await page.evaluate("document.getElementById('out').addEventListener('click', e => e.preventDefault())")
        _, _, signup = await site.until("/module", "pageview", "early", "signup")
        await page.wait_for_function("new Promise(done => pharos(core => done(!!core.extra)))")
        await page.click("#out")
        await site.until("/module", "outbound")
    assert (signup["consent"], signup["props"]) == ("refused", {"plan": "pro"})
    assert {hit.site for hit, _ in site.with_hits("/module")} == {"demo", "full"}


FILES = {
    "vite": {
        "package.json": json.dumps(
            {"type": "module", "scripts": {"build": "tsc && vite build"}, "dependencies": {"@pharos/tag": "PACKAGE"}}
            | {"devDependencies": {"vite": "8.4.0", "typescript": "7.0.2"}}
        ),
        "tsconfig.json": json.dumps(
            {"compilerOptions": {"strict": True, "noEmit": True, "module": "esnext", "moduleResolution": "bundler"}}
            | {"include": ["main.ts"]}
        ),
        "index.html": "<!doctype html><title>Vite</title><script type=module src=/main.ts></script>",
        "main.ts": "RECIPE",
    },
    "next": {
        "package.json": json.dumps(
            {"scripts": {"build": "next build"}}
            | {"dependencies": {"@pharos/tag": "PACKAGE", "next": "16.4.6", "react": "19.3.1", "react-dom": "19.3.1"}}
            | {"devDependencies": {"typescript": "5.9.3", "@types/react": "19.3.3", "@types/node": "26.6.7"}}
        ),
        "next.config.mjs": "export default { output: 'export' };",
        "app/pharos.tsx": "RECIPE",
        "app/layout.tsx": """import { Pharos } from './pharos';
            export const metadata = { title: 'Next' };
            export default function Layout({ children }: { children: React.ReactNode }) {
              return <html lang="en"><body>{children}<Pharos /></body></html>;
            }""",
        "app/page.tsx": """import Link from 'next/link';
            export default function Page() { return <Link id="on" href="/two">two</Link>; }""",
        "app/two/page.tsx": "export default function Page() { return <p>Two</p>; }",
    },
    "astro": {
        "package.json": json.dumps(
            {"type": "module", "scripts": {"build": "astro build"}, "dependencies": {"astro": "5.9.4"}}
        ),
        "astro.config.mjs": "export default { build: { format: 'file' }, telemetry: false };",
        "src/pages/index.astro": """---
import { ClientRouter } from 'astro:transitions';
---
<html lang="en"><head><title>Astro</title><ClientRouter />
RECIPE
</head><body><a id="on" href="/two">two</a></body></html>""",
        "src/pages/two.astro": """---
import { ClientRouter } from 'astro:transitions';
---
<html lang="en"><head><title>Two</title><ClientRouter />
RECIPE
</head><body>two</body></html>""",
    },
}
TITLES = {"vite": "A bundler", "next": "Next.js", "astro": "Astro"}
OUTPUTS = {"vite": "dist", "next": "out", "astro": "dist"}
BUILT = ("vite", "next", "astro")[: scale.of(small=1, full=3)]


@in_loop
@pytest.mark.parametrize("name", BUILT)
async def test_a_project_of_a_framework(
    site: Servers, browser: Browser, package: Path, tmp_path: Path, name: str
) -> None:
    for path, text in FILES[name].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        text = text.replace("PACKAGE", f"file:{package}").replace("RECIPE", recipe(TITLES[name], site))
        (tmp_path / path).write_text(text)
    npm = needs.program("npm", "npm")
    await run(npm, "install", "--no-audit", "--no-fund", "--loglevel=error", folder=tmp_path)
    await run(npm, "run", "build", folder=tmp_path)
    site.surface.hits.clear()  # every project has the same paths
    output = tmp_path / OUTPUTS[name]
    for file in output.rglob("*"):
        if file.suffix in (".js", ".html", ".css", ".txt"):
            path = "/" + file.relative_to(output).as_posix()
            site.pages[path.removesuffix("index.html").removesuffix(".html")] = file.read_text(), {}
            site.pages[path] = file.read_text(), {}
    async with visit(browser, site.site + "/") as page:
        if name == "vite":
            view, _ = await site.until("/", "pageview", "signup")
        else:
            (view,) = await site.until("/", "pageview")
            await page.click("#on")
            (two,) = await site.until("/two", "pageview")
            assert two["referrer"] == site.site + "/"
            assert [event["event"] for event in site.events("/two")].count("pageview") == 1
    assert view["title"] == {"vite": "Vite", "next": "Next", "astro": "Astro"}[name]
    shutil.rmtree(tmp_path / "node_modules")
