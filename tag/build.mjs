// Build the tag: src/base.js, src/extra.js and src/helper.js, minified into collector/http/. `--check` compares instead of writing;
// `--package` writes the package's files into dist/ instead: the same base, started by a call; `--sizes` only prints what
// each opt-in adds to the second script.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const here = (path) => new URL(path, import.meta.url).pathname;
const minified = async (source) => {
  const text = readFileSync(here(source), "utf8");
  return (await transform(text, { minify: true, target: "es2017", legalComments: "none" })).code;
};

if (process.argv.includes("--package")) {
  mkdirSync(here("dist"), { recursive: true });
  const base = (await minified("src/base.js")).trimEnd();
  writeFileSync(here("dist/index.js"), `const start=()=>{${base}};\n${readFileSync(here("src/package.js"), "utf8")}`);
  copyFileSync(here("src/package.d.ts"), here("dist/index.d.ts"));
  copyFileSync(here("../LICENSE"), here("dist/LICENSE"));
  process.exit();
}

// The helper has modules; it is read by developers' browsers alone.
const bundled = async (source) => {
  const { outputFiles } = await build({ entryPoints: [here(source)], bundle: true, minify: true, write: false, format: "iife", target: "es2017", legalComments: "none", charset: "utf8" });
  return outputFiles[0].text;
};

if (process.argv.includes("--sizes")) {
  // What each opt-in adds to the second script after gzip: its size less that of the script without it.
  const text = readFileSync(here("src/extra.js"), "utf8");
  const close = text.lastIndexOf("  });\n})(");
  const sections = text.slice(0, close).split(/^(?= {4}\/\/ ---- )/m);
  const size = async (parts) =>
    gzipSync((await transform(parts.join("") + text.slice(close), { minify: true, target: "es2017", legalComments: "none" })).code, { level: 9 }).length;
  const whole = await size(sections);
  const found = {};
  for (const section of sections.slice(1)) {
    const title = section.match(/---- (.*)/)[1].split(":")[0];
    found[title] = whole - (await size(sections.filter((other) => other !== section)));
  }
  console.log(JSON.stringify(found));
  process.exit();
}

const check = process.argv.includes("--check");
let stale = false;
for (const [source, target, made] of [
  ["src/base.js", "../collector/http/tag.js", minified],
  ["src/extra.js", "../collector/http/tag_extra.js", minified],
  ["src/helper.js", "../collector/http/tag_helper.js", bundled],
]) {
  const text = await made(source);
  if (!check) writeFileSync(here(target), text);
  else if (readFileSync(here(target), "utf8") !== text) {
    stale = true;
    console.error(`${target}: not what ${source} builds to; run "make tag"`);
  }
  console.log(`${source}: ${text.length} bytes, gzip ${gzipSync(text, { level: 9 }).length}, brotli ${brotliCompressSync(text).length}`);
}
process.exit(stale ? 1 : 0);
